"""Queries over the shop with their rows, counted by hand. `-` below stands for NULL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REV, N, GROSS, UNITS, TC = "orders.revenue", "orders.n", "orders.gross", "order_items.units", "tickets.tc"


@dataclass(frozen=True)
class Refusal:
    """What a refused query says: its code, fragments of the message, and what the repair asks for."""

    code: str
    fragments: tuple[str, ...] = ()
    repair: str | None = None  # a measure or dimension that the repaired query must hold


@dataclass(frozen=True)
class Case:
    """One query: rows as a multiset (`ordered` in sequence), column names where they are part of the example."""

    name: str
    query: dict[str, Any]
    rows: list[tuple[Any, ...]] | None = None
    refusal: Refusal | None = None
    columns: list[str] | None = None
    warns: str | None = None
    ordered: bool = False
    model: str = "shop"
    defects: tuple[str, ...] = field(default=())


def q(measures: list[Any], dimensions: list[Any] | None = None, **rest: Any) -> dict[str, Any]:
    return {"measures": measures, "dimensions": dimensions or [], **rest}


def rows(text: str) -> list[tuple[Any, ...]]:
    """`60 1; - 2` as [(60, 1), (None, 2)]; words stay words."""

    def value(word: str) -> Any:
        if word == "-":
            return None
        try:
            return float(word) if "." in word else int(word)
        except ValueError:
            return word

    return [tuple(value(word) for word in line.split()) for line in text.split(";")]


def month(field_: str) -> dict[str, str]:
    return {"field": field_, "granularity": "month"}


CASES = [
    # by orders.status
    Case(
        "1 a filtered measure keeps groups it empties",
        q([REV, N], ["orders.status"]),
        rows("open 60 1; paid 170 4; refunded - 1"),
    ),
    Case(
        "14 a segment guards values",
        q([GROSS, N], ["orders.status"], segments=["orders.big"]),
        rows("open 60 1; paid 140 2; refunded - 0"),
    ),
    Case(
        "14b the same as a filter removes groups",
        q([GROSS, N], ["orders.status"], filters=["orders.total >= 40"]),
        rows("open 60 1; paid 140 2"),
    ),
    Case(
        "22 a parent measure by a child column is refused",
        q(["customers.credit_sum"], ["orders.status"]),
        refusal=Refusal("fan_out", ("cannot safely reach",)),
    ),
    # by customers.segment
    Case(
        "2 facts without a parent get a group of their own",
        q([REV, N], ["customers.segment"]),
        rows("retail 60 3; trade 100 1; - 70 2"),
        defects=("D5",),
    ),
    Case(
        "6 a parent and its child do not multiply",
        q([GROSS, UNITS], ["customers.segment"]),
        rows("retail 90 9; trade 100 5; - 70 6"),
    ),
    Case(
        "7 two facts meet on a NULL key",
        q([REV, TC], ["customers.segment"]),
        rows("retail 60 3; trade 100 1; - 70 1"),
        defects=("D6",),
    ),
    Case(
        "10 a filter that one fact cannot see",
        q([REV, TC], ["customers.segment"], filters=["tickets.priority = 'high'"]),
        rows("retail 60 2; trade 100 0; - 70 1"),
        warns="filter_not_applied",
    ),
    Case(
        "13 a segment of one fact",
        q([GROSS, TC], ["customers.segment"], segments=["orders.paid"]),
        rows("retail 60 3; trade 100 1; - 10 1"),
    ),
    # by regions.name
    Case(
        "3 regions without orders count zero",
        q([REV, N, "orders.rows"], ["regions.name"]),
        rows("North 60 3 3; South 100 1 1; West - 0 0; - 70 2 2"),
        defects=("D4", "D5"),
    ),
    Case(
        "3b without empty groups only West goes",
        q([REV, N, "orders.rows"], ["regions.name"], include_empty=False),
        rows("North 60 3 3; South 100 1 1; - 70 2 2"),
    ),
    Case(
        "34 distinct counts of an expression",
        q(["count(distinct orders.customer_id)", TC], ["regions.name"]),
        rows("North 2 3; South 1 1; West 0 0; - 1 1"),
    ),
    # by products.category
    Case(
        "4 orders by product category fan out",
        q([REV], ["products.category"]),
        refusal=Refusal("fan_out", ("cannot safely reach",), repair="order_items.irev"),
    ),
    Case("5 items by category", q(["order_items.irev", UNITS], ["products.category"]), rows("food 110 11; home 140 9")),
    Case(
        "5b items by product, unsold ones too",
        q(["order_items.irev", UNITS], ["products.name"]),
        rows("Mug 80 8; Tea 110 11; Pot 60 1; Jam - -"),
    ),
    Case(
        "27 an expression over two reachable sources",
        q(["sum(order_items.qty * customers.credit)"], ["products.category"]),
        rows("food 640; home 1400"),
    ),
    # by customers.name
    Case(
        "12 a ratio over two facts",
        q([REV, "tickets.mins", f"{REV} / tickets.mins"], ["customers.name"]),
        [
            ("Ada", 40, 15, 40 / 15),
            ("Ben", 20, 20, 1),
            ("Cy", 100, None, None),
            ("Dot", None, 7, None),
            ("Eli", 60, 3, 20),
            (None, 10, None, None),
        ],
    ),
    Case(
        "16 an alias beside its source",
        q([GROSS], ["customers.name", "ship_to.name"]),
        rows("Ada Ada 40; Ada Ben 30; Ben Ben 20; Cy Ada 100; Eli Cy 60; - Cy 10"),
        columns=["customers_name", "ship_to_name", "gross"],
    ),
    Case(
        "19 an aggregate filter beside a row filter",
        q([GROSS], ["customers.name"], filters=["orders.gross > 30", "status <> 'open'"]),
        rows("Ada 70; Cy 100"),
    ),
    Case(
        "32 order and limit",
        q([GROSS], ["customers.name"], order_by=[{"field": "gross", "direction": "desc"}], limit=2),
        rows("Cy 100; Ada 70"),
        ordered=True,
    ),
    # by month
    Case(
        "17 revenue by month",
        q([REV], [month("orders.ordered_on")]),
        rows("2025-01-01 40; 2025-02-01 120; 2025-04-01 70"),
        columns=["ordered_on_month", "revenue"],
    ),
    Case(
        "18 two facts on a shared calendar",
        q([REV, TC], [month("dates.day")]),
        rows("2025-01-01 40 1; 2025-02-01 120 2; 2025-03-01 - 2; 2025-04-01 70 0"),
    ),
    Case(
        "18b one fact's own date is not the other's",
        q([REV, TC], [month("orders.ordered_on")]),
        refusal=Refusal("asymmetric", ("Asymmetric dimension grain", "dates.day")),
    ),
    # no dimensions
    Case("8 three totals", q([REV, TC, "customers.n"]), rows("230 5 5")),
    Case(
        "9 a filter on a source no dimension needs",
        q([REV, TC], filters=["customers.segment = 'retail'"]),
        rows("60 3"),
        defects=("D3",),
    ),
    Case("11 a derived measure of a derived one", q(["orders.net_pct"]), [(199 / 230,)], defects=("D1",)),
    Case(
        "15 a segment of a source without measures",
        q([GROSS], segments=["customers.trade"]),
        refusal=Refusal("segment_unused", ("no matching",)),
    ),
    Case(
        "20 OR in a list of filters",
        q([N], filters=["status = 'paid' OR status = 'open'", "total > 30"]),
        rows("3"),
        defects=("D2",),
    ),
    Case("21 a measure filter leaves its sibling alone", q([GROSS, "orders.vip_rev"]), rows("260 70"), defects=("D7",)),
    Case(
        "21b also without empty groups",
        q([GROSS, "orders.vip_rev"], include_empty=False),
        rows("260 70"),
        defects=("D8",),
    ),
    Case(
        "23 a filter across a to-many join is refused",
        q(["customers.n"], filters=["orders.status = 'paid'"]),
        refusal=Refusal("to_many_filter", ("one_to_many join",)),
    ),
    Case(
        "23b or means: has such a row",
        q(["customers.n"], filters=["orders.status = 'paid'"], to_many_filters="exists"),
        rows("3"),
    ),
    Case(
        "28 one expression over two facts", q(["sum(orders.total) / count(customers.id)"]), [(52.0,)], defects=("D9",)
    ),
    Case(
        "33 one name in two sources",
        q([N, "customers.n", {"expr": "orders.n - customers.n", "name": "difference"}]),
        rows("6 5 1"),
        columns=["orders_n", "customers_n", "difference"],
    ),
    # others
    Case(
        "31 combinations of dimensions alone",
        q([], ["customers.segment", "regions.name"]),
        rows("retail North; trade South; - -"),
    ),
    Case(
        "29 two equal routes are refused",
        q(["count(shipments.id)"], ["cities.name"]),
        refusal=Refusal("ambiguous_path", ("Ambiguous join path", "origins", "dests")),
        model="cities",
    ),
    Case(
        "29b by origin",
        q(["count(shipments.id)"], ["cities.name"], via={"cities": "origins"}),
        rows("Oslo 1; Rome 0"),
        model="cities",
    ),
    Case(
        "29c by destination",
        q(["count(shipments.id)"], ["cities.name"], via={"cities": "dests"}),
        rows("Oslo 0; Rome 1"),
        model="cities",
    ),
    Case(
        "29d or the first by name, with a warning",
        q(["count(shipments.id)"], ["cities.name"], ambiguous_paths="warn"),
        rows("Oslo 0; Rome 1"),
        warns="ambiguous_path",
        model="cities",
    ),
]
