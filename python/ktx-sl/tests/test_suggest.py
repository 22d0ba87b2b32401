"""Advice on queries that do not answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from semantic_layer import SemanticEngine, SemanticQuery
from semantic_layer.models import SourceDefinition
from worked import SHOP_MODEL


def engine(*sources: dict[str, Any]) -> SemanticEngine:
    definitions = {s["name"]: SourceDefinition.model_validate(s) for s in sources or SHOP_MODEL.values()}
    return SemanticEngine.from_sources(definitions, dialect="duckdb")


def source(name: str, *columns: str, **rest: Any) -> dict[str, Any]:
    listed = [{"name": column, "type": "number"} for column in ("id", *columns)]
    return {"name": name, "table": name, "grain": ["id"], "columns": listed, **rest}


def test_a_query_that_answers() -> None:
    advice = engine().suggest({"measures": ["orders.revenue"]})
    assert advice["success"] is True
    assert advice["suggestions"] == []
    assert advice["plan"]["sources_used"] == ["orders"]


def test_a_refusal_with_its_repair_and_plan() -> None:
    advice = engine().suggest(SemanticQuery(measures=["orders.revenue"], dimensions=["products.category"]))
    assert advice["success"] is False
    assert (advice["code"], advice["referenced_sources"]) == ("fan_out", ["orders", "products"])
    assert advice["plan"]["has_fan_out"] is True
    assert engine().query(advice["repair"])
    assert advice["suggestions"][0]["notes"]
    json.dumps(advice)


def test_a_source_that_does_not_exist() -> None:
    advice = engine().suggest({"measures": ["sum(order.total)"], "dimensions": ["customers.name"]})
    assert advice["code"] == "unknown_source"
    assert (advice["missing_sources"], advice["referenced_sources"]) == (["order"], ["customers"])
    assert advice["candidates"][0]["value"] == "orders"


@pytest.mark.parametrize(
    ("columns", "on"),
    [
        (["customer_id"], "customer_id = customers.id"),
        (["customers_id"], "customers_id = customers.id"),
        ([], "<column> = customers.id"),
    ],
)
def test_unconnected_sources_get_a_join_proposal(columns: list[str], on: str) -> None:
    advice = engine(source("orders", *columns), source("customers")).suggest(
        {"measures": ["count(orders.id)"], "dimensions": ["customers.id"]}
    )
    assert any("Disconnected components: 2" in error for error in advice["graph_errors"])
    proposal = advice["suggestions"][0]
    if "<" not in on:
        assert proposal["required_joins"] == [
            {"source": "orders", "to": "customers", "on": on, "relationship": "many_to_one"}
        ]
    assert proposal["required_joins"][0]["relationship"] == "many_to_one"
    assert proposal["required_sources"]
    assert proposal["notes"]


def test_a_dangling_join_is_a_graph_error() -> None:
    dangling = source("orders", "x", joins=[{"to": "nowhere", "on": "x = nowhere.id", "relationship": "many_to_one"}])
    advice = engine(dangling).suggest({"measures": ["count(orders.id)"]})
    assert (advice["success"], advice["code"]) == (False, "undefined_target")
    assert any("'nowhere'" in error for error in advice["graph_errors"])


def test_a_malformed_query_is_advised_on_too() -> None:
    advice = engine().suggest({"measures": 3})
    assert (advice["success"], advice["code"], advice["suggestions"]) == (False, "invalid_query", [])
