"""What must hold between two answers of the engine, whatever the model: no evaluator needed."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from agreement import DIALECTS, Table, opened
from databases import plain_rows, same_row, same_rows
from generation import Query, Shape, World, random_query, random_world
from reference.graph import Graph
from semantic_layer import SemanticLayerError

Rows = list[tuple[Any, ...]]
MODELS, QUERIES, FEWEST = 14, 8, 25  # per invariant and database; at least FEWEST comparisons must have been possible


def answer(table: Table, query: Query) -> Rows | None:
    try:
        return table.run(query)[2]
    except SemanticLayerError:
        return None


def without(query: Query, *keys: str) -> Query:
    return {key: copy.deepcopy(value) for key, value in query.items() if key not in keys}


def over_random_queries(
    dialect: str, seed: str, compare: Callable[[Random, World, Table, Query], bool], shape: Shape | None = None
) -> None:
    """Run `compare`, which asserts and says whether there was anything to compare, over many queries."""
    compared = 0
    for number in range(MODELS):
        rng = Random(f"{seed} {number}")
        world = random_world(rng, shape or Shape(sources=rng.randint(2, 5), most_rows=16))
        with opened(world, {}, (dialect,)) as (table,):
            for _ in range(QUERIES):
                compared += compare(rng, world, table, random_query(rng, world))
    assert compared >= FEWEST


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_added_measure_changes_no_other_column(dialect: str) -> None:
    def compare(rng: Random, world: World, table: Table, query: Query) -> bool:
        base = without(query, "limit", "order_by", "segments")
        if "count(*)" in str(base) or not base["measures"]:
            return False  # a lone count(*) may change its owner
        node = rng.choice(sorted(Graph(world.model).source_of))
        source = Graph(world.model).source_of[node]
        more = base | {"measures": [*base["measures"], f"{node}.{rng.choice(world.model[source]['measures'])['name']}"]}
        before, after = answer(table, base), answer(table, more)
        if not before or after is None:
            return False
        width = len(before[0])
        dimensions = min(len(base["dimensions"]), width)
        if len(set(map(str, base["dimensions"]))) != len(base["dimensions"]):
            return False
        kept = {row[:dimensions]: row[:width] for row in plain_rows(after)}
        for row in plain_rows(before):
            if row[:dimensions] in kept:
                assert same_row(row, kept[row[:dimensions]]), (base, more)
            else:  # only a condition on values may hide a row, and values are the same
                raise AssertionError(f"row {row} is gone: {base} {more}")
        return True

    over_random_queries(dialect, "measure", compare)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_added_dimension_keeps_additive_totals(dialect: str) -> None:
    def compare(rng: Random, world: World, table: Table, query: Query) -> bool:
        graph = Graph(world.model)
        owner = rng.choice(sorted(graph.source_of))
        kinds = world.kinds[graph.source_of[owner]]
        number = rng.choice([column for column, kind in kinds.items() if kind in ("int", "float")])
        reached = sorted(node for node in graph.source_of if graph.reaches(owner, node))
        picked = [rng.choice(reached) for _ in range(2)]
        first, second = (f"{n}.{rng.choice(list(world.kinds[graph.source_of[n]]))}" for n in picked)
        if first == second:
            return False
        base: Query = {
            "measures": [f"sum({owner}.{number})", f"count({owner}.{number})"],
            "dimensions": [first],
            "filters": [f for f in query.get("filters", []) if not re.search(r"\(|\.\w*m\d|derived|deeper", f)],
            "to_many_filters": query.get("to_many_filters", "refuse"),
            "include_empty": query.get("include_empty", True),
        }
        coarse, fine = answer(table, base), answer(table, base | {"dimensions": [first, second], "limit": 100_000})
        total = answer(table, without(base, "dimensions"))
        if coarse is None or fine is None or total is None:
            return False
        for part, keys in ((coarse, 1), (fine, 2)):
            for position in (0, 1):
                whole = sum(row[keys + position] or 0 for row in part)
                assert abs(whole - (total[0][position] or 0)) < 1e-6, base
        by_first: dict[Any, float] = {}
        for row in plain_rows(fine):
            by_first[row[0]] = by_first.get(row[0], 0) + (row[2] or 0)
        for row in plain_rows(coarse):
            assert abs(by_first.get(row[0], 0) - (row[1] or 0)) < 1e-6, base
        return True

    over_random_queries(dialect, "dimension", compare)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_order_of_lists_is_irrelevant(dialect: str) -> None:
    def compare(rng: Random, world: World, table: Table, query: Query) -> bool:
        base = without(query, "limit", "order_by")
        shuffled = {key: rng.sample(v, len(v)) if isinstance(v, list) else v for key, v in base.items()}
        before, after = answer(table, base), answer(table, shuffled)
        assert (before is None) == (after is None), (base, shuffled)
        asked = [*base["dimensions"], *base["measures"]]
        if not before or not after or len(before[0]) != len(asked) or len(set(map(str, asked))) != len(asked):
            return False
        places = [[*shuffled["dimensions"], *shuffled["measures"]].index(part) for part in asked]
        assert same_rows(before, [tuple(row[place] for place in places) for row in after]), (base, shuffled)
        return True

    over_random_queries(dialect, "order", compare)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_list_of_filters_is_the_and_of_bracketed_clauses(dialect: str) -> None:
    def compare(rng: Random, world: World, table: Table, query: Query) -> bool:
        base = without(query, "limit", "order_by")
        if not base.get("filters"):
            return False
        joined = base | {"filters": [" AND ".join(f"({clause})" for clause in base["filters"])]}
        before, after = answer(table, base), answer(table, joined)
        assert (before is None) == (after is None), (base, joined)
        if before is None or after is None:
            return False
        assert same_rows(before, after), (base, joined)
        return True

    over_random_queries(dialect, "filters", compare)


# Reserved words, other alphabets, capitals: all legal names of sources.
ODD_NAMES = ("order", "select", "Group", "été", "from", "Ünïcode", "table", "user")


def renamed(value: Any, names: dict[str, str]) -> Any:
    """`value` with whole-word source names replaced in every text and key."""
    if isinstance(value, str):
        return re.sub(r"\b(" + "|".join(names) + r")\b", lambda m: names[m[0]], value)
    if isinstance(value, list):
        return [renamed(entry, names) for entry in value]
    if isinstance(value, dict):
        return {renamed(key, names): entry if key == "table" else renamed(entry, names) for key, entry in value.items()}
    return value


@pytest.mark.parametrize("dialect", DIALECTS)
def test_renaming_sources_changes_only_names(dialect: str) -> None:
    def compare(rng: Random, world: World, table: Table, query: Query) -> bool:
        base = without(query, "limit", "ambiguous_paths", "order_by")  # by its rule, `warn` chooses by name
        names = dict(zip(world.model, rng.sample(ODD_NAMES, len(world.model)), strict=True))
        other = copy.copy(world)
        other.model = renamed(world.model, names)
        before = answer(table, base)
        with opened(other, {}, (dialect,)) as (again,):
            after = answer(again, renamed(base, names))
        assert (before is None) == (after is None), (base, names)
        if before is None or after is None:
            return False
        assert same_rows(before, after), (base, names)
        return True

    over_random_queries(dialect, "names", compare, Shape(sources=4, most_rows=12, sql_sources=False))
