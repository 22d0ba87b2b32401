"""The read-only gate: what it lets through, and every class of what it refuses."""

from __future__ import annotations

import pytest
from ktx_daemon.errors import DaemonError
from ktx_daemon.sql_analysis import ValidateReadOnlyRequest, read_only_problem, validate_read_only_response

ACCEPTED = [
    ("postgres", "select 1"),
    ("postgres", "select 1;"),
    ("postgres", "select 1; -- ok"),
    ("postgres", "select 1;;"),
    ("postgres", "(select 1)"),
    ("postgres", "((select 1))"),
    ("postgres", "select 1 union select 2"),
    ("postgres", "select 1 except select 2"),
    ("postgres", "select 1 intersect select 2"),
    ("postgres", "with a as (select 1) select * from a"),
    ("postgres", "with recursive r as (select 1 union all select 1 from r) select * from r"),
    ("postgres", "values (1), (2)"),
    ("postgres", "table t"),
    ("postgres", "select pg_typeof(1), pg_get_viewdef(1), pg_size_pretty(1), pg_is_in_recovery()"),
    ("postgres", "select pg_relation_size('x'), pg_table_is_visible(1), pg_stat_get_numscans(1)"),
    ("postgres", "select currval('s')"),
    ("postgres", "select $$a;b$$, $x$drop table t$x$, 'it''s; drop table t', E'a\\'b', U&'d\\0061t', N'a'"),
    ("postgres", 'select "a""b", "into" from t'),
    ("postgres", "/* c /* d */ e */ select 1 -- x\n"),
    ("postgres", "select 1 -- x\r\n, 2\f"),
    ("postgres", "select a->>'x', b @> '{}' from t"),
    ("postgres", "select date'2020-01-01', interval '1 day', (array[1])[1], (a).b from t"),
    ("postgres", "select count(*) filter (where a) over (partition by b) from t"),
    ("postgres", "select t.delete, t.update, a as insert from t"),
    ("postgres", "select 'é', \"naïve\", ñ from t"),
    ("postgres", "select " + "(" * 199 + "1" + ")" * 199),
    ("duckdb", "from t"),
    ("duckdb", "from t select a"),
    ("duckdb", "from unnest([1]), range(3), generate_series(1, 3)"),
    ("duckdb", "select * from (values (1)) v(a)"),
    ("duckdb", "select [x for x in [1, 2]], {'a': 1}, x -> x + 1, 7 // 2, a: 1 from db.s.t"),
    ("duckdb", "from t pivot(sum(x) for y in (1, 2))"),
    ("mysql", "select 1, 'a\\'b', \"a\\\"b\", `a` -- x\n from t # c"),
    ("sqlite", "select [a], `a`, \"b\", x'41', 'a\\' from t"),
    ("sqlite", "select * from pragma_table_info('t'), json_each('[1]')"),
    ("sqlite", "select a from t where a = :x and b = @y and a > $z"),
    ("tsql", "select [a]]b], [delete], x = 1 from t with (nolock) where @a = 1"),
    ("tsql", "select a from t inner merge join b on 1 = 1 order by a offset 1 rows fetch next 2 rows only"),
    ("clickhouse", "select * from numbers(3)"),
    ("clickhouse", "select * from t final"),
    ("bigquery", "select * from `a-b.c.d`, unnest([1])"),
    ("bigquery", "from t |> select a"),
    ("redshift", "select 'a\\b', 'it''s', \"Q\" from t /* a /* b */ c */"),
    ("snowflake", "select $$a$$, a:b::int from t // c\n"),
    ("snowflake", "select * from t, lateral flatten(input => x)"),
]


@pytest.mark.parametrize(("dialect", "sql"), ACCEPTED, ids=lambda value: value[:60])
def test_accepts_one_query(dialect: str, sql: str) -> None:
    assert read_only_problem(sql, dialect) is None


WRITES = [
    ("postgres", "insert into t values (1)", "Insert"),
    ("postgres", "update t set a = 1", "Update"),
    ("postgres", "delete from t", "Delete"),
    ("postgres", "merge into t using s on a = b when matched then delete", "Merge"),
    ("postgres", "drop table t", "Drop"),
    ("postgres", "truncate t", "TruncateTable"),
    ("postgres", "create table t(a int)", "Create"),
    ("postgres", "alter table t add a int", "Alter"),
    ("postgres", "grant select on t to x", "Grant"),
    ("postgres", "copy t to 'x'", "Copy"),
    ("postgres", "vacuum", "Command"),
    ("postgres", "set x = 1", "Set"),
    ("postgres", "begin", "Transaction"),
    ("postgres", "commit", "Commit"),
    ("postgres", "do $$ $$", "Command"),
    ("postgres", "call f()", "Command"),
    ("postgres", "explain select 1", "Command"),
    ("postgres", "show x", "Command"),
    ("postgres", "with a as (delete from t returning *) select * from a", "Delete"),
    ("postgres", "with a as (insert into t values (1) returning *) select * from a", "Insert"),
    ("postgres", "select * into x from t", "Into"),
    ("postgres", "select into t from x", "Into"),
    ("postgres", "select * from (select * from t for update) x", "Lock"),
    ("postgres", "select * from t for share", "Lock"),
    ("postgres", "select * from t for no key update skip locked", "Lock"),
    ("mysql", "select 1 into @x", "Into"),
    ("mysql", "select * from t lock in share mode", "Lock"),
    ("mysql", "select @a := 1", "Assignment"),
    ("mysql", "replace into t values (1)", "Command"),
    ("tsql", "select @a = 1", "Assignment"),
    ("tsql", "select * from t with (updlock)", "Lock"),
    ("tsql", "select * from t (xlock)", "Lock"),
    ("tsql", "select next value for s", "NextValueFor"),
    ("tsql", "select * into #t from t", "Into"),
    ("snowflake", "select s.nextval", "NextValueFor"),
    ("sqlite", "pragma user_version = 1", "Pragma"),
    ("sqlite", "attach 'a' as b", "Attach"),
    ("duckdb", "pivot t on a using sum(b)", "Pivot"),
    ("duckdb", "select * from (pivot t on a using sum(b))", "Pivot"),
    ("duckdb", "summarize t", "Summarize"),
    ("duckdb", "select * from (summarize t)", "Summarize"),
    ("duckdb", "describe t", "Describe"),
    ("duckdb", "select * from (show tables)", "Show"),
    ("duckdb", "with a as (insert into t values (1) returning *) from a", "Insert"),
    ("clickhouse", "select 1 settings a = 1", "Settings"),
    ("clickhouse", "select * from (select 1 settings a = 1)", "Settings"),
    ("clickhouse", "select 1 format JSON", "Format"),
    *(("tsql", f"select 1 {word}", word.title()) for word in ("exec", "delete", "waitfor", "use", "commit")),
    ("tsql", "select * from t delete", "Delete"),
    ("tsql", "select 1 as x from t update", "Update"),
]


@pytest.mark.parametrize(("dialect", "sql", "kind"), WRITES, ids=lambda value: value[:60])
def test_names_the_operation_that_is_not_reading(dialect: str, sql: str, kind: str) -> None:
    problem = read_only_problem(sql, dialect)
    assert problem is not None
    assert problem.endswith(f"read/write operation: {kind}"), problem


REFUSED = [
    # nothing, several, not SQL
    ("postgres", ""),
    ("postgres", " ; "),
    ("postgres", "select 1; select 2"),
    ("postgres", "select 1; drop table t"),
    ("postgres", "select '"),
    ("postgres", "selekt 1 from"),
    ("postgres", "1 + 1"),
    # control characters, size, nesting
    ("postgres", "select 1\x00"),
    ("postgres", "select \x1b1"),
    ("postgres", "select '\x07'"),
    ("postgres", "select '\ud800'"),
    ("postgres", "select '" + "a" * 1024 * 1024 + "'"),
    ("postgres", "select '" + "é" * 600_000 + "'"),
    ("postgres", "(" * 300 + "select 1" + ")" * 300),
    ("postgres", "select " + "(" * 300 + "1" + ")" * 300),
    ("postgres", "select " + "case when a then " * 300 + "1" + " end" * 300),
    ("postgres", "select " + "not " * 100_000 + "a"),
    # executable comments
    ("mysql", "select 1 /*!50000 , 2 */"),
    ("postgres", "select 1 /*! x */"),
    ("mysql", "select 1 /*M! x */"),
    ("postgres", "select 1 /* /*! x */ */"),
    ("mysql", "select /*!"),
    # functions with side effects, however quoted and wherever placed
    ("postgres", "select nextval('s')"),
    ("postgres", "select \"nextval\"('s')"),
    ("postgres", "select pg_catalog . nextval /* c */ ('s')"),
    ("postgres", "select ('s'::regclass).nextval"),
    ("postgres", "select setval('s', 1)"),
    ("postgres", "select set_config('a', 'b', false)"),
    ("postgres", "select lo_import('x')"),
    ("postgres", "select * from dblink('a', 'b')"),
    ("postgres", "select query_to_xml('select 1', true, true, '')"),
    ("postgres", "select * from ts_stat('select 1')"),
    ("postgres", "select ts_rewrite('a', 'select 1')"),
    ("postgres", "select * from crosstab('x')"),
    ("postgres", "select pg_sleep(1)"),
    ("postgres", "select pg_read_file('x')"),
    ("redshift", "select pg_terminate_backend(1)"),
    ("postgres", "select * from rows from (nextval('s'))"),
    ("postgres", "values (nextval('s'))"),
    ("postgres", "select 1 where exists (select nextval('s'))"),
    ("postgres", "select a from t order by nextval('s')"),
    ("postgres", "select count(*) filter (where nextval('s') > 0) from t"),
    ("mysql", "select load_file('x')"),
    ("mysql", "select `sleep`(1)"),
    ("mysql", "select benchmark(1, 1)"),
    ("mysql", "select get_lock('a', 1)"),
    ("mysql", "select release_all_locks()"),
    ("mysql", "select master_pos_wait('a', 1)"),
    ("mysql", "select * from t into outfile 'x'"),
    ("sqlite", "select load_extension('x')"),
    ("sqlite", "select readfile('x'), writefile('a', 'b')"),
    ("sqlite", "select edit('x')"),
    ("sqlite", "select * from pragma_optimize"),
    ("sqlite", "select * from pragma_journal_mode('wal')"),
    ("tsql", "select * from openrowset('a', 'b', 'c')"),
    ("tsql", "select * from openquery(a, 'b')"),
    ("tsql", "select * from opendatasource('a', 'b').c.d.e"),
    ("snowflake", "select system$abort_session(1)"),
    ("bigquery", "select * from external_query('a', 'b')"),
    ("databricks", "select * from read_files('x')"),
    ("databricks", "select reflect('a', 'b')"),
    ("databricks", "select java_method('a', 'b')"),
    ("databricks", "select http_request('x')"),
    ("duckdb", "select nextval('s')"),
    ("duckdb", "select 's'.nextval()"),
    ("duckdb", "select getenv('x')"),
    ("duckdb", "from read_csv('x')"),
    ("duckdb", "from query('drop table t')"),
    ("duckdb", "from glob('*')"),
    ("duckdb", "from duckdb_tables()"),
    ("duckdb", "from force_checkpoint()"),
    ("duckdb", "select * from t, lateral read_csv('x')"),
    ("duckdb", "from t semi join read_csv('x') using (a)"),
    ("duckdb", "from 'a.csv'"),
    ("duckdb", "from 'abc'"),
    ("duckdb", 'from "a.csv"'),
    ("duckdb", "from a.csv"),
    ("duckdb", 'from "https://example.org/a"'),
    ("clickhouse", "select * from url('x')"),
    ("clickhouse", "select * from file('x')"),
    ("clickhouse", "select file('x')"),
    ("clickhouse", "select 1 into outfile 'x'"),
    ("tsql", "select 1 delete from t"),
    ("tsql", "exec sp_who"),
    ("spark", "select transform(a) using 'rm' from t"),
    ("hive", "from t insert overwrite table x select *"),
    ("trino", "select * from table(system.query(query => 'drop table t'))"),
    ("sqlite", "select optimize(t) from t"),
    ("postgres", "select a[1].nextval from t"),
]


@pytest.mark.parametrize(("dialect", "sql"), REFUSED, ids=lambda value: repr(value[:60]))
def test_refuses_whatever_else(dialect: str, sql: str) -> None:
    assert read_only_problem(sql, dialect)


# Each of these is one harmless query to the parser and something else to the database.
DOUBLE_READINGS = [
    ("postgres", "select E'a'\n'\\'' ; drop table t; --'"),
    ("postgres", "select 1 as$$ ; drop table t; --$$"),
    ("postgres", "select $1a$ ; drop table t; $1a$"),
    ("postgres", "select U&\"\\006eextval\"('s')"),
    ("postgres", "select nextval\u00a0('s')"),
    ("duckdb", "select nextval\u200b('s')"),
    ("duckdb", "select 4 //* a --*/ ; drop table t"),
    ("sqlite", "select $a('), 1; drop table t; --')"),
    ("sqlite", "select @a::b('), 1; drop table t; --')"),
    ("sqlite", "select 1 where :a::b('), 1; drop table t; --')"),
    ("sqlite", "select 1 -- \r /* \n ; drop table t; -- */"),
    ("sqlite", "select [a]] ; drop table t; --]"),
    ("mysql", "select 1 --1; drop table t"),
    ("redshift", "select '\\' ; drop table t; --'"),
    ("postgres", "select 1 --\r; drop table t"),
    ("postgres", "select 1 /* "),
    ("trino", "select 1 /* a /* b */ ; drop table t; -- */"),
]


@pytest.mark.parametrize(("dialect", "sql"), DOUBLE_READINGS, ids=repr)
def test_refuses_text_the_database_would_cut_otherwise(dialect: str, sql: str) -> None:
    assert read_only_problem(sql, dialect)


def test_parse_failure_says_where_without_terminal_colours() -> None:
    problem = read_only_problem("select a b c from t", "postgres")
    assert problem == "Invalid expression / Unexpected token. Line 1, Col: 12."


def test_lets_the_engine_set_what_it_needs_on_clickhouse() -> None:
    sql = "select 1 settings join_use_nulls = 1"
    assert read_only_problem(sql, "clickhouse", allowed_settings={"join_use_nulls"}) is None
    assert read_only_problem(sql + ", max_threads = 1", "clickhouse", allowed_settings={"join_use_nulls"})


def test_answer_is_ok_or_an_error() -> None:
    good = validate_read_only_response(ValidateReadOnlyRequest(dialect="PostgreSQL", sql="select 1"))
    bad = validate_read_only_response(ValidateReadOnlyRequest(dialect="mssql", sql="drop table t"))
    assert good.model_dump() == {"ok": True, "error": None}
    assert not bad.ok
    assert bad.error is not None


def test_unknown_dialect_is_an_error_not_an_answer() -> None:
    with pytest.raises(DaemonError) as caught:
        validate_read_only_response(ValidateReadOnlyRequest(dialect="nosuch", sql="select 1"))
    assert caught.value.code == "unknown_dialect"
