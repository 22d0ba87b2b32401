"""A defect planted in a copy of the engine fails a test named for it; `python bench/mutations.py` prints the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from mutations import MUTATIONS, Mutation, check


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.defect} {m.what}")
def test_a_planted_defect_fails_a_test_named_for_it(mutation: Mutation, tmp_path: Path) -> None:
    caught, first_failure = check(mutation, tmp_path)
    assert caught, first_failure


def test_every_defect_has_a_mutation() -> None:
    assert {m.defect for m in MUTATIONS} == {f"D{number}" for number in range(1, 21)}
