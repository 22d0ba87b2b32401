"""Faults of a model, one per row."""

from __future__ import annotations

from typing import Any

import pytest
from semantic_layer.models import SourceDefinition, ValidationReport
from semantic_layer.validate import validate
from worked import SHOP_MODEL

Sources = list[dict[str, Any]]


def source(name: str, *columns: str, **rest: Any) -> dict[str, Any]:
    """Columns `id`, then those named; `x=expr` is a computed one."""
    listed = [{"name": "id", "type": "number"}]
    for column in columns:
        column_name, _, expr = column.partition("=")
        listed.append({"name": column_name, "type": "number"} | ({"expr": expr} if expr else {}))
    return {"name": name, "table": f"shop.{name}", "grain": ["id"], "columns": listed, **rest}


def join(to: str, on: str, relationship: str = "many_to_one", **rest: Any) -> dict[str, Any]:
    return {"to": to, "on": on, "relationship": relationship, **rest}


def report(sources: Sources, touched: set[str] | None = None) -> ValidationReport:
    return validate({s["name"]: SourceDefinition.model_validate(s) for s in sources}, "postgres", touched)


A = source("a", "b_id", "x")
B = source("b", "x")


def a(**rest: Any) -> dict[str, Any]:
    return {**A, **rest}


def measures(**texts: str) -> list[dict[str, str]]:
    return [{"name": name, "expr": text} for name, text in texts.items()]


@pytest.mark.parametrize(
    ("sources", "fragments"),
    [
        ([a(joins=[join("c", "b_id = c.id")])], ["'c' is not defined"]),
        ([a(grain=["a.id"])], ["'a.id' is qualified"]),
        ([a(columns=[{"name": "a.id", "type": "number"}])], ["'a.id' must be unqualified"]),
        ([a(grain=["key"])], ["grain column 'key' is not in columns"]),
        ([a(table=None, sql="SELECT b_id FROM t")], ["grain column 'id' is not in the SELECT projection"]),
        ([a(joins=[join("b", "b_id > b.id")]), B], ["Invalid join condition"]),
        ([a(joins=[join("b", "b_id = b.id OR x = b.x")]), B], ["Invalid join condition"]),
        ([a(joins=[join("b", "missing = b.id")]), B], ["a.missing, which is not in the columns list"]),
        ([a(joins=[join("b", "b_id = b.missing")]), B], ["b.missing, which is not in the columns list"]),
        ([source("a", "y=id + 1", joins=[join("b", "y = b.id")]), B], ["computed column a.y"]),
        ([source("a", "b_name", joins=[join("b", "b_name = b.id")]), B], ["display column 'b_name'"]),
        ([source("a", "email", joins=[join("b", "email = b.id", "one_to_one")]), B], ["display column 'email'"]),
        ([source("a", "x", "x")], ["duplicate column name 'x'"]),
        ([a(measures=measures(m="sum(x)") + measures(m="max(x)"))], ["duplicate measure name 'm'"]),
        ([a(segments=[{"name": "s", "expr": "x = 1"}] * 2)], ["duplicate segment name 's'"]),
        ([a(joins=[join("b", "b_id = id", alias="b")]), B], ["alias 'b'"]),
        (
            [a(joins=[join("b", "b_id = id", alias="z"), join("c", "x = id", alias="z")]), B, source("c")],
            ["alias 'z'"],
        ),
        ([a(joins=[join("a", "x = id")])], ["joins itself"]),
        (
            [a(joins=[join("b", "b_id = b.id")]), source("b", "x", joins=[join("a", "id = a.b_id")])],
            ["contradict", "many_to_one and one_to_many"],
        ),
        ([a(measures=measures(m="sum(x"))], ["a.measures.m"]),
        ([a(measures=measures(m="sum(nope)"))], ["a.measures.m", "Available: "]),
        ([a(measures=measures(m="x + 1"))], ["a.measures.m", "'x' stands outside an aggregate"]),
        ([a(measures=measures(m="1 + 1"))], ["a.measures.m", "no aggregate"]),
        ([a(measures=measures(m="n + 1", n="m - 1"))], ["Circular dependency"]),
        ([a(measures=[{"name": "m", "expr": "sum(x)", "segments": ["nope"]}])], ["unknown segment 'nope'"]),
        (
            [
                a(joins=[join("b", "b_id = b.id")]),
                source("b", measures=[{"name": "m", "expr": "sum(id)", "filter": "a.x > 1"}]),
            ],
            ["b.measures.m needs 'a'", "not reachable via many_to_one"],
        ),
        (
            [a(joins=[join("b", "b_id = b.id")]), source("b", segments=[{"name": "s", "expr": "a.x > 1"}])],
            ["b.segments.s needs 'a'"],
        ),
        ([a(segments=[{"name": "s", "expr": "nope = 1"}])], ["a.segments.s", "nope"]),
        ([source("a", "y=nope + 1")], ["column 'y': 'nope' does not exist"]),
        ([source("a", "y=sum(id)")], ["column 'y' aggregates"]),
        ([source("a", "y=z + 1", "z=y + 1")], ["Circular dependency between columns"]),
        ([source("a", "y=b.x"), B], ["column 'y' reads b.x"]),
    ],
)
def test_error(sources: Sources, fragments: list[str]) -> None:
    found = report(sources)
    assert not found.valid
    for fragment in fragments:
        assert any(fragment in error for error in found.errors), found.errors


def sql(text: str, *columns: str, **rest: Any) -> dict[str, Any]:
    return {**source("s", *columns, **rest), "table": None, "sql": text}


@pytest.mark.parametrize(
    ("body", "key", "flagged"),
    [
        (sql("SELECT id, b_id FROM shop.b"), "b", True),
        (sql("SELECT o.id, o.b_id FROM b o"), "b", True),
        (sql("SELECT id, b_id FROM other.b"), "b", False),
        (sql("SELECT id, b_id FROM shop.b", joins=[join("b", "b_id = b.id")]), "b", False),
        (sql("SELECT count(*) AS n FROM shop.b", grain=["n"]), "b", False),
        (sql("SELECT x AS other FROM shop.b", "other", grain=["other"]), "b", False),
        ({**sql("SELECT company_id, n AS k FROM shop.companies"), "columns": [], "grain": ["k"]}, "companies", True),
        ({**sql("SELECT customer_id, n AS k FROM shop.customers"), "columns": [], "grain": ["k"]}, "customers", True),
        ({**sql("SELECT parent_code, n AS k FROM shop.b"), "columns": [], "grain": ["k"]}, "b", False),
    ],
)
def test_a_written_select_that_returns_a_key_joins_its_source(body: dict[str, Any], key: str, flagged: bool) -> None:
    sources = [{**body, "columns": [c for c in body["columns"] if c["name"] in body["sql"]]}, source(key)]
    untouched, touched = report(sources), report(sources, {"s"})
    assert not any("joins[]" in error for error in untouched.errors)
    assert any("joins[]" in error for error in touched.errors) is flagged, touched.errors


def test_a_key_that_is_not_called_id() -> None:
    customers = source("customers", "code", grain=["code"])
    for returned, flagged in (("code", True), ("customer_code", True), ("codes", False)):
        select = {**sql(f"SELECT k, {returned} FROM customers"), "columns": [], "grain": ["k"]}
        assert any("joins[]" in e for e in report([customers, select], {"s"}).errors) is flagged


@pytest.mark.parametrize(
    ("sources", "fragment"),
    [
        ([a(joins=[join("b", "b_id = b.x")]), B], "which is not its grain (id)"),
        ([a(joins=[join("b", "b_id = b.id"), join("b", "x = b.id")]), B], "2 unaliased joins to 'b'"),
        ([A, B], "2 disconnected components: [a]; [b]"),
        (
            [source(n, joins=[join("hub", f"id = {n}.id")] if n != "hub" else []) for n in ("hub", "p", "q", "r", "s")]
            + [source("lone")],
            "2 disconnected components: [hub, p, ... (+3 more)]; [lone]",
        ),
    ],
)
def test_warning(sources: Sources, fragment: str) -> None:
    found = report(sources)
    assert any(fragment in warning for warning in found.warnings), found.warnings


def test_a_touched_source_without_joins_is_a_singleton() -> None:
    assert "singleton" in report([A, B], {"a"}).per_source_warnings["a"][0]
    assert report([A, B]).per_source_warnings == {}
    assert report([a(joins=[join("b", "b_id = b.id")]), B], {"a"}).per_source_warnings == {}


def test_a_sound_model_has_no_errors() -> None:
    found = report(list(SHOP_MODEL.values()), set(SHOP_MODEL))
    assert found.valid
    assert (found.errors, found.warnings, found.per_source_warnings) == ([], [], {})


def test_a_star_hides_the_projection() -> None:
    assert report([a(table=None, sql="SELECT * FROM t")]).valid


def test_an_expression_may_use_a_parent_and_a_column_its_own_physical_name() -> None:
    orders = source(
        "a", "b_id", "x=coalesce(x, 0)", joins=[join("b", "b_id = b.id")], measures=measures(m="sum(x * b.x)")
    )
    assert report([orders, B]).valid
