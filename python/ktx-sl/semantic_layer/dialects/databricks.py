"""Databricks SQL and Spark SQL."""

from __future__ import annotations

from .base import Dialect

__all__ = ["Databricks"]

_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


class Databricks(Dialect):
    """DATE_TRUNC's week always starts on Monday; PERCENTILE interpolates exactly."""

    reserved = frozenset({"anti", "except", "lateral", "minus", "semi", "cube", "rollup", "interval"})
    null_safe_operator = "<=>"
    has_filter = True
    percentile_form = "PERCENTILE(:x, :p)"
    # By the microseconds since 1970: a cast to TIMESTAMP_NTZ would pass through the session's zone.
    zone_form = (
        "CONVERT_TIMEZONE('UTC', :zone, CAST('1970-01-01' AS TIMESTAMP_NTZ) + "
        "MAKE_DT_INTERVAL(0, 0, 0, CAST(UNIX_MICROS(:x) AS DECIMAL(24, 6)) / 1000000))"
    )
    trunc_forms = {  # noqa: RUF012
        unit: f"CAST(DATE_TRUNC('{unit.upper()}', :x) AS {'TIMESTAMP_NTZ' if i < 3 else 'DATE'})"
        for i, unit in enumerate(_UNITS)
    }
    add_days_form = "DATE_ADD(:x, :n)"
    subtract_months_form = "ADD_MONTHS(:x, -:n)"
    month_form = "MONTH(:x)"
