"""Random models and queries: the engine on DuckDB and SQLite against the row-by-row evaluator.

The ordinary run takes at least `ACCEPTED` answered queries. `KTX_PROOF=long` takes 100,000 with fresh seeds and prints
what became of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from agreement import Tally, disagreement, opened, report
from generation import Shape, World, random_query, random_world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LONG = os.environ.get("KTX_PROOF") == "long"
PARTS = 8  # separate tests, so that workers share them
ACCEPTED = int(os.environ.get("KTX_PROOF_ACCEPTED", "100000")) if LONG else 2_080
QUERIES = 24 if LONG else 16  # per model
MODELS = ACCEPTED // PARTS // QUERIES * 2  # the runs end once enough are accepted
PARTS_OF_A_SHAPE = ("aliases", "cycles", "one_to_one", "composite_keys", "sql_sources", "computed")

Case = tuple[int, Shape, dict[str, Any]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A seed, the shape of a world and options. Everything shrinks towards less."""
    shape = Shape(
        sources=draw(st.integers(2, 6)),
        most_rows=draw(st.integers(10, 30)),
        fewest_rows=draw(st.sampled_from((1, 10))),
        **{part: draw(st.sampled_from((False, True, True))) for part in PARTS_OF_A_SHAPE},
    )
    options = {
        "week_start": draw(st.sampled_from(("monday", "sunday", "wednesday"))),
        "fiscal_year_start": draw(st.integers(1, 12)),
    }
    return draw(st.integers(0, 2**40)), shape, options


profile = settings(
    deadline=None,
    derandomize=not LONG,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


def check(world: World, rng: Random, options: Mapping[str, Any], tally: Tally, queries: int) -> None:
    """Each query runs on one database in turn, one in eight on both."""
    with opened(world, options) as tables:
        for number in range(queries):
            query = random_query(rng, world)
            chosen = tables if number % 8 == 7 else [tables[number % len(tables)]]
            problem = disagreement(world, query, options, chosen, tally)
            assert problem is None, report(world, query, options, problem or "")


@pytest.mark.parametrize("part", range(PARTS))
def test_answers_are_those_of_the_evaluator(part: int) -> None:
    tally = Tally()

    @settings(profile, max_examples=MODELS)
    @given(cases())
    def run(case: Case) -> None:
        seed, shape, options = case
        if tally.accepted >= ACCEPTED // PARTS:
            return
        rng = Random(f"{part} {seed}")
        check(random_world(rng, shape), rng, options, tally, QUERIES)

    run()
    if LONG:
        print(f"\npart {part}: {dict(sorted(tally.counts.items()))}")
    assert tally.accepted >= ACCEPTED // PARTS, tally.counts
    assert tally.counts["duckdb: database fault"] <= tally.accepted // 100
