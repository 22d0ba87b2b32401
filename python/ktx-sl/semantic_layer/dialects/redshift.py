"""Amazon Redshift."""

from __future__ import annotations

from .base import Dialect

__all__ = ["Redshift"]

_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


class Redshift(Dialect):
    """Postgres of old: no IS NOT DISTINCT FROM, no FILTER, months added by DATEADD."""

    reserved = frozenset(
        """
        aes128 aes256 allowoverwrite analyse az64 backup blanksasnull bytedict bzip2 credentials deflate defrag
        delta disable emptyasnull enable encode encrypt encryption explicit freeze globaldict256 gzip identity
        ignore ilike initially isnull lateral lun luns lzo lzop minus mostly13 mostly32 mostly8 new notnull off
        offline oid old open overlaps parallel percent permissions pivot placing raw readratio recover rejectlog
        resort respect restore similar snapshot sysdate system tag tdes text255 text32k timestamp top
        truncatecolumns unpivot verbose wallet without
        """.split()  # noqa: SIM905
    )
    null_safe_form = "(:a = :b OR (:a IS NULL AND :b IS NULL))"
    double_type = "DOUBLE PRECISION"
    percentile_form = "PERCENTILE_CONT(:p) WITHIN GROUP (ORDER BY :x)"
    zone_form = "CAST(:x AS TIMESTAMPTZ) AT TIME ZONE :zone"
    trunc_forms = {  # noqa: RUF012
        unit: f"CAST(DATE_TRUNC('{unit}', CAST(:x AS TIMESTAMP)) AS {'TIMESTAMP' if i < 3 else 'DATE'})"
        for i, unit in enumerate(_UNITS)
    }
    add_days_form = "CAST(DATEADD(DAY, :n, :x) AS DATE)"
    subtract_months_form = "CAST(DATEADD(MONTH, -:n, :x) AS DATE)"
    month_form = "CAST(EXTRACT(MONTH FROM :x) AS INT)"
