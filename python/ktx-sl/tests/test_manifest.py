"""Scanned tables and the types they carry."""

from __future__ import annotations

import pytest
from semantic_layer.errors import SemanticLayerError
from semantic_layer.manifest import (
    Manifest,
    ManifestColumn,
    ManifestEntry,
    ManifestJoin,
    map_column_type,
    project_manifest_entry,
    validate_overlay,
)

NUMBERS = "int integer tinyint smallint mediumint bigint int2 int4 int8 numeric decimal number float float4 float8 real double"
TIMES = "date datetime time timetz timestamp timestamptz timestamp_ntz timestamp_ltz timestamp_tz"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        *((raw, "number") for raw in NUMBERS.split()),
        *((raw, "time") for raw in TIMES.split()),
        ("double precision", "number"),
        ("timestamp with time zone", "time"),
        ("timestamp without time zone", "time"),
        ("TIMESTAMP(6) WITH TIME ZONE", "time"),
        ("Decimal(10,2)", "number"),
        ("boolean", "boolean"),
        ("BOOL", "boolean"),
        ("varchar(20)", "string"),
        ("uuid", "string"),
        ("interval", "string"),
        ("", "string"),
    ],
)
def test_type(raw: str, kind: str) -> None:
    assert map_column_type(raw) == kind


def test_reads_descriptions_of_older_scans_where_newer_ones_are_absent() -> None:
    column = ManifestColumn.model_validate({"name": "a", "type": "int", "description": "u", "db_description": "d"})
    assert column.descriptions == {"user": "u", "db": "d"}
    entry = ManifestEntry.model_validate({"table": "t", "db_description": "old", "descriptions": {"db": "new"}})
    assert entry.descriptions == {"db": "new"}


def test_a_join_reads_the_bare_key_on_and_drops_how_it_was_found() -> None:
    join = ManifestJoin.model_validate(
        {"to": "b", True: "b_id = b.id", "relationship": "many_to_one", "source": "manual"}
    )
    entry = ManifestEntry(table="t", columns=[ManifestColumn(name="b_id", type="int")], joins=[join])
    (projected,) = project_manifest_entry("a", entry).joins
    assert (projected.on, "source" in projected.model_dump()) == ("b_id = b.id", False)


def test_a_table_without_columns_makes_no_source() -> None:
    with pytest.raises(SemanticLayerError, match="grain must be non-empty"):
        project_manifest_entry("a", ManifestEntry(table="t"))


def test_an_empty_shard_holds_no_tables() -> None:
    assert Manifest.model_validate({}).tables == {}


def test_an_overlay_must_not_restate_the_table() -> None:
    with pytest.raises(SemanticLayerError) as refused:
        validate_overlay("a", {"name": "a", "table": "t", "sql": "SELECT 1"}, ["id"])
    assert str(refused.value).startswith("Invalid overlay 'a': 'table' belongs")
    assert "; 'sql' belongs" in str(refused.value)
