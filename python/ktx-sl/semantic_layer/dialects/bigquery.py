"""BigQuery (GoogleSQL)."""

from __future__ import annotations

from sqlglot import exp

from .base import Dialect, Kind

__all__ = ["BigQuery"]


class BigQuery(Dialect):
    """One truncation per type: the DATE, DATETIME and TIMESTAMP functions do not mix.

    A column of untold type is taken as a date from `day` up, else as a timestamp.
    """

    reserved = frozenset(
        """
        assert_rows_modified at contains cube define enum escape exclude extract following graph_table groups
        grouping hash if ignore interval lateral lookup merge new no nulls of preceding proto range recursive
        respect rollup struct treat unbounded unnest within
        """.split()  # noqa: SIM905
    )
    null_safe_form = "(:a = :b OR (:a IS NULL AND :b IS NULL))"
    double_type = "FLOAT64"
    splits_dotted_names = True
    divides_as_double = True
    zone_form = "DATETIME(:x, :zone)"
    add_days_form = "DATE_ADD(:x, INTERVAL :n DAY)"
    subtract_months_form = "DATE_SUB(:x, INTERVAL :n MONTH)"

    def kind(self, data_type: str | None) -> Kind:
        """TIMESTAMP is an instant here."""
        if data_type and data_type.strip().lower() == "timestamp":
            return "instant"
        return super().kind(data_type)

    def trunc(self, unit: str, value: exp.Expr, kind: Kind) -> exp.Expr:
        """By kind; day and above end as DATE."""
        part = "ISOWEEK" if unit == "week" else unit.upper()
        fine = unit in {"second", "minute", "hour"}
        if fine and kind == "datetime":
            return self.form(f"DATETIME_TRUNC(:x, {part})", x=value)
        if fine and kind == "date":
            return self.form(f"DATETIME_TRUNC(DATETIME(:x), {part})", x=value)
        if fine:
            return self.form(f"TIMESTAMP_TRUNC(:x, {part})", x=value)
        if kind == "datetime":
            return self.form(f"DATE(DATETIME_TRUNC(:x, {part}))", x=value)
        if kind == "instant":
            return self.form(f"DATE(TIMESTAMP_TRUNC(:x, {part}))", x=value)
        return self.form(f"DATE_TRUNC(:x, {part})", x=value)
