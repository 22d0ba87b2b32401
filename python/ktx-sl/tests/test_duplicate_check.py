"""Measures that say the same thing twice."""

from __future__ import annotations

from typing import Any

import pytest
from semantic_layer.duplicate_check import validate_measure_duplicates
from semantic_layer.models import SourceDefinition


def orders(*measures: dict[str, Any]) -> dict[str, SourceDefinition]:
    source = SourceDefinition.model_validate(
        {
            "name": "orders",
            "table": "orders",
            "grain": ["id"],
            "columns": [],
            "measures": [{"name": f"m{i}", **measure} for i, measure in enumerate(measures)],
        }
    )
    return {"orders": source}


SAME, FILTER = "same expression and filter", "differs only by `filter`"


@pytest.mark.parametrize(
    ("first", "second", "fragment"),
    [
        ({"expr": "sum(total)"}, {"expr": "SUM( total )"}, SAME),
        ({"expr": "sum(total)"}, {"expr": "sum(orders.total)"}, SAME),
        ({"expr": "sum(total)"}, {"expr": "(sum((total)))"}, SAME),
        ({"expr": "sum(total)", "filter": "a = 1"}, {"expr": "sum(total)", "filter": "a=1"}, SAME),
        ({"expr": "sum(total)", "segments": ["a", "b"]}, {"expr": "sum(total)", "segments": ["b", "a"]}, SAME),
        ({"expr": "sum(total)", "filter": "a = 1"}, {"expr": "sum(total)"}, FILTER),
        ({"expr": "sum(total)", "filter": "a = 1"}, {"expr": "sum(total)", "filter": "a = 2"}, FILTER),
        ({"expr": "sum(total)"}, {"expr": "sum(other)"}, None),
        ({"expr": "sum(total)"}, {"expr": "avg(total)"}, None),
        ({"expr": "sum(total)"}, {"expr": "sum(customers.total)"}, None),
        ({"expr": "sum(a) - (sum(b) - sum(c))"}, {"expr": "sum(a) - sum(b) - sum(c)"}, None),
        ({"expr": "sum(total)", "segments": ["a"]}, {"expr": "sum(total)"}, None),
        ({"expr": "sum("}, {"expr": "sum( "}, SAME),
    ],
)
def test_pair(first: dict[str, Any], second: dict[str, Any], fragment: str | None) -> None:
    found = validate_measure_duplicates(orders(first, second), dialect="postgres")
    assert len(found) == (0 if fragment is None else 1)
    assert fragment is None or (fragment in found[0] and "'m0' and 'm1'" in found[0])


def test_sources_are_apart() -> None:
    one = orders({"expr": "sum(total)"})["orders"]
    assert validate_measure_duplicates([one, one.model_copy(update={"name": "other"})]) == []
