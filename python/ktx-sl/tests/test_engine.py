"""The engine's promises beside the numbers: names, order, errors, repairs, plans, compatibility."""

from __future__ import annotations

import copy
import pickle
from functools import cache
from typing import Any

import pytest
from databases import Database, same_rows
from semantic_layer import SemanticEngine, SemanticLayerError, SemanticQuery
from semantic_layer.errors import CODES, Candidate, InvalidQuery, edit_distance, nearest
from worked import CITIES_DATA, CITIES_MODEL, SHOP_DATA, SHOP_MODEL


@cache
def shop() -> SemanticEngine:
    return SemanticEngine.from_sources(SHOP_MODEL, dialect="duckdb")


def q(measures: list[Any], dimensions: list[Any] | None = None, **rest: Any) -> dict[str, Any]:
    return {"measures": measures, "dimensions": dimensions or [], **rest}


def refused(query: Any, engine: SemanticEngine | None = None) -> SemanticLayerError:
    with pytest.raises(SemanticLayerError) as caught:
        (engine or shop()).query(query)
    return caught.value


# -- output names

NAMES: list[tuple[dict[str, Any], list[str]]] = [
    (q(["orders.n"], ["orders.status"]), ["status", "n"]),
    (q(["orders.n"], ["customers.name", "ship_to.name"]), ["customers_name", "ship_to_name", "n"]),
    (q(["orders.n", "customers.n"]), ["orders_n", "customers_n"]),
    (q(["orders.n", {"expr": "count(orders.status)", "name": "n"}]), ["n", "n_2"]),
    (q([{"expr": f"count_if(status = '{text}')", "name": "n"} for text in ("a b", "ab")]), ["n", "n_2"]),
    (q(["sum(orders.total)", "sum( orders.total )"]), ["sum_orders_total"]),
    (q([{"expr": "sum(total)", "name": "status"}], ["orders.status"]), ["orders_status", "status"]),
    (q([{"expr": "sum(total)", "name": "STATUS"}], ["orders.status"]), ["orders_status", "STATUS"]),
    (q(["sum(total + 1)", "sum(total - 1)"]), ["sum_total_1", "sum_total_1_2"]),
    (q(["1000 * sum(total)"]), ["m_1000_sum_total"]),
    (q(["orders.n", "orders.n", "n / orders.n", "n/orders.n"][:3]), ["n", "n_orders_n"]),
    (q(["sum(total)", "sum( total )"]), ["sum_total"]),
    (
        q(
            ["orders.n"],
            [{"field": "orders.ordered_on", "granularity": g} for g in ("month", "MONTH", "year")],
        ),
        ["ordered_on_month", "ordered_on_year", "n"],
    ),
    (
        q(["sum(orders.total * 1 + 2 * 3 - 4 + 5 - 6 + 7 - 8 + 9 - 10 + 11 - 12 + 13)"]),
        ["sum_orders_total_1_2_3_4_5_6_7_8_9_10_11_12_13"],
    ),
    (q([f"sum(orders.total + {'1' * 80})"]), [f"sum_orders_total_{'1' * 80}"[:63]]),
]


@pytest.mark.parametrize(("query", "names"), NAMES, ids=[str(names) for _, names in NAMES])
def test_output_names(query: dict[str, Any], names: list[str]) -> None:
    query = {**query, "filters": []}
    if query["measures"] == ["orders.n", "orders.n", "n / orders.n"]:
        query["measures"] = ["orders.n", "orders.n", "orders.n / orders.n"]
        names = ["n", "orders_n_orders_n"]
    result = shop().query(query)
    assert [column.alias for column in result.columns] == names


def test_columns_say_what_they_are() -> None:
    month = {"field": "orders.ordered_on", "granularity": "month"}
    columns = shop().query(q(["orders.gross", "sum(total)"], [month])).columns
    assert [(c.name, c.alias, c.ref, c.provenance, c.granularity) for c in columns] == [
        ("ordered_on", "ordered_on_month", "orders.ordered_on", "dimension", "month"),
        ("gross", "gross", "orders.gross", "verified", None),
        ("sum_total", "sum_total", "sum_total", "composed", None),
    ]


# -- order and limit

ORDERS: list[tuple[Any, list[Any]]] = [
    ("gross", [30, 60, 170]),
    ("GROSS", [30, 60, 170]),
    ("orders.gross", [30, 60, 170]),
    ({"field": "gross", "direction": "DESC"}, [170, 60, 30]),
    ("orders.status", [60, 170, 30]),
    ("status", [60, 170, 30]),
    ({"field": "orders.ship", "direction": "desc"}, [170, 60, 30]),
    ({"field": "sum(orders.shipping)", "direction": "asc"}, [30, 60, 170]),
]


@pytest.mark.parametrize(("order", "values"), ORDERS, ids=[str(order) for order, _ in ORDERS])
@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_order(order: Any, values: list[Any], dialect: str) -> None:
    engine = SemanticEngine.from_sources(SHOP_MODEL, dialect=dialect)
    with Database(dialect, SHOP_DATA) as database:
        rows = database.run(engine.query(q(["orders.gross"], ["orders.status"], order_by=[order])).sql)[1]
        assert [row[1] for row in rows] == values
        rows = database.run(engine.query(q(["orders.gross"], ["orders.status"], order_by=[order], limit=1)).sql)[1]
        assert [row[1] for row in rows] == values[:1]


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("nulls", ["first", "last"])
def test_nulls_go_where_they_are_sent(dialect: str, direction: str, nulls: str) -> None:
    engine = SemanticEngine.from_sources(SHOP_MODEL, dialect=dialect)
    order = [{"field": "segment", "direction": direction, "nulls": nulls}]
    with Database(dialect, SHOP_DATA) as database:
        rows = database.run(engine.query(q([], ["customers.segment"], order_by=order)).sql)[1]
    values = [row[0] for row in rows if row[0] is not None]
    assert values == sorted(values, reverse=direction == "desc")
    assert rows[0 if nulls == "first" else -1][0] is None


def test_a_dimension_whose_source_cannot_go_where_via_asks_adds_no_groups() -> None:
    engine = SemanticEngine.from_sources(CITIES_MODEL, dialect="duckdb")
    query = q(["count(shipments.id)"], ["origins.id", "cities.name"], via={"cities": "dests"})
    result = engine.query(query)
    with Database("duckdb", CITIES_DATA) as database:
        assert database.run(result.sql)[1] == [(1, "Rome", 1)]
    assert [warning.code for warning in result.resolved_plan.warnings] == ["no_empty_groups"]


# -- refusals

REFUSALS: list[tuple[dict[str, Any], str, str, bool]] = [
    (q([]), "empty_query", "/measures", True),
    (q(["count(*)"]), "no_source", "/measures/0", True),
    (
        q([{"expr": "count(*)", "name": "rows"}, "tickets.tc"], filters=["rows > orders.n"]),
        "no_source",
        "/measures/0",
        True,
    ),
    (q(["orders.n"], ["ordrs.status"]), "unknown_source", "/dimensions/0", True),
    (q(["orders.n"], ["orders.satus"]), "unknown_column", "/dimensions/0", True),
    (q(["orders.n"], filters=["stauts = 'paid'"]), "unknown_column", "/filters/0", True),
    (q(["orders.n"], segments=["orders.payd"]), "unknown_segment", "/segments/0", True),
    (q(["orders.n"], segments=["paid"]), "not_dotted", "/segments/0", True),
    (q(["orders.n"], segments=["customers.trade"]), "segment_unused", "/segments/0", True),
    (q(["orders.n"], ["name"]), "ambiguous", "/dimensions/0", True),
    (q(["orders.total"]), "not_a_measure", "/measures/0", True),
    (q(["total"]), "not_a_measure", "/measures/0", True),
    (q([{"expr": "minutes"}, "orders.n"]), "not_a_measure", "/measures/0", True),
    (q(["nosuch"]), "not_a_measure", "/measures/0", True),
    (q(["name"]), "ambiguous", "/measures/0", True),
    (q(["orders.grss"]), "not_a_measure", "/measures/0", True),
    (q(["sum(total) + shipping"]), "not_aggregated", "/measures/0", True),
    (q(["sum(sum(total))"]), "nested_aggregate", "/measures/0", False),
    (q(["sum(orders.gross)"]), "nested_aggregate", "/measures/0", False),
    (q(["sum(total) over ()"]), "window_function", "/measures/0", False),
    (q([{"expr": "x + 1", "name": "x"}]), "circular", "/measures/0", False),
    (q(["sum(orders.total * tickets.minutes)"]), "no_owner", "/measures/0", False),
    (q(["orders.revenue"], ["products.category"]), "fan_out", "/dimensions/0", True),
    (q(["orders.revenue", "tickets.tc"], ["orders.ordered_on"]), "asymmetric", "/dimensions/0", True),
    (q([], ["orders.status", "products.category"]), "no_head", "/dimensions", True),
    (q(["customers.n"], filters=["orders.status = 'paid'"]), "to_many_filter", "/filters/0", True),
    (q(["orders.n"], filters=["gross > 1 or total > 1"]), "mixed_filter", "/filters/0", False),
    (q(["orders.n"], filters=["gross"]), "not_boolean", "/filters/0", False),
    (q(["orders.n"], filters=["total >"]), "parse_error", "/filters/0", False),
    (q(["orders.n"], filters=["f(total) = 1"]), "forbidden", "/filters/0", False),
    (
        q(["orders.n"], [{"field": "orders.ordered_on", "granularity": "mont"}]),
        "bad_granularity",
        "/dimensions/0",
        True,
    ),
    (q(["orders.n"], [{"field": "orders.ordered_on", "granularity": "hour"}]), "too_fine", "/dimensions/0", True),
    (q(["orders.n"], [{"field": "orders.status", "granularity": "day"}]), "not_time", "/dimensions/0", True),
    (q(["orders.n"], ["orders.status"], order_by=["customers.name"]), "bad_order", "/order_by/0", True),
    ({"measures": ["orders.n"], "limitt": 3}, "invalid_query", None, True),
    (q(["orders.n"], limit=-1), "invalid_query", "/limit", False),
]


@pytest.mark.parametrize(
    ("query", "code", "location", "repaired"), REFUSALS, ids=[f"{r[1]} {i}" for i, r in enumerate(REFUSALS)]
)
def test_a_refusal_says_what_where_and_what_to_send(
    query: dict[str, Any], code: str, location: str | None, repaired: bool
) -> None:
    error = refused(copy.deepcopy(query))
    assert (error.code, error.location) == (code, location)
    for fragment in CODES[code]:
        assert fragment in str(error) or len(CODES[code]) > 1
    assert any(fragment in str(error) for fragment in CODES[code]) or not CODES[code]
    assert len(error.candidates) <= 10
    assert (error.repair is not None) == repaired
    if error.repair is not None:
        assert shop().query(error.repair).sql
    assert pickle.loads(pickle.dumps(error)).to_dict() == error.to_dict()


MISTAKES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a bare column as a measure", q(["total"]), q(["sum(orders.total)"])),
    ("a source as a column", q(["count(tickets)"]), q(["count(tickets.id)"])),
    ("a part of a date", q(["orders.n"], ["orders.ordered_on.month"]), q(["orders.n"], ["orders.ordered_on"])),
    (
        "a function as a dimension",
        q(["orders.n"], ["month(orders.ordered_on)"]),
        q(["orders.n"], ["orders.ordered_on"]),
    ),
    (
        "a string in double quotes",
        q(["orders.n"], filters=['orders.status = "paid"']),
        q(["orders.n"], filters=["orders.status = 'paid'"]),
    ),
    (
        "a segment of another source",
        q(["orders.n"], segments=["tickets.big"]),
        q(["orders.n"], segments=["orders.big"]),
    ),
    (
        "a direction in the field",
        q(["orders.n"], order_by=["orders.n DESC"]),
        q(["orders.n"], order_by=[{"field": "orders.n", "direction": "desc"}]),
    ),
]


@pytest.mark.parametrize(("query", "repair"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_common_mistake_is_repaired_to_what_was_meant(query: dict[str, Any], repair: dict[str, Any]) -> None:
    assert refused(query).repair == {key: value for key, value in repair.items() if value}


def test_a_source_that_has_only_aliases_is_repaired_to_one() -> None:
    model = copy.deepcopy(SHOP_MODEL)
    model["orders"]["joins"] = [join for join in model["orders"]["joins"] if join.get("alias")]
    error = refused(q(["orders.n"], ["customers.name"]), SemanticEngine.from_sources(model))
    assert error.repair == {"measures": ["orders.n"], "dimensions": ["ship_to.name"]}


def test_every_code_is_documented() -> None:
    with pytest.raises(AssertionError):
        InvalidQuery("no_such_code", "x")


def test_nearest_finds_what_was_meant() -> None:
    assert edit_distance("revnue", "revenue") == 1
    assert edit_distance("stauts", "status") == 1
    assert nearest("revnue", ["tickets.tc", "orders.revenue"], "a measure")[0] == Candidate(
        "orders.revenue", "a measure", 1
    )


def test_plan_only_shows_a_fan_out() -> None:
    plan = shop().plan_only(q(["orders.revenue"], ["products.category"]))
    assert plan.has_fan_out
    assert plan.refusal is not None
    assert plan.refusal["code"] == "fan_out"
    assert plan.refusal["repair"]["measures"] == ["order_items.irev"]


def test_an_undefined_join_target_is_refused_first() -> None:
    model = copy.deepcopy(SHOP_MODEL)
    model["tickets"]["joins"].append({"to": "ghosts", "on": "x = ghosts.id", "relationship": "many_to_one"})
    error = refused({"nonsense": 1}, SemanticEngine.from_sources(model))
    assert error.code == "undefined_target"
    assert "is not defined" in str(error)


# -- plans


def test_the_plan_names_sources_joins_and_parts() -> None:
    plan = shop().query(q(["orders.net_pct", "tickets.tc"], ["customers.segment"])).resolved_plan
    assert plan.sources_used == ["customers", "orders", "tickets"]
    assert [(j.from_source, j.to_source, j.from_column, j.to_column) for j in plan.joins] == [
        ("orders", "customers", "customer_id", "id"),
        ("tickets", "customers", "customer_id", "id"),
    ]
    assert {group.source_name for group in plan.measure_groups} == {"orders", "tickets"}
    by_name = {measure.name: measure for measure in plan.measures}
    assert by_name["net_pct"].source_name == "__derived__"
    assert by_name["net_pct"].depends_on == ["orders.net", "orders.revenue"]
    assert by_name["revenue"].filter == "orders.status <> 'refunded'"
    assert by_name["ship"].expr == "SUM(orders.shipping)"
    assert (plan.anchor_source, plan.anchor_grain) == ("customers", ["customers.segment"])


def test_paths_are_reported_with_their_alternatives() -> None:
    engine = SemanticEngine.from_sources(CITIES_MODEL, dialect="duckdb")
    query = q(["count(shipments.id)"], ["cities.name"])
    error = refused(query, engine)
    assert error.code == "ambiguous_path"
    assert "origins" in str(error)
    assert "dests" in str(error)
    assert error.repair is not None
    plan = engine.query({**query, "via": {"cities": "dests"}}).resolved_plan
    assert [path.nodes for path in plan.paths if path.owner == "shipments"] == [["shipments", "dests", "cities"]]
    warned = engine.query({**query, "ambiguous_paths": "warn"}).resolved_plan.warnings
    assert [warning.code for warning in warned] == ["ambiguous_path"]


def test_measures_reach_through_a_query_object_too() -> None:
    assert shop().query(SemanticQuery(measures=["orders.n"])).sql == shop().query({"measures": ["orders.n"]}).sql


# -- one plain SELECT, only where it is provably the same

PLAIN: list[tuple[dict[str, Any], bool]] = [
    (q(["orders.n"]), True),
    (q(["orders.n"], ["orders.status"]), True),
    (q(["orders.n"], ["customers.name"]), False),
    (q(["orders.n"], ["customers.name"], include_empty=False), True),
    (q(["orders.n"], ["customers.name"], filters=["orders.status = 'paid'"]), True),
    (q(["orders.n"], ["customers.name", "regions.name"], filters=["orders.status = 'paid'"]), True),
    (q(["orders.n"], ["customers.name"], filters=["customers.vip"]), False),
    (q(["orders.n", "tickets.tc"]), False),
    (q([], ["customers.name", "regions.name"]), True),
]


@pytest.mark.parametrize(("query", "plain"), PLAIN, ids=[str(query)[:80] for query, _ in PLAIN])
def test_one_select_where_it_is_provably_the_same(query: dict[str, Any], plain: bool) -> None:
    assert shop().query(query).sql.startswith("SELECT") == plain


@pytest.mark.parametrize(("query", "plain"), PLAIN, ids=[str(query)[:80] for query, _ in PLAIN])
def test_both_forms_agree(query: dict[str, Any], plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database("duckdb", SHOP_DATA) as database:
        rows = database.run(shop().query(query).sql)[1]
        if query["measures"]:
            monkeypatch.setattr("semantic_layer.planner._Planning._plain", lambda *_: False)
        assert same_rows(database.run(shop().query(query).sql)[1], rows)


# -- what can be added


def test_compatible_tells_what_can_be_added() -> None:
    verdicts = shop().compatible(measures=["orders.revenue"])
    fields = {item["field"]: item for item in verdicts["dimensions"]}
    assert fields["customers.segment"]["usable"]
    assert fields["customers.segment"]["path"] == ["orders", "customers"]
    assert (fields["products.category"]["usable"], fields["products.category"]["code"]) == (False, "fan_out")
    verdicts = shop().compatible(dimensions=["products.category"])
    usable = {item["ref"] for item in verdicts["measures"] if item["usable"]}
    assert usable == {"order_items.units", "order_items.irev"}


# -- count(*)

LONE_COUNTS: list[tuple[dict[str, Any], list[tuple[Any, ...]]]] = [
    (q(["count(*)", "orders.gross"]), [(6, 260)]),
    (q(["count(*)"], filters=["tickets.tc > 0"]), [(5,)]),
    (q(["count(*)"], order_by=["tickets.tc"]), [(5,)]),
    (q([{"expr": "count(*) / tickets.tc", "name": "one"}, "orders.n"], filters=["one < orders.n"]), [(1, 6)]),
    (q([{"expr": "count(*)", "name": "rows"}, {"expr": "rows / orders.n", "name": "one"}]), [(6, 1)]),
]


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
@pytest.mark.parametrize(("query", "rows"), LONE_COUNTS, ids=[str(i) for i in range(len(LONE_COUNTS))])
def test_a_lone_count_is_over_the_only_other_owner_of_its_text_else_of_the_query(
    query: dict[str, Any], rows: list[tuple[Any, ...]], dialect: str
) -> None:
    engine = SemanticEngine.from_sources(SHOP_MODEL, dialect=dialect)
    with Database(dialect, SHOP_DATA) as database:
        assert same_rows(database.run(engine.query(copy.deepcopy(query)).sql)[1], rows)


# -- division

DIVISIONS = [
    ("sum(total) / count(*)", 260 / 6),
    ("sum(total) / nullif(count(*), 0)", 260 / 6),
    ("safe_divide(sum(total), count(*))", 260 / 6),
    ("1 / 2 * count(*)", 3.0),
    ("count(*) / 4 / 2", 0.75),
    ("count(*) / (4 / 2)", 3.0),
    ("count(*) / (count(*) - count(*))", None),
    ("orders.gross / orders.n", 260 / 6),
    ("orders.net_pct / orders.net_pct", 1.0),
]


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
@pytest.mark.parametrize(("expr", "value"), DIVISIONS)
def test_division_outside_aggregates_is_of_doubles_and_never_fails(
    expr: str, value: float | None, dialect: str
) -> None:
    engine = SemanticEngine.from_sources(SHOP_MODEL, dialect=dialect)
    with Database(dialect, SHOP_DATA) as database:
        rows = database.run(engine.query(q([{"expr": expr, "name": "x"}, "orders.n"])).sql)[1]
    assert same_rows(rows, [(value, 6)])
