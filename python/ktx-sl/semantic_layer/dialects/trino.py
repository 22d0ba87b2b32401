"""Trino and Presto."""

from __future__ import annotations

from .base import Dialect

__all__ = ["Trino"]

_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


class Trino(Dialect):
    """Only approximate percentiles exist, so exact ones are refused."""

    reserved = frozenset(
        """
        cube deallocate describe escape execute extract grouping json_array json_exists json_object json_query
        json_table json_value listagg normalize prepare recursive rollup skip trim uescape unnest
        """.split()  # noqa: SIM905
    )
    has_filter = True
    zone_form = "CAST(AT_TIMEZONE(:x, :zone) AS TIMESTAMP)"
    trunc_forms = {  # noqa: RUF012
        unit: f"CAST(DATE_TRUNC('{unit}', CAST(:x AS TIMESTAMP)) AS {'TIMESTAMP' if i < 3 else 'DATE'})"
        for i, unit in enumerate(_UNITS)
    }
    add_days_form = "DATE_ADD('day', :n, :x)"
    subtract_months_form = "DATE_ADD('month', -:n, :x)"
    month_form = "MONTH(:x)"
