"""ClickHouse."""

from __future__ import annotations

from sqlglot import exp

from .base import Dialect

__all__ = ["ClickHouse"]

_OR_NULL: dict[type[exp.Expr], str] = {
    exp.Sum: "sumOrNull",
    exp.Avg: "avgOrNull",
    exp.Min: "minOrNull",
    exp.Max: "maxOrNull",
}


class ClickHouse(Dialect):
    """Unmatched rows must read as NULL, and aggregates over no rows too: neither is the default."""

    reserved = frozenset(
        {"interval", "prewhere", "final", "sample", "global", "asof", "anti", "semi", "settings", "format", "lateral"}
    )
    null_safe_operator = "<=>"
    double_type = "Nullable(Float64)"
    divides_as_double = True
    has_filter = True
    correlates = False
    percentile_form = "quantileExactInclusive(:p)(:x)"
    zone_form = "toTimeZone(:x, :zone)"
    settings = {"join_use_nulls": 1}  # noqa: RUF012
    trunc_forms = {  # noqa: RUF012
        "second": "toStartOfSecond(toDateTime64(:x, 0))",
        "minute": "toStartOfMinute(toDateTime64(:x, 0))",
        "hour": "toStartOfHour(toDateTime64(:x, 0))",
        "day": "toDate(:x)",
        "week": "toMonday(:x)",
        "month": "toStartOfMonth(:x)",
        "quarter": "toStartOfQuarter(:x)",
        "year": "toStartOfYear(:x)",
    }
    add_days_form = "addDays(:x, :n)"
    subtract_months_form = "subtractMonths(:x, :n)"
    month_form = "toMonth(:x)"

    def lower(self, tree: exp.Expr) -> exp.Expr:
        """sum, avg, min and max return NULL, not 0, over no rows."""
        name = _OR_NULL.get(type(tree))
        return exp.Anonymous(this=name, expressions=[tree.this]) if name else tree
