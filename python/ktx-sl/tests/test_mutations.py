"""The defects of the mutation check still fit the source: `python bench/mutations.py` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from mutations import MUTATIONS, Mutation, fits


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.defect} {m.what}")
def test_the_text_to_change_is_there_once(mutation: Mutation) -> None:
    assert fits(mutation)
    assert mutation.new != mutation.old


def test_every_defect_has_a_mutation() -> None:
    assert {m.defect for m in MUTATIONS} == {f"D{number}" for number in range(1, 21)}
