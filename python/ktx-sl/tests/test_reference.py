"""The evaluator itself, held to the hand-computed examples."""

import pytest
from databases import same_rows
from reference import Refused, evaluate
from worked import CASES, CITIES_DATA, CITIES_MODEL, SHOP_DATA, SHOP_MODEL, Case

WORLDS = {"shop": (SHOP_MODEL, SHOP_DATA), "cities": (CITIES_MODEL, CITIES_DATA)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_example_by_rows(case: Case) -> None:
    model, data = WORLDS[case.model]
    if case.refusal:
        with pytest.raises(Refused) as refused:
            evaluate(model, data, case.query)
        assert refused.value.code == case.refusal.code
        return
    answer = evaluate(model, data, case.query)
    assert case.rows is not None
    assert same_rows(answer.limited, case.rows, case.ordered), answer.limited
    if case.columns:
        assert answer.columns == case.columns


def test_a_joined_calendar_keeps_days_without_facts() -> None:
    answer = evaluate(SHOP_MODEL, SHOP_DATA, {"measures": ["orders.n"], "dimensions": ["dates.day"]})
    assert len(answer.rows) == 120
    assert sum(row[1] for row in answer.rows) == 6
