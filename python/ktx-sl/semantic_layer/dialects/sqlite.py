"""SQLite 3.39 and later; times are ISO 8601 text."""

from __future__ import annotations

from .base import Dialect

__all__ = ["SQLite"]


class SQLite(Dialect):
    """Days forward to a Monday after six days back: the ISO week's start."""

    reserved = frozenset(
        """
        abort action add attach autoincrement begin cascade commit conflict deferrable detach escape exclusive glob
        immediate index indexed initially instead isnull match notnull nothing pragma raise recursive regexp reindex
        rename replace rollback savepoint transaction trigger vacuum virtual
        """.split()  # noqa: SIM905
    )
    double_type = "DOUBLE"
    has_filter = True
    trunc_forms = {  # noqa: RUF012
        "second": "STRFTIME('%Y-%m-%d %H:%M:%S', :x)",
        "minute": "STRFTIME('%Y-%m-%d %H:%M:00', :x)",
        "hour": "STRFTIME('%Y-%m-%d %H:00:00', :x)",
        "day": "STRFTIME('%Y-%m-%d', :x)",
        "week": "STRFTIME('%Y-%m-%d', :x, '-6 days', 'weekday 1')",
        "month": "STRFTIME('%Y-%m-01', :x)",
        "quarter": "STRFTIME('%Y-%m-01', :x, 'start of month', '-' || ((STRFTIME('%m', :x) - 1) % 3) || ' months')",
        "year": "STRFTIME('%Y-01-01', :x)",
    }
    add_days_form = "STRFTIME('%Y-%m-%d', :x, :n || ' days')"
    subtract_months_form = "STRFTIME('%Y-%m-%d', :x, '-' || :n || ' months')"
    month_form = "CAST(STRFTIME('%m', :x) AS INTEGER)"
