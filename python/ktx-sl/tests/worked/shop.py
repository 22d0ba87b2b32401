"""The shop's sources and rows, and a small diamond of shipments and cities. All dates are in 2025."""

from __future__ import annotations

from datetime import date
from typing import Any


def day(text: str) -> date:
    return date.fromisoformat(f"2025-{text}")


def columns(**types: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": "time", "role": "time", "data_type": "date"}
        if kind == "date"
        else {"name": name, "type": kind}
        for name, kind in types.items()
    ]


def table(header: str, *rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(header.split(), row, strict=True)) for row in rows]


def to(target: str, key: str, alias: str | None = None, grain: str = "id") -> dict[str, Any]:
    join = {"to": target, "on": f"{key} = {alias or target}.{grain}", "relationship": "many_to_one"}
    return join | ({"alias": alias} if alias else {})


def source(name: str, columns: list[dict[str, Any]], grain: list[str] | None = None, **rest: Any) -> dict[str, Any]:
    return {"name": name, "table": name, "grain": grain or ["id"], "columns": columns, **rest}


SHOP_MODEL: dict[str, dict[str, Any]] = {
    s["name"]: s
    for s in (
        source("regions", columns(id="number", name="string")),
        source(
            "customers",
            columns(id="number", name="string", segment="string", region_id="number", credit="number", vip="boolean"),
            joins=[to("regions", "region_id")],
            measures=[{"name": "n", "expr": "count(id)"}, {"name": "credit_sum", "expr": "sum(credit)"}],
            segments=[{"name": "trade", "expr": "segment = 'trade'"}],
        ),
        source(
            "orders",
            columns(
                id="number",
                customer_id="number",
                ship_to_id="number",
                ordered_on="date",
                status="string",
                total="number",
                shipping="number",
            ),
            joins=[
                to("customers", "customer_id"),
                to("customers", "ship_to_id", alias="ship_to"),
                to("dates", "ordered_on", grain="day"),
            ],
            measures=[
                {"name": "revenue", "expr": "sum(total)", "filter": "status <> 'refunded'"},
                {"name": "gross", "expr": "sum(total)"},
                {"name": "ship", "expr": "sum(shipping)"},
                {"name": "n", "expr": "count(id)"},
                {"name": "rows", "expr": "count(*)"},
                {"name": "net", "expr": "revenue - ship"},
                {"name": "net_pct", "expr": "net / revenue"},
                {"name": "vip_rev", "expr": "sum(total)", "filter": "customers.vip"},
            ],
            segments=[{"name": "paid", "expr": "status = 'paid'"}, {"name": "big", "expr": "total >= 40"}],
        ),
        source("products", columns(id="number", name="string", category="string")),
        source(
            "order_items",
            columns(id="number", order_id="number", product_id="number", qty="number", price="number"),
            joins=[to("orders", "order_id"), to("products", "product_id")],
            measures=[{"name": "units", "expr": "sum(qty)"}, {"name": "irev", "expr": "sum(qty * price)"}],
        ),
        source(
            "tickets",
            columns(id="number", customer_id="number", opened_on="date", priority="string", minutes="number"),
            joins=[to("customers", "customer_id"), to("dates", "opened_on", grain="day")],
            measures=[{"name": "tc", "expr": "count(id)"}, {"name": "mins", "expr": "sum(minutes)"}],
        ),
        source("dates", columns(day="date"), grain=["day"]),
    )
}

SHOP_DATA: dict[str, list[dict[str, Any]]] = {
    "regions": table("id name", (1, "North"), (2, "South"), (3, "West")),
    "customers": table(
        "id name segment region_id credit vip",
        (1, "Ada", "retail", 1, 100, True),
        (2, "Ben", "retail", 1, 50, False),
        (3, "Cy", "trade", 2, 200, False),
        (4, "Dot", "trade", 2, 80, True),
        (5, "Eli", None, None, 40, False),
    ),
    "orders": table(
        "id customer_id ship_to_id ordered_on status total shipping",
        (101, 1, 1, day("01-05"), "paid", 40, 5),
        (102, 1, 2, day("01-20"), "refunded", 30, 5),
        (103, 2, 2, day("02-02"), "paid", 20, 4),
        (104, 3, 1, day("02-14"), "paid", 100, 10),
        (105, 5, 3, day("04-01"), "open", 60, 6),
        (106, None, 3, day("04-09"), "paid", 10, 1),
    ),
    "products": table(
        "id name category", (11, "Mug", "home"), (12, "Tea", "food"), (13, "Pot", "home"), (14, "Jam", "food")
    ),
    "order_items": table(
        "id order_id product_id qty price",
        (1, 101, 11, 1, 10),
        (2, 101, 12, 3, 10),
        (3, 102, 11, 3, 10),
        (4, 103, 12, 2, 10),
        (5, 104, 11, 4, 10),
        (6, 104, 13, 1, 60),
        (7, 105, 12, 6, 10),
    ),
    "tickets": table(
        "id customer_id opened_on priority minutes",
        (1, 1, day("01-10"), "high", 10),
        (2, 1, day("02-01"), "low", 5),
        (3, 2, day("02-03"), "high", 20),
        (4, 4, day("03-01"), "low", 7),
        (5, 5, day("03-20"), "high", 3),
    ),
    "dates": [{"day": date.fromordinal(day("01-01").toordinal() + offset)} for offset in range(120)],
}

CITIES_MODEL: dict[str, dict[str, Any]] = {
    s["name"]: s
    for s in (
        source(
            "shipments",
            columns(id="number", origin_id="number", dest_id="number"),
            joins=[to("origins", "origin_id"), to("dests", "dest_id")],
        ),
        source("origins", columns(id="number", city_id="number"), joins=[to("cities", "city_id")]),
        source("dests", columns(id="number", city_id="number"), joins=[to("cities", "city_id")]),
        source("cities", columns(id="number", name="string")),
    )
}

CITIES_DATA: dict[str, list[dict[str, Any]]] = {
    "shipments": table("id origin_id dest_id", (1, 1, 1)),
    "origins": table("id city_id", (1, 1)),
    "dests": table("id city_id", (1, 2)),
    "cities": table("id name", (1, "Oslo"), (2, "Rome")),
}
