"""Subqueries in the model's text: what they say of the row around them holds under every name that row bears."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from databases import Database, same_rows
from semantic_layer import SemanticEngine, SemanticLayerError
from worked import SHOP_DATA, SHOP_MODEL

HIGH = "exists(select 1 from tickets t where t.customer_id = customers.id and t.priority = 'high')"
COLUMNS = [
    {"name": "high", "type": "boolean", "expr": HIGH},
    {"name": "tenth", "type": "number", "expr": "credit / 10"},
    {
        "name": "hidden_by",
        "type": "boolean",
        "expr": HIGH.replace("tickets t", "tickets ship_to").replace(" t.", " ship_to.").replace("(t.", "(ship_to."),
    },
    {"name": "top", "type": "boolean", "expr": "credit = (select max(customers.credit) from customers)"},
]
MEASURES = [
    {"name": "high_credit", "expr": "sum(credit)", "filter": HIGH},
    {"name": "exact", "expr": "count(id)", "filter": "exists(select 1 from tickets t where t.customer_id = customers.id and t.minutes = customers.tenth)"},
    {"name": "outside", "expr": "sum(credit) * (select max(t.minutes) from tickets t where t.customer_id = customers.id)"},
    {"name": "share", "expr": "sum(credit) / (select sum(credit) from customers)"},
]  # fmt: skip


def model() -> dict[str, Any]:
    sources = copy.deepcopy(dict(SHOP_MODEL))
    sources["customers"]["columns"] += COLUMNS
    sources["customers"]["measures"] += MEASURES
    sources["orders"]["measures"].append({"name": "high_total", "expr": "sum(total)", "filter": HIGH})
    return sources


DUCKDB = SemanticEngine.from_sources(model(), dialect="duckdb")

CASES: list[tuple[dict[str, Any], list[tuple[Any, ...]]]] = [
    (
        {"measures": ["orders.n"], "dimensions": ["customers.high", "ship_to.high"], "include_empty": False},
        [(True, True, 3), (False, True, 1), (True, False, 1), (None, False, 1)],
    ),
    (
        {"measures": ["ship_to.high_credit"], "dimensions": ["ship_to.name"]},
        [("Ada", 100), ("Ben", 50), ("Cy", None), ("Dot", None), ("Eli", 40)],
    ),
    (
        {"measures": ["orders.high_total"], "dimensions": ["orders.status"]},
        [("open", 60), ("paid", 60), ("refunded", 30)],
    ),
    ({"measures": ["customers.exact", "ship_to.exact"]}, [(1, 1)]),
    ({"measures": ["orders.n"], "filters": ["ship_to.top"]}, [(2,)]),
    ({"measures": ["customers.n"], "dimensions": ["customers.hidden_by"]}, [(True, 3), (False, 2)]),
    ({"measures": ["customers.share"]}, [(1.0,)]),
]


@pytest.mark.parametrize(("query", "expected"), CASES)
def test_a_subquery_sees_the_row_it_was_written_for(query: dict[str, Any], expected: list[tuple[Any, ...]]) -> None:
    _, rows = Database("duckdb", SHOP_DATA).run(DUCKDB.query(query).sql)
    assert same_rows(rows, expected), rows


def test_a_table_that_hides_the_row_around_it_is_refused_where_it_does() -> None:
    with pytest.raises(SemanticLayerError, match=r"'customers\.id'.*'ship_to', which hides it") as caught:
        DUCKDB.query({"measures": ["orders.n"], "dimensions": ["ship_to.hidden_by"]})
    assert caught.value.code == "invalid_model"


def test_a_column_of_the_row_around_is_checked_like_any_other() -> None:
    with pytest.raises(SemanticLayerError) as caught:
        DUCKDB.query({"measures": ["customers.outside"]})
    assert caught.value.code == "not_aggregated"
    sources = model()
    sources["customers"]["measures"][-1]["filter"] = HIGH.replace("customers.id", "customers.nosuch")
    with pytest.raises(SemanticLayerError, match="nosuch"):
        SemanticEngine.from_sources(sources, dialect="duckdb").query({"measures": ["customers.share"]})
