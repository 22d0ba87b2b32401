"""Table names as BI tools write them."""

from __future__ import annotations

import pytest
from semantic_layer.table_identifier_parser import (
    DIALECTS,
    ParseTableIdentifierItem,
    parse_table_identifier_batch,
    parse_table_identifier_one,
)


@pytest.mark.parametrize(
    ("dialect", "text", "parts", "canonical"),
    [
        ("postgres", "orders", (None, None, "orders"), "orders"),
        ("postgres", "a.b.c as x", ("a", "b", "c"), "a.b.c"),
        ("Postgres", ' "Public"."Orders" o ', (None, "Public", "Orders"), '"Public"."Orders"'),
        ("bigquery", "`proj-x.ds.tbl`", ("proj-x", "ds", "tbl"), "`proj-x`.`ds`.`tbl`"),
        ("bigquery", "proj-x.ds.tbl", ("proj-x", "ds", "tbl"), "proj-x.ds.tbl"),
        ("bigquery", "ds.t_*", (None, "ds", "t_*"), "ds.t_*"),
        ("tsql", "[db].[dbo].[t]", ("db", "dbo", "t"), "[db].[dbo].[t]"),
        ("tsql", "db..t", ("db", "", "t"), "db..t"),
        ("mysql", "`a b`.`c`", (None, "a b", "c"), "`a b`.`c`"),
        ("snowflake", '"My Db".S.T', ("My Db", "S", "T"), '"My Db".S.T'),
        ("sqlite", "main.t", (None, "main", "t"), "main.t"),
        ("clickhouse", "db.t", (None, "db", "t"), "db.t"),
        ("redshift", "spectrum.events", (None, "spectrum", "events"), "spectrum.events"),
    ],
)
def test_one_table(dialect: str, text: str, parts: tuple[str | None, ...], canonical: str) -> None:
    result = parse_table_identifier_one(text, dialect)
    assert result.ok, result
    assert (result.catalog, result.schema_, result.name) == parts
    assert result.canonical_table == canonical
    again = parse_table_identifier_one(canonical, dialect)
    assert (again.catalog, again.schema_, again.name) == parts


@pytest.mark.parametrize(
    ("dialect", "text", "reason"),
    [
        ("duckdb", "t", "unsupported_dialect"),
        ("databricks", "t", "unsupported_dialect"),
        ("trino", "t", "unsupported_dialect"),
        ("oracle", "t", "unsupported_dialect"),
        ("postgres", "${orders.SQL_TABLE_NAME}", "looker_template_unresolved"),
        ("postgres", "@{schema}.orders", "looker_template_unresolved"),
        ("postgres", "{{ schema }}.orders", "looker_template_unresolved"),
        ("postgres", "(SELECT 1) x", "derived_table_not_supported"),
        ("postgres", "generate_series(1, 2)", "derived_table_not_supported"),
        ("postgres", "unnest(x)", "derived_table_not_supported"),
        ("postgres", "VALUES (1)", "derived_table_not_supported"),
        ("snowflake", "TABLE(f(x))", "derived_table_not_supported"),
        ("postgres", "a, b", "multiple_table_references"),
        ("postgres", "a JOIN b ON a.x = b.x", "multiple_table_references"),
        ("postgres", "  ", "no_physical_table"),
        ("postgres", "'a'", "no_physical_table"),
        ("postgres", "$1", "no_physical_table"),
        ("snowflake", "@stage/x", "no_physical_table"),
        ("postgres", "a WHERE x = 1", "parse_error"),
        ("postgres", "a LIMIT 3", "parse_error"),
        ("postgres", "a b c", "parse_error"),
        ("postgres", "a.", "parse_error"),
        ("postgres", ".a", "parse_error"),
        ("postgres", "a.b.c.d", "parse_error"),
        ("postgres", "a; DROP TABLE b", "parse_error"),
        ("postgres", "a UNION SELECT 1", "parse_error"),
        ("tsql", "t WITH (NOLOCK)", "parse_error"),
    ],
)
def test_refuses(dialect: str, text: str, reason: str) -> None:
    result = parse_table_identifier_one(text, dialect)
    assert (result.ok, result.reason, result.name) == (False, reason, None)
    assert reason != "parse_error" or result.detail


def test_a_batch_keeps_its_order_and_the_last_of_equal_keys() -> None:
    items = [
        ParseTableIdentifierItem(key=key, sql_table_name=name, dialect="mysql")
        for key, name in (("b", "x"), ("a", "y"), ("b", "z"))
    ]
    results = parse_table_identifier_batch(items)
    assert [(key, result.name) for key, result in results.items()] == [("b", "z"), ("a", "y")]


def test_a_caller_may_allow_more_dialects() -> None:
    assert parse_table_identifier_one("a.b", "duckdb", DIALECTS | {"duckdb"}).schema_ == "a"
