"""Hostile text in every place of a semantic query: refused, or one query that changes nothing when run.

`KTX_TEST_MUTATIONS` sets how many requests per database are tried (here a third of it).
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import suppress
from typing import Any

import duckdb
import psycopg
import pytest
from ktx_daemon.errors import DaemonError
from ktx_daemon.semantic_layer import SemanticQueryRequest, query_semantic_layer_response
from ktx_daemon.sql_analysis import read_only_problem
from pydantic import ValidationError
from sql_mutations import mutated

from .test_sql_read_only_execution import COUNT, START, Database, database

__all__ = ["database"]

_FILTERS = ("t.a > 1", "t.b = 'x'", "sum(t.a) > 1", "t.b like 'x%' or t.a is null", "t.a in (1, 2)")
_ENDS = (
    "; drop table t",
    "'; drop table t; --",
    ") union select 1",
    "1=1 /*",
    "*/ or 1=1 --",
    '"; delete from t; --',
    " or nextval('s') > 0",
    " or exists (delete from t returning 1)",
    "\\' or 1=1; drop table t; --",
    " -- ",
    "\n; drop table t",
    "$$ ; drop table t; $$",
)


def _hostile(chance: random.Random, dialect: str, seed: int, plain: str) -> str:
    text = mutated(dialect, seed)
    shape = chance.randrange(5)
    if shape == 0:
        return plain
    if shape == 1:
        return plain + chance.choice(_ENDS)
    if shape == 2:
        return f"{plain} and ({text})"
    at = chance.randint(0, len(plain))
    piece = chance.choice(_ENDS) if shape == 3 else text[chance.randint(0, len(text)) :][:20]
    return plain[:at] + piece + plain[at:]


def _request(dialect: str, seed: int) -> dict[str, Any]:
    chance = random.Random(f"semantic-{dialect}-{seed}")
    place = chance.randrange(9)

    def text(number: int, plain: str) -> str:
        return _hostile(chance, dialect, seed, plain) if place == number else plain

    source: dict[str, Any] = {
        "name": "t",
        "grain": ["a"],
        "columns": [{"name": "a", "type": "number"}, {"name": "b", "type": "string"}],
        "measures": [{"name": "total", "expr": text(0, "sum(a)"), "filter": text(1, "a > 0")}],
        "segments": [{"name": "some", "expr": text(2, "b = 'x'")}],
    }
    source |= {"sql": text(3, "select a, b from t")} if chance.random() < 0.4 else {"table": text(4, "t")}
    query: dict[str, Any] = {
        "measures": ["t.total", {"expr": text(5, "count(t.a)"), "name": text(6, "n")}],
        "dimensions": [text(7, "t.b")],
        "filters": [text(8, chance.choice(_FILTERS))],
        "segments": ["t.some"],
    }
    return {"sources": [source], "query": query, "dialect": dialect}


def test_what_is_composed_is_one_query_that_changes_nothing(database: Database) -> None:
    before, composed, refused = database.state(), 0, 0
    since: list[str] = []
    for seed in range(START, START + COUNT // 3):
        request = _request(database.dialect, seed)
        try:
            sql = query_semantic_layer_response(SemanticQueryRequest.model_validate(request)).sql
        except (DaemonError, ValidationError):
            refused += 1
            continue
        composed += 1
        assert read_only_problem(sql, database.dialect) is None, sql
        with suppress(duckdb.Error, sqlite3.Error, psycopg.Error):
            database.run(sql)
        since.append(f"{seed}: {sql}")
        if composed % 20 == 0:
            assert database.state() == before, "one of these wrote:\n" + "\n".join(since)
            since.clear()
    assert database.state() == before, "one of these wrote:\n" + "\n".join(since)
    assert composed > COUNT / 30  # otherwise the test proves nothing
    assert refused > COUNT / 30


@pytest.mark.parametrize("end", _ENDS)
def test_every_hostile_end_of_a_filter_is_refused(end: str) -> None:
    request = _request("duckdb", 0)
    request["query"]["filters"] = [f"t.b = 'x'{end}"]
    request["sources"] = [{"name": "t", "table": "t", "grain": ["a"], "columns": [{"name": "b", "type": "string"}]}]
    request["query"] |= {"measures": [], "dimensions": ["t.b"], "segments": []}
    with pytest.raises(DaemonError) as caught:
        query_semantic_layer_response(SemanticQueryRequest.model_validate(request))
    assert caught.value.status == 400
