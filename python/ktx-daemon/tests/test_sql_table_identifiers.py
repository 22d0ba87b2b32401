"""Table identifiers: parts as written, and a reason for everything that is not one table."""

from __future__ import annotations

import pytest
from ktx_daemon.sql_analysis import ParseTableIdentifierRequest, parse_table_identifier, parse_table_identifier_response

TABLES = [
    ("postgres", "orders", None, None, "orders", "orders"),
    ("postgres", "Sales.Orders AS o", None, "Sales", "Orders", "Sales.Orders"),
    ("postgres", '"Public"."Orders" o', None, "Public", "Orders", '"Public"."Orders"'),
    ("postgres", '"public"."orders"', None, "public", "orders", "public.orders"),
    ("postgres", '"select"', None, None, "select", '"select"'),
    ("postgres", '"a""b"', None, None, 'a"b', '"a""b"'),
    ("postgres", "orders -- the table", None, None, "orders", "orders"),
    ("redshift", "a.b.c", "a", "b", "c", "a.b.c"),
    ("snowflake", 'DB."Mixed".T', "DB", "Mixed", "T", 'DB."Mixed".T'),
    ("snowflake", '"A"."b"', None, "A", "b", 'A."b"'),
    ("mysql", "`shop`.`orders`", None, "shop", "orders", "shop.orders"),
    ("sqlite", "main.orders", None, "main", "orders", "main.orders"),
    ("tsql", "db..t", "db", "", "t", "db..t"),
    ("tsql", "[my db].dbo.[t x] as z", "my db", "dbo", "t x", "[my db].dbo.[t x]"),
    ("tsql", "#tmp", None, None, "#tmp", "#tmp"),
    ("tsql", "[db]..[t]", "db", "", "t", "db..t"),
    ("snowflake", '"a.b"', None, None, "a.b", '"a.b"'),
    ("bigquery", "`my-project`.`ds`.t", "my-project", "ds", "t", "my-project.ds.t"),
    ("clickhouse", "logs.events", None, "logs", "events", "logs.events"),
    ("duckdb", "c.s.t", "c", "s", "t", "c.s.t"),
    ("databricks", "c.s.t", "c", "s", "t", "c.s.t"),
    ("bigquery", "my-project.ds.t", "my-project", "ds", "t", "my-project.ds.t"),
    ("bigquery", "`my-project.ds.t`", "my-project", "ds", "t", "my-project.ds.t"),
    ("bigquery", "`p.ds.t_*`", "p", "ds", "t_*", "p.ds.`t_*`"),
    ("bigquery", "ds.t_*", None, "ds", "t_*", "ds.`t_*`"),
    ("bigquery", "`region-us`.INFORMATION_SCHEMA.TABLES", "region-us", "INFORMATION_SCHEMA", "TABLES", None),
    ("PostgreSQL", "Orders", None, None, "Orders", "Orders"),
]


@pytest.mark.parametrize(("dialect", "text", "catalog", "schema", "name", "canonical"), TABLES)
def test_splits_into_parts_as_written(
    dialect: str, text: str, catalog: str | None, schema: str | None, name: str, canonical: str | None
) -> None:
    parsed = parse_table_identifier(text, dialect)
    assert (parsed.ok, parsed.reason, parsed.detail) == (True, None, None)
    assert (parsed.catalog, parsed.schema_, parsed.name) == (catalog, schema, name)
    assert canonical is None or parsed.canonical_table == canonical


@pytest.mark.parametrize(("dialect", "text"), [(row[0], row[1]) for row in TABLES])
def test_canonical_table_denotes_the_same_object(dialect: str, text: str) -> None:
    first = parse_table_identifier(text, dialect)
    assert first.canonical_table is not None
    again = parse_table_identifier(first.canonical_table, dialect)
    assert again == first


REASONS = [
    ("postgres", "${orders.SQL_TABLE_NAME}", "looker_template_unresolved"),
    ("postgres", "@{schema}.orders", "looker_template_unresolved"),
    ("postgres", "{{ x }}", "looker_template_unresolved"),
    ("postgres", "{% if x %}a{% endif %}", "looker_template_unresolved"),
    ("postgres", "(select 1) x", "derived_table_not_supported"),
    ("postgres", "select * from x", "derived_table_not_supported"),
    ("postgres", "values (1)", "derived_table_not_supported"),
    ("postgres", "lateral (select 1)", "derived_table_not_supported"),
    ("postgres", "unnest(a)", "derived_table_not_supported"),
    ("postgres", "f(1)", "derived_table_not_supported"),
    ("postgres", "rows from (f())", "derived_table_not_supported"),
    ("clickhouse", "numbers(3)", "derived_table_not_supported"),
    ("snowflake", "table(f(x))", "derived_table_not_supported"),
    ("postgres", "", "no_physical_table"),
    ("postgres", "  -- nothing", "no_physical_table"),
    ("postgres", "'orders'", "no_physical_table"),
    ("duckdb", "'a.csv'", "no_physical_table"),
    ("postgres", "42", "no_physical_table"),
    ("postgres", "null", "no_physical_table"),
    ("snowflake", "$$x$$", "no_physical_table"),
    ("postgres", "a,", "parse_error"),
    ("postgres", ":p", "no_physical_table"),
    ("postgres", "$1", "no_physical_table"),
    ("postgres", "?", "no_physical_table"),
    ("tsql", "@t", "no_physical_table"),
    ("snowflake", "@stage", "no_physical_table"),
    ("postgres", "a, b", "multiple_table_references"),
    ("postgres", "a join b on a.x = b.x", "multiple_table_references"),
    ("postgres", "a cross join lateral f(x)", "multiple_table_references"),
    ("oracle", "t", "unsupported_dialect"),
    ("nosuch", "t", "unsupported_dialect"),
    ("postgres", "a b c", "parse_error"),
    ("postgres", "a.", "parse_error"),
    ("postgres", "a.b.c.d", "parse_error"),
    ("postgres", "a where x = 1", "parse_error"),
    ("postgres", "a limit 1", "parse_error"),
    ("postgres", "a union select 1", "parse_error"),
    ("postgres", "a; drop table b", "parse_error"),
    ("postgres", "t) x, (select 1", "parse_error"),
    ("postgres", "t tablesample system (1)", "parse_error"),
    ("clickhouse", "t final", "parse_error"),
    ("postgres", "(" * 300 + "a" + ")" * 300, "parse_error"),
]


@pytest.mark.parametrize(("dialect", "text", "reason"), REASONS, ids=lambda value: value[:40])
def test_gives_a_reason_for_what_is_not_one_table(dialect: str, text: str, reason: str) -> None:
    parsed = parse_table_identifier(text, dialect)
    assert (parsed.ok, parsed.reason) == (False, reason)
    assert (parsed.catalog, parsed.schema_, parsed.name, parsed.canonical_table) == (None, None, None, None)
    assert bool(parsed.detail) == (reason == "parse_error")


def test_error_position_counts_from_the_identifier() -> None:
    assert (
        parse_table_identifier("a b c", "postgres").detail == "Invalid expression / Unexpected token. Line 1, Col: 5."
    )


def test_results_keep_input_order_and_the_last_of_equal_keys() -> None:
    request = ParseTableIdentifierRequest.model_validate(
        {
            "items": [
                {"key": "b", "sql_table_name": "first", "dialect": "postgres"},
                {"key": "a", "sql_table_name": "other", "dialect": "postgres"},
                {"key": "b", "sql_table_name": "last", "dialect": "postgres"},
            ]
        }
    )
    results = parse_table_identifier_response(request).model_dump(by_alias=True)["results"]
    assert list(results) == ["b", "a"]
    assert results["b"] == {
        "ok": True,
        "catalog": None,
        "schema": None,
        "name": "last",
        "canonical_table": "last",
        "reason": None,
        "detail": None,
    }
