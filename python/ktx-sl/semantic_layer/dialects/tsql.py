"""SQL Server 2022, Azure SQL and Fabric."""

from __future__ import annotations

from .base import Dialect

__all__ = ["TSQL"]


def _from_parts(hour: str, minute: str, second: str) -> str:
    parts = (
        "DATEPART(YEAR, :x)",
        "DATEPART(MONTH, :x)",
        "DATEPART(DAY, :x)",
        *(f"DATEPART({unit}, :x)" if unit else "0" for unit in (hour, minute, second)),
    )
    return f"DATETIME2FROMPARTS({', '.join(parts)}, 0, 0)"


class TSQL(Dialect):
    """Weeks count days from Monday 1900-01-01: DATEPART(WEEKDAY) follows SET DATEFIRST."""

    reserved = frozenset(
        """
        add backup begin break browse bulk cascade checkpoint close clustered coalesce commit compute contains
        containstable continue convert current cursor database dbcc deallocate declare deny disk distributed double
        dump errlvl escape exec execute exit external file fillfactor freetext freetexttable function goto holdlock
        identity identitycol identity_insert if index key kill lineno load merge national nocheck nonclustered
        nullif of off offsets open opendatasource openquery openrowset openxml option percent pivot plan precision
        print proc procedure public raiserror read readtext reconfigure replication restore restrict return revert
        rollback rowcount rowguidcol rule save schema securityaudit setuser shutdown statistics system_user textsize
        top tran transaction trigger truncate try_convert tsequal unpivot updatetext use varying view waitfor while
        within writetext
        """.split()  # noqa: SIM905
    )
    null_safe_form = "(:a = :b OR (:a IS NULL AND :b IS NULL))"
    double_type = "FLOAT"
    has_nulls_order = False
    trunc_forms = {  # noqa: RUF012
        "second": _from_parts("HOUR", "MINUTE", "SECOND"),
        "minute": _from_parts("HOUR", "MINUTE", ""),
        "hour": _from_parts("HOUR", "", ""),
        "day": "CAST(:x AS DATE)",
        "week": "DATEADD(DAY, -((DATEDIFF(DAY, CAST('19000101' AS DATE), :x) % 7 + 7) % 7), CAST(:x AS DATE))",
        "month": "DATEFROMPARTS(DATEPART(YEAR, :x), DATEPART(MONTH, :x), 1)",
        "quarter": "DATEFROMPARTS(DATEPART(YEAR, :x), DATEPART(QUARTER, :x) * 3 - 2, 1)",
        "year": "DATEFROMPARTS(DATEPART(YEAR, :x), 1, 1)",
    }
    add_days_form = "DATEADD(DAY, :n, :x)"
    subtract_months_form = "DATEADD(MONTH, -:n, :x)"
    month_form = "DATEPART(MONTH, :x)"
