"""Snowflake."""

from __future__ import annotations

from .base import Dialect

__all__ = ["Snowflake"]

_UNITS = ("second", "minute", "hour", "day", "month", "quarter", "year")


class Snowflake(Dialect):
    """Weeks by DAYOFWEEKISO: DATE_TRUNC('WEEK') follows the WEEK_START parameter."""

    reserved = frozenset(
        """
        account connect connection current database following gscluster ilike increment issue lateral minus
        organization regexp rlike sample schema start trigger try_cast view whenever
        """.split()  # noqa: SIM905
    )
    percentile_form = "PERCENTILE_CONT(:p) WITHIN GROUP (ORDER BY :x)"
    zone_form = "CAST(CONVERT_TIMEZONE(:zone, :x) AS TIMESTAMPNTZ)"
    timestamp_type = "TIMESTAMPNTZ"
    trunc_forms = {  # noqa: RUF012
        **{
            unit: f"CAST(DATE_TRUNC('{unit.upper()}', :x) AS {'TIMESTAMPNTZ' if i < 3 else 'DATE'})"
            for i, unit in enumerate(_UNITS)
        },
        "week": "DATEADD(DAY, 1 - DAYOFWEEKISO(:x), CAST(:x AS DATE))",
    }
    add_days_form = "DATEADD(DAY, :n, :x)"
    subtract_months_form = "DATEADD(MONTH, -:n, :x)"
    month_form = "MONTH(:x)"
