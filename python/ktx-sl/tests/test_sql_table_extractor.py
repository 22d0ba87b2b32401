"""What a SELECT reads and returns."""

from __future__ import annotations

import pytest
from semantic_layer.sql_table_extractor import (
    extract_projected_columns,
    extract_table_refs,
    normalize_table,
    ref_matches_source_table,
)


@pytest.mark.parametrize(
    ("sql", "refs"),
    [
        ("SELECT * FROM A.B.C", [("a", "b", "c")]),
        ("SELECT * FROM b JOIN a ON a.x = b.x, c", [("b",), ("a",), ("c",)]),
        ("SELECT * FROM a WHERE x IN (SELECT x FROM s.d) UNION ALL SELECT * FROM a", [("a",), ("s", "d")]),
        ("WITH c AS (SELECT * FROM a) SELECT * FROM c", [("a",)]),
        ("WITH c AS (SELECT * FROM c) SELECT * FROM c", [("c",)]),
        ("WITH c AS (SELECT * FROM a) SELECT * FROM s.c", [("a",), ("s", "c")]),
        ("WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c) SELECT * FROM c", []),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", []),
        ("WITH b AS (SELECT * FROM a), a AS (SELECT 1) SELECT * FROM b", [("a",)]),
        ("SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) x JOIN c ON true", [("c",)]),
        ('SELECT * FROM "Odd Name"."T.x"', [("odd name", "t.x")]),
        ("SELECT * FROM generate_series(1, 2)", []),
        ("SELECT 1", []),
        ("not sql at all (", []),
        ("SELECT * FROM a; SELECT * FROM b", []),
    ],
)
def test_tables_read(sql: str, refs: list[tuple[str, ...]]) -> None:
    assert extract_table_refs(sql, "postgres") == refs


@pytest.mark.parametrize(
    ("name", "parts"),
    [("A.B.C", ("a", "b", "c")), ('"A.x".`b`', ("a.x", "b")), ("[dbo].[T]", ("dbo", "t")), ("db..t", ("db", "t"))],
)
def test_normalised_name(name: str, parts: tuple[str, ...]) -> None:
    assert normalize_table(name) == parts


@pytest.mark.parametrize(
    ("ref", "table", "matches"),
    [
        (("orders",), "shop.orders", True),
        (("shop", "orders"), "db.Shop.Orders", True),
        (("shop", "orders"), "orders", False),
        (("rders",), "shop.orders", False),
        (("other", "orders"), "shop.orders", False),
        ((), "orders", False),
    ],
)
def test_a_reference_matches_a_tail(ref: tuple[str, ...], table: str, matches: bool) -> None:
    assert ref_matches_source_table(ref, table) is matches


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT id, a.b, x + 1 AS y FROM a", {"id", "b", "y"}),
        ("WITH c AS (SELECT 1) SELECT id FROM c", {"id"}),
        ("SELECT id FROM a UNION SELECT other FROM b", {"id"}),
        ("(SELECT id FROM a)", {"id"}),
        ("SELECT * FROM a", None),
        ("SELECT a.*, 1 AS x FROM a", None),
        ("DROP TABLE a", None),
        ("SELECT (", None),
    ],
)
def test_columns_returned(sql: str, columns: set[str] | None) -> None:
    assert extract_projected_columns(sql, "postgres") == columns
