"""Every worked example, executed on DuckDB and SQLite and compared with rows counted by hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database, same_rows
from semantic_layer import SemanticEngine
from semantic_layer.errors import SemanticLayerError
from semantic_layer.models import SourceDefinition
from worked import CASES, CITIES_DATA, CITIES_MODEL, SHOP_DATA, SHOP_MODEL, Case

WORLDS = {"shop": (SHOP_MODEL, SHOP_DATA), "cities": (CITIES_MODEL, CITIES_DATA)}
DIALECTS = ("duckdb", "sqlite")


@pytest.fixture(scope="module", params=DIALECTS)
def databases(request: pytest.FixtureRequest) -> Iterator[dict[str, Database]]:
    opened = {world: Database(request.param, data) for world, (_, data) in WORLDS.items()}
    yield opened
    for database in opened.values():
        database.close()


def engine(model: dict[str, Any], dialect: str) -> SemanticEngine:
    return SemanticEngine.from_sources(
        {name: SourceDefinition.model_validate(source) for name, source in model.items()}, dialect=dialect
    )


def check(case: Case, model: dict[str, Any], database: Database) -> None:
    assert case.rows is not None
    result = engine(model, database.dialect).query(case.query)
    columns, rows = database.run(result.sql)
    assert same_rows(rows, case.rows, case.ordered), f"{result.sql}\n{rows}"
    assert columns == [column.alias for column in result.columns]
    if case.columns:
        assert columns == case.columns
    codes = [warning.code for warning in result.resolved_plan.warnings]
    assert case.warns is None or case.warns in codes


@pytest.mark.parametrize("case", [c for c in CASES if c.rows], ids=lambda case: case.name)
def test_answer(case: Case, databases: dict[str, Database]) -> None:
    check(case, WORLDS[case.model][0], databases[case.model])


@pytest.mark.parametrize("case", [c for c in CASES if c.refusal], ids=lambda case: case.name)
def test_refusal(case: Case) -> None:
    model, _ = WORLDS[case.model]
    with pytest.raises(SemanticLayerError) as refused:
        engine(model, "duckdb").query(case.query)
    assert case.refusal is not None
    assert refused.value.code == case.refusal.code
    for fragment in case.refusal.fragments:
        assert fragment in str(refused.value)
    if case.refusal.repair:
        assert refused.value.repair is not None
        assert case.refusal.repair in str(refused.value.repair)
        engine(model, "duckdb").query(refused.value.repair)


INVERSE = {"many_to_one": "one_to_many", "one_to_many": "many_to_one", "one_to_one": "one_to_one"}


def declared_at_the_other_end(model: dict[str, Any]) -> dict[str, Any]:
    """The same edges, unaliased ones written at their target."""
    turned = copy.deepcopy(model)
    for name, source in model.items():
        for join in source.get("joins", []):
            if not join.get("alias"):
                own, target = join["on"].split(" = ")
                turned[name]["joins"].remove(join)
                turned[join["to"]].setdefault("joins", []).append(
                    {"to": name, "on": f"{target} = {name}.{own}", "relationship": INVERSE[join["relationship"]]}
                )
    return turned


def lists_reversed(model: dict[str, Any]) -> dict[str, Any]:
    turned = {}
    for name, source in reversed(model.items()):
        turned[name] = {key: value[::-1] if isinstance(value, list) else value for key, value in source.items()}
    return turned


@pytest.mark.parametrize("databases", ["duckdb"], indirect=True)  # rewriting is the same for every dialect
@pytest.mark.parametrize("rewrite", [declared_at_the_other_end, lists_reversed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", [c for c in CASES if c.rows], ids=lambda case: case.name)
def test_the_way_a_model_is_written_down_does_not_matter(
    case: Case, rewrite: Any, databases: dict[str, Database]
) -> None:
    check(case, rewrite(WORLDS[case.model][0]), databases[case.model])
