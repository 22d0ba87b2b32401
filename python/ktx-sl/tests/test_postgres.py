"""The worked examples, time buckets and percentiles on a real PostgreSQL, whose session lies far from UTC."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
from databases import same_rows
from postgres import Connection, binaries, server
from semantic_layer import EngineOptions, SemanticEngine
from worked import CASES, CITIES_DATA, CITIES_MODEL, SHOP_DATA, SHOP_MODEL

# in CI the absence is a failure, as nothing of the main path may be skipped there
pytestmark = pytest.mark.skipif(
    binaries() is None and not os.environ.get("CI"), reason="no PostgreSQL binaries (initdb, postgres) on this machine"
)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with server({"TimeZone": "Pacific/Auckland"}) as path, contextlib.closing(Connection(path)) as opened:
        yield opened


def test_worked_examples(connection: Connection) -> None:
    models: dict[str, Any] = {"shop": SHOP_MODEL, "cities": CITIES_MODEL}
    for world, data in (("shop", SHOP_DATA), ("cities", CITIES_DATA)):
        connection.run(f"CREATE SCHEMA {world}")
        connection.run(f"SET search_path TO {world}")
        for name, rows in data.items():
            connection.load(name, rows)
    wrong = []
    answered = [case for case in CASES if case.rows is not None]
    for case in answered:
        connection.run(f"SET search_path TO {case.model}")
        result = SemanticEngine.from_sources(models[case.model], dialect="postgres").query(case.query)
        columns, rows = connection.run(result.sql)
        if columns != [column.alias for column in result.columns] or not same_rows(rows, case.rows or [], case.ordered):
            wrong.append(f"{case.name}\n{result.sql}\n{rows}")
    assert not wrong, "\n\n".join(wrong)
    assert len(answered) > 30


# 2025-01-05 is a Sunday. 23:30 in UTC is 00:30 of the next day in Paris.
MOMENTS = ["2025-01-05 23:30:15", "2025-01-06 00:10:00", "2025-03-30 22:30:00"]

BUCKETS: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("hour", {}, [datetime(2025, 1, 5, 23), datetime(2025, 1, 6, 0), datetime(2025, 3, 30, 22)]),
    ("day", {}, [date(2025, 1, 5), date(2025, 1, 6), date(2025, 3, 30)]),
    ("day", {"time_zone": "Europe/Paris"}, [date(2025, 1, 6), date(2025, 1, 6), date(2025, 3, 31)]),
    ("week", {}, [date(2024, 12, 30), date(2025, 1, 6), date(2025, 3, 24)]),
    ("week", {"week_start": "sunday"}, [date(2025, 1, 5), date(2025, 1, 5), date(2025, 3, 30)]),
    ("month", {}, [date(2025, 1, 1), date(2025, 1, 1), date(2025, 3, 1)]),
    ("quarter", {}, [date(2025, 1, 1), date(2025, 1, 1), date(2025, 1, 1)]),
    ("fiscal_year", {"fiscal_year_start": 2}, [date(2024, 2, 1), date(2024, 2, 1), date(2025, 2, 1)]),
    ("fiscal_quarter", {"fiscal_year_start": 2}, [date(2024, 11, 1), date(2024, 11, 1), date(2025, 2, 1)]),
]


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
@pytest.mark.parametrize(("granularity", "options", "starts"), BUCKETS, ids=[f"{b[0]} {b[1]}" for b in BUCKETS])
def test_buckets(
    connection: Connection, kind: str, granularity: str, options: dict[str, Any], starts: list[Any]
) -> None:
    name = f"moments_{kind}"
    connection.run(f"CREATE TABLE IF NOT EXISTS {name} (id INT PRIMARY KEY, at {kind})")
    zone = "+00" if kind == "timestamptz" else ""
    values = ", ".join(f"({i}, '{moment}{zone}')" for i, moment in enumerate(MOMENTS))
    connection.run(f"INSERT INTO {name} VALUES {values} ON CONFLICT DO NOTHING")
    model = {
        "moments": {
            "name": "moments",
            "table": name,
            "grain": ["id"],
            "columns": [{"name": "id", "type": "number"}, {"name": "at", "type": "time", "data_type": kind}],
        }
    }
    engine = SemanticEngine.from_sources(model, dialect="postgres", options=EngineOptions(**options))
    query = {
        "measures": ["count(moments.id)"],
        "dimensions": ["moments.id", {"field": "moments.at", "granularity": granularity}],
        "order_by": ["moments.id"],
    }
    rows = connection.run(engine.query(query).sql)[1]
    if kind == "timestamp" and "time_zone" in options:
        starts = [date(2025, 1, 5), date(2025, 1, 6), date(2025, 3, 30)]
    assert [row[1] for row in rows] == starts


def test_percentiles_interpolate(connection: Connection) -> None:
    connection.run("CREATE TABLE sizes (id INT, size NUMERIC)")
    connection.run("INSERT INTO sizes VALUES (1, 1), (2, 2), (3, 4), (4, NULL)")
    model = {
        "sizes": {
            "name": "sizes",
            "table": "sizes",
            "grain": ["id"],
            "columns": [{"name": "id", "type": "number"}, {"name": "size", "type": "number"}],
        }
    }
    engine = SemanticEngine.from_sources(model, dialect="postgres")
    sql = engine.query({"measures": ["median(size)", "percentile(size, 0.75)", "percentile(size, 0)"]}).sql
    assert connection.run(sql)[1] == [(2.0, 3.0, 1.0)]
