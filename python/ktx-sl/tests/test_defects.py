"""Twenty ways engines of this kind go wrong, each executed on DuckDB and SQLite, or refused."""

from __future__ import annotations

import copy
from datetime import date, datetime
from typing import Any

import pytest
from databases import Database, same_rows
from semantic_layer import SemanticEngine, SemanticLayerError
from worked import SHOP_DATA, SHOP_MODEL

Model = dict[str, dict[str, Any]]
Rows = list[tuple[Any, ...]]


def answer(
    query: dict[str, Any],
    dialect: str,
    model: Model = SHOP_MODEL,
    data: Any = SHOP_DATA,
) -> Rows:
    engine = SemanticEngine.from_sources(copy.deepcopy(model), dialect=dialect)
    with Database(dialect, data) as database:
        return database.run(engine.query(query).sql)[1]


def refusal(query: dict[str, Any], model: Model = SHOP_MODEL) -> SemanticLayerError:
    with pytest.raises(SemanticLayerError) as refused:
        SemanticEngine.from_sources(copy.deepcopy(model), dialect="duckdb").query(query)
    return refused.value


def q(measures: list[Any], dimensions: list[Any] | None = None, **rest: Any) -> dict[str, Any]:
    return {"measures": measures, "dimensions": dimensions or [], **rest}


def table(name: str, columns: dict[str, str], grain: list[str] | None = None, **rest: Any) -> dict[str, Any]:
    listed = [{"name": column, "type": kind} for column, kind in columns.items()]
    return {"name": name, "table": name, "grain": grain or ["id"], "columns": listed, **rest}


SEGMENT = ["customers.segment"]
ANSWERS: list[tuple[str, dict[str, Any], Rows]] = [
    ("D1 a derived measure of a derived one is bracketed", q(["orders.net_pct"]), [(199 / 230,)]),
    (
        "D2 an OR in a list of filters is bracketed",
        q(["orders.n"], filters=["status = 'paid' OR status = 'open'", "total > 30"]),
        [(3,)],
    ),
    (
        "D3 a filter applies though no dimension needs its source",
        q(["orders.revenue"], filters=["customers.segment = 'retail'"]),
        [(60,)],
    ),
    (
        "D4 a member without facts counts 0, not 1",
        q(["orders.rows"], ["regions.name"]),
        [("North", 3), ("South", 1), ("West", 0), (None, 2)],
    ),
    (
        "D5 an unmatched or NULL key is a group of its own",
        q(["orders.revenue", "orders.n"], SEGMENT),
        [("retail", 60, 3), ("trade", 100, 1), (None, 70, 2)],
    ),
    (
        "D6 two facts meet in one row of the NULL key",
        q(["orders.revenue", "tickets.tc"], SEGMENT),
        [("retail", 60, 3), ("trade", 100, 1), (None, 70, 1)],
    ),
    ("D7 a measure's filter on another source leaves its siblings", q(["orders.gross", "orders.vip_rev"]), [(260, 70)]),
    (
        "D8 also without empty groups",
        q(["orders.gross", "orders.vip_rev"], include_empty=False),
        [(260, 70)],
    ),
    ("D9 one expression over two facts", q(["sum(orders.total) / count(customers.id)"]), [(52.0,)]),
    (
        "D13 a filter on a derived measure is on its leaves",
        q(["orders.paid_net"]),
        [(170 - 20,)],
    ),
    (
        "D17 two expressions with one automatic name are two columns",
        q(["sum(total + 1)", "sum(total - 1)"]),
        [(266, 254)],
    ),
]


@pytest.fixture(scope="module")
def model() -> Model:
    found = copy.deepcopy(SHOP_MODEL)
    found["orders"]["measures"].append({"name": "paid_net", "expr": "gross - ship", "filter": "status = 'paid'"})
    return found


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
@pytest.mark.parametrize(("query", "rows"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS])
def test_answer(query: dict[str, Any], rows: Rows, dialect: str, model: Model) -> None:
    assert same_rows(answer(query, dialect, model), rows)


def test_d17_columns_with_one_automatic_name_are_told_apart(model: Model) -> None:
    result = SemanticEngine.from_sources(model, dialect="duckdb").query(q(["sum(total + 1)", "sum(total - 1)"]))
    with Database("duckdb", SHOP_DATA) as database:
        columns, _ = database.run(result.sql)
    assert columns == [column.alias for column in result.columns] == ["sum_total_1", "sum_total_1_2"]


def test_d10_a_measure_on_an_alias_does_not_reach_a_dimension_of_its_sibling() -> None:
    error = refusal(q(["ship_to.credit_sum"], ["customers.name"]))
    assert error.code == "fan_out"
    assert same_rows(
        answer(q(["ship_to.credit_sum"], ["ship_to.name"], filters=["ship_to.id < 3"]), "duckdb"),
        [("Ada", 100), ("Ben", 50)],
    )


CYCLE: Model = {
    "customers": table(
        "customers",
        {"id": "number", "last_order_id": "number", "name": "string"},
        joins=[{"to": "orders", "on": "last_order_id = orders.id", "relationship": "many_to_one"}],
        measures=[{"name": "n", "expr": "count(id)"}],
    ),
    "orders": table(
        "orders",
        {"id": "number", "customer_id": "number", "status": "string", "total": "number"},
        joins=[{"to": "customers", "on": "customer_id = customers.id", "relationship": "many_to_one"}],
        measures=[{"name": "gross", "expr": "sum(total)"}],
    ),
}
CYCLE_DATA = {
    "customers": [{"id": 1, "last_order_id": 11, "name": "Ada"}, {"id": 2, "last_order_id": None, "name": "Ben"}],
    "orders": [
        {"id": 10, "customer_id": 1, "status": "paid", "total": 5},
        {"id": 11, "customer_id": 1, "status": "open", "total": 7},
        {"id": 12, "customer_id": 2, "status": "paid", "total": 9},
    ],
}


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_d11_cyclic_joins_use_one_path_for_check_and_sql(dialect: str) -> None:
    rows = answer(q(["orders.gross"], ["customers.name"], include_empty=False), dialect, CYCLE, CYCLE_DATA)
    assert same_rows(rows, [("Ada", 12), ("Ben", 9)])
    rows = answer(q(["customers.n"], ["orders.status"], include_empty=False), dialect, CYCLE, CYCLE_DATA)
    assert same_rows(rows, [("open", 1), (None, 1)])


ONE_TO_ONE: Model = {
    "carts": table(
        "carts",
        {"id": "number", "a": "number"},
        joins=[{"to": "checkouts", "on": "id = checkouts.id", "relationship": "one_to_one"}],
        measures=[{"name": "a_sum", "expr": "sum(a)"}],
    ),
    "checkouts": table("checkouts", {"id": "number", "b": "number"}, measures=[{"name": "b_sum", "expr": "sum(b)"}]),
}


@pytest.mark.parametrize("measures", [["carts.a_sum", "checkouts.b_sum"], ["sum(carts.a)", "sum(checkouts.b)"]])
@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_d12_one_to_one_facts_keep_their_unmatched_rows(dialect: str, measures: list[str]) -> None:
    data = {
        "carts": [{"id": 1, "a": 1}, {"id": 2, "a": 10}],
        "checkouts": [{"id": 2, "b": 100}, {"id": 3, "b": 1000}],
    }
    assert same_rows(answer(q(measures), dialect, ONE_TO_ONE, data), [(11, 1100)])
    rows = answer(q(measures, ["checkouts.id"]), dialect, ONE_TO_ONE, data)
    assert same_rows(rows, [(2, 10, 100), (3, None, 1000), (None, 1, None)])


HIDDEN: Model = copy.deepcopy(SHOP_MODEL)
for _column in HIDDEN["customers"]["columns"]:
    if _column["name"] == "credit":
        _column["visibility"] = "hidden"


@pytest.mark.parametrize(
    "query",
    [
        q(["sum(customers.credit)"]),
        q(["sum(credit)"]),
        q(["sum(ship_to.credit)"]),
        q(["orders.n"], ["customers.credit"]),
        q(["orders.n"], ["credit"]),
        q(["orders.n"], filters=["credit > 1"]),
        q(["orders.n"], filters=["ship_to.credit > 1"]),
        q(["orders.n"], filters=["sum(customers.credit) > 1"]),
        q(["orders.n"], order_by=["sum(customers.credit)"]),
        q(["orders.n"], order_by=["customers.credit"]),
    ],
    ids=lambda query: str(query)[:90],
)
def test_d14_a_hidden_column_is_refused_everywhere(query: dict[str, Any]) -> None:
    assert refusal(query, HIDDEN).code == "hidden_column"


def test_d14_a_hidden_column_is_refused_in_a_subquery() -> None:
    query = q(["orders.n"], filters=["total > (select max(credit) from customers)"])
    assert refusal(query, HIDDEN).code == "forbidden"


def test_d14_the_model_may_use_hidden_columns() -> None:
    assert same_rows(answer(q(["customers.credit_sum"]), "duckdb", HIDDEN), [(470,)])


def joined(on: str, relationship: str = "many_to_one") -> Model:
    found = copy.deepcopy(SHOP_MODEL)
    found["tickets"]["joins"] = [{"to": "customers", "on": on, "relationship": relationship}]
    return found


@pytest.mark.parametrize(
    "on",
    [
        "customer_id = customers.id",
        "customers.id = tickets.customer_id",
        "tickets.customer_id = customers.id",
        "customers.id = customer_id",
        "customer_id = id",
        "anything.customer_id = customers.id",
        "customers.id = anything.customer_id",
    ],
)
def test_d15_a_side_of_a_join_is_known_by_its_qualifier(on: str) -> None:
    rows = answer(q(["tickets.tc"], ["customers.name"], include_empty=False), "duckdb", joined(on))
    assert same_rows(rows, [("Ada", 2), ("Ben", 1), ("Dot", 1), ("Eli", 1)])


@pytest.mark.parametrize(
    "on",
    [
        "customer_id = customers.id OR customers.id = 1",
        "(customer_id = customers.id) = true",
        "customer_id = customers.id = 1",
        "customer_id > customers.id",
        "customers.name = 'Ada'",
        "true",
    ],
)
def test_d16_a_join_that_is_no_chain_of_equalities_is_refused(on: str) -> None:
    error = refusal(q(["tickets.tc"], ["customers.name"]), joined(on))
    assert error.code == "invalid_model"
    assert "Invalid join condition" in str(error)


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_d16_a_constant_in_a_join_is_kept(dialect: str) -> None:
    model = joined("customer_id = customers.id AND customers.segment = 'trade'")
    rows = answer(q(["tickets.tc"], ["customers.name"], include_empty=False), dialect, model)
    assert same_rows(rows, [("Dot", 1), (None, 4)])


TIMES: Model = {
    "events": table("events", {"id": "number", "at": "time"}, measures=[{"name": "n", "expr": "count(id)"}])
}
TIMES_DATA = {
    "events": [
        {"id": 1, "at": datetime(2025, 1, 5, 23, 59, 59)},  # a Sunday
        {"id": 2, "at": datetime(2025, 1, 6, 0, 0)},
        {"id": 3, "at": datetime(2025, 1, 6, 10, 30)},
    ]
}


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
@pytest.mark.parametrize(
    ("granularity", "rows"),
    [
        ("week", [(date(2024, 12, 30), 1), (date(2025, 1, 6), 2)]),
        (
            "hour",
            [(datetime(2025, 1, 5, 23), 1), (datetime(2025, 1, 6, 0), 1), (datetime(2025, 1, 6, 10), 1)],
        ),
    ],
)
def test_d18_weeks_are_iso_weeks_and_hours_keep_their_hour(granularity: str, rows: Rows, dialect: str) -> None:
    query = q(["events.n"], [{"field": "events.at", "granularity": granularity}])
    assert same_rows(answer(query, dialect, TIMES, TIMES_DATA), rows)


@pytest.mark.parametrize("granularity", ["month')) --", "MONTH; drop table orders", "decade", "m"])
def test_d19_a_crafted_granularity_is_refused(granularity: str) -> None:
    error = refusal(q(["orders.n"], [{"field": "orders.ordered_on", "granularity": granularity}]))
    assert error.code == "bad_granularity"
    assert error.repair is not None


@pytest.mark.parametrize("direction", ["desc; drop table orders", "desc nulls first, 1", ""])
def test_d19_a_crafted_direction_is_refused(direction: str) -> None:
    assert refusal(q(["orders.n"], order_by=[{"field": "n", "direction": direction}])).code == "invalid_query"


def test_d20_a_filtered_percentile_guards_its_value() -> None:
    model = copy.deepcopy(SHOP_MODEL)
    model["orders"]["measures"].append(
        {"name": "paid_median", "expr": "percentile(total, 0.5)", "filter": "status = 'paid'"}
    )
    assert same_rows(answer(q(["orders.paid_median", "orders.n"]), "duckdb", model), [(30.0, 6)])
    # paid totals are 40 20 100 10
