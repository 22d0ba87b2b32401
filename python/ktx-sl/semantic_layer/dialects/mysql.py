"""MySQL 8.0.17 and later."""

from __future__ import annotations

from .base import Dialect

__all__ = ["MySQL"]


class MySQL(Dialect):
    """Buckets by date arithmetic: there is no DATE_TRUNC, and WEEK() follows a setting."""

    reserved = frozenset(
        """
        accessible add before bigint blob call cascade change char character condition continue convert cube
        cume_dist cursor database databases day_hour day_microsecond day_minute day_second dec decimal declare
        delayed dense_rank describe deterministic distinctrow div double dual each elseif empty enclosed escaped
        exit explain first_value float float4 float8 force fulltext function generated get grouping groups
        high_priority hour_microsecond hour_minute hour_second if ignore index infile inout insensitive int int1
        int2 int3 int4 int8 integer interval io_after_gtids io_before_gtids iterate json_table key keys kill lag
        last_value lateral lead leave linear lines load lock long longblob longtext loop low_priority master_bind
        match maxvalue mediumblob mediumint mediumtext middleint minute_microsecond minute_second mod modifies
        no_write_to_binlog nth_value ntile numeric of optimize optimizer_costs option optionally out outfile
        percent_rank precision procedure purge range rank read reads read_write real recursive regexp release rename
        repeat replace require resignal restrict return rlike row_number schema schemas second_microsecond sensitive
        separator show signal smallint spatial specific sql sqlexception sqlstate sqlwarning sql_big_result
        sql_calc_found_rows sql_small_result ssl starting stored straight_join system terminated tinyblob tinyint
        tinytext trigger undo unlock unsigned usage use utc_date utc_time utc_timestamp varbinary varchar
        varcharacter varying virtual while write xor year_month zerofill
        """.split()  # noqa: SIM905
    )
    has_nulls_order = False
    kept_aggregates = frozenset({"var_samp"})  # sqlglot reads it as VARIANCE, which is the population's here
    trunc_forms = {  # noqa: RUF012
        "second": "CAST(DATE_FORMAT(:x, '%Y-%m-%d %H:%i:%s') AS DATETIME)",
        "minute": "CAST(DATE_FORMAT(:x, '%Y-%m-%d %H:%i:00') AS DATETIME)",
        "hour": "CAST(DATE_FORMAT(:x, '%Y-%m-%d %H:00:00') AS DATETIME)",
        "day": "CAST(:x AS DATE)",
        "week": "CAST(:x AS DATE) - INTERVAL WEEKDAY(:x) DAY",
        "month": "CAST(:x AS DATE) - INTERVAL (DAYOFMONTH(:x) - 1) DAY",
        "quarter": "CAST(:x AS DATE) - INTERVAL (DAYOFMONTH(:x) - 1) DAY - INTERVAL ((MONTH(:x) - 1) % 3) MONTH",
        "year": "CAST(:x AS DATE) - INTERVAL (DAYOFYEAR(:x) - 1) DAY",
    }
    add_days_form = ":x + INTERVAL :n DAY"
    subtract_months_form = ":x - INTERVAL :n MONTH"
    month_form = "MONTH(:x)"
