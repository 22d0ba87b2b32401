"""PostgreSQL 12 and later."""

from __future__ import annotations

from .base import Dialect

__all__ = ["Postgres"]

_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


class Postgres(Dialect):
    """A DATE is cast to TIMESTAMP first: DATE_TRUNC would turn it into the session's timestamptz."""

    reserved = frozenset(
        """
        analyse asymmetric concurrently current_catalog current_role current_schema deferrable freeze ilike
        initially isnull lateral notnull overlaps placing returning similar symmetric variadic verbose
        """.split()  # noqa: SIM905
    )
    double_type = "DOUBLE PRECISION"
    has_filter = True
    percentile_form = "PERCENTILE_CONT(:p) WITHIN GROUP (ORDER BY :x)"
    zone_form = "CAST(:x AS TIMESTAMPTZ) AT TIME ZONE :zone"
    trunc_forms = {  # noqa: RUF012
        unit: f"CAST(DATE_TRUNC('{unit}', CAST(:x AS TIMESTAMP)) AS {'TIMESTAMP' if i < 3 else 'DATE'})"
        for i, unit in enumerate(_UNITS)
    }
    add_days_form = "CAST(:x + :n * INTERVAL '1 day' AS DATE)"
    subtract_months_form = "CAST(:x - :n * INTERVAL '1 month' AS DATE)"
    month_form = "CAST(EXTRACT(MONTH FROM :x) AS INT)"
