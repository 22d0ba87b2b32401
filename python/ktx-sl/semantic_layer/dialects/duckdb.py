"""DuckDB."""

from __future__ import annotations

from .base import Dialect

__all__ = ["DuckDB"]

_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


class DuckDB(Dialect):
    """`/` on integers is already a division of doubles."""

    reserved = frozenset(
        """
        anti asof asymmetric describe glob ilike initially isnull lambda lateral notnull pivot pivot_longer
        pivot_wider placing positional returning semi show similar summarize symmetric unpivot variadic
        """.split()  # noqa: SIM905
    )
    divides_as_double = True
    # Inlined twice, a body met a fault of the common_subplan optimizer (2.0.1) and gave wrong sums.
    materializes_shared_bodies = True
    has_filter = True
    percentile_form = "QUANTILE_CONT(:x, :p)"
    zone_form = "CAST(:x AS TIMESTAMPTZ) AT TIME ZONE :zone"
    trunc_forms = {  # noqa: RUF012
        unit: f"CAST(DATE_TRUNC('{unit}', CAST(:x AS TIMESTAMP)) AS {'TIMESTAMP' if i < 3 else 'DATE'})"
        for i, unit in enumerate(_UNITS)
    }
    add_days_form = "CAST(:x + :n * INTERVAL 1 DAY AS DATE)"
    subtract_months_form = "CAST(:x - :n * INTERVAL 1 MONTH AS DATE)"
    month_form = "MONTH(:x)"
