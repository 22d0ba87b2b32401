"""Directories of YAML as sources by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from semantic_layer.errors import SemanticLayerError
from semantic_layer.loader import SourceLoader

ORDERS = """
name: orders
table: shop.orders
grain: [id]
columns: [{name: id, type: number}, {name: customer_id, type: number}]
"""
SHARD = """
tables:
  customers:
    table: shop.customers
    descriptions: {db: people}
    columns:
      - {name: id, type: BIGINT, pk: true}
      - {name: name, type: varchar(20), descriptions: {db: label}}
      - {name: joined, type: timestamptz}
      - {name: region_id, type: int}
    joins:
      - {to: regions, on: region_id   =  regions.id, relationship: many_to_one, source: inferred}
  regions:
    table: shop.regions
    columns: [{name: id, type: int}, {name: name, type: text}]
"""


def tree(at: Path, **files: str) -> SourceLoader:
    """Files by name, `__` standing for `/`."""
    for name, text in files.items():
        path = at / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SourceLoader(at)


def overlay(at: Path, text: str) -> SourceLoader:
    return tree(at, _schema__shop=SHARD, customers="name: customers\n" + text)


def test_reads_standalone_sources_at_any_depth(tmp_path: Path) -> None:
    loader = tree(tmp_path, a__b__orders=ORDERS)
    (tmp_path / "other.yml").write_text("name: other\ntable: t\ngrain: [id]\ncolumns: []\n")
    assert list(loader.load_all()) == ["orders"]
    assert loader.load_file(tmp_path / "a/b/orders.yaml").table == "shop.orders"


def test_skips_what_defines_nothing(tmp_path: Path) -> None:
    assert SourceLoader(tmp_path).load_all() == {}
    assert SourceLoader(tmp_path / "missing").load_all() == {}
    assert tree(tmp_path, empty="", listing="- a\n- b\n", nameless="table: t\n").load_all() == {}


def test_drops_keys_of_older_files(tmp_path: Path) -> None:
    old = ORDERS + "source_type: table\ninherits_columns_from: x\nusage: {count: 3}\n"
    assert tree(tmp_path, orders=old).load_all()["orders"].grain == ["id"]


def test_reads_the_bare_key_on(tmp_path: Path) -> None:
    """YAML 1.1 makes it the boolean true."""
    joined = (
        ORDERS
        + "joins:\n  - to: orders\n    alias: parent\n    on: customer_id = parent.id\n    relationship: many_to_one\n"
    )
    (join,) = tree(tmp_path, orders=joined).load_all()["orders"].joins
    assert join.on == "customer_id = parent.id"


def test_projects_scanned_tables(tmp_path: Path) -> None:
    sources = tree(tmp_path, _schema__shop=SHARD).load_all()
    customers = sources["customers"]
    assert customers.grain == ["id"]
    assert sources["regions"].grain == ["id", "name"]
    assert customers.description == "people"
    assert [(c.name, c.type, c.role, c.data_type) for c in customers.columns] == [
        ("id", "number", "default", "BIGINT"),
        ("name", "string", "default", "varchar(20)"),
        ("joined", "time", "time", "timestamptz"),
        ("region_id", "number", "default", "int"),
    ]
    assert customers.joins[0].model_dump(exclude_none=True) == {
        "to": "regions",
        "on": "region_id   =  regions.id",
        "relationship": "many_to_one",
    }


@pytest.mark.parametrize(
    ("files", "fragment"),
    [
        ({"a": ORDERS, "b": ORDERS}, "Duplicate source name 'orders'"),
        ({"_schema__a": SHARD, "_schema__b": SHARD}, "Duplicate source name 'customers'"),
        ({"_schema__a": SHARD, "b": ORDERS.replace("name: orders", "name: customers")}, "Duplicate source name"),
        ({"a": ORDERS + "measure: []\n"}, "measure"),
        ({"a": ORDERS + "grain: [x]\n"}, "'grain' is repeated"),
        ({"a": "name: a\ntable: t\nsql: SELECT 1\ngrain: [id]\ncolumns: []\n"}, "mutually exclusive"),
        ({"a": "name: a\ntable: t\ngrain: []\ncolumns: []\n"}, "grain must be non-empty"),
        ({"a": "name: [a\n"}, "not readable YAML"),
        (
            {
                "a": ORDERS + "joins: [{to: custmers, on: customer_id = id, relationship: many_to_one}]\n",
                "_schema__s": SHARD,
            },
            "'custmers' of source 'orders' is not defined",
        ),
    ],
)
def test_refuses(files: dict[str, str], fragment: str, tmp_path: Path) -> None:
    with pytest.raises(SemanticLayerError) as refused:
        tree(tmp_path, **files).load_all()
    assert fragment in str(refused.value)
    assert refused.value.code in ("invalid_model", "undefined_target")


def test_a_missing_target_names_the_nearest(tmp_path: Path) -> None:
    joined = ORDERS + "joins: [{to: custmers, on: customer_id = id, relationship: many_to_one}]\n"
    with pytest.raises(SemanticLayerError) as refused:
        tree(tmp_path, orders=joined, _schema__shop=SHARD).load_all()
    assert refused.value.candidates[0].value == "customers"


def test_an_overlay_applies_in_order(tmp_path: Path) -> None:
    text = """
descriptions: {user: our people}
exclude_columns: [joined]
column_overrides: [{name: name, visibility: internal, descriptions: {user: full name}}]
columns: [{name: shout, type: string, expr: upper(name)}]
measures: [{name: n, expr: count(id)}]
segments: [{name: known, expr: name is not null}]
grain: [id, region_id]
disable_joins: ["region_id = regions.id"]
joins:
  - {to: regions, on: region_id = regions.id, relationship: one_to_one}
  - {to: regions, on: "region_id  = regions.id", relationship: many_to_one}
"""
    customers = overlay(tmp_path, text).load_all()["customers"]
    assert customers.description == "our people"
    assert customers.descriptions == {"db": "people", "user": "our people"}
    assert [column.name for column in customers.columns] == ["id", "name", "region_id", "shout"]
    name = customers.columns[1]
    assert (name.visibility, name.type, name.description) == ("internal", "string", "full name")
    assert name.descriptions == {"db": "label", "user": "full name"}
    assert customers.grain == ["id", "region_id"]
    assert [m.name for m in customers.measures] == ["n"]
    assert [join.relationship for join in customers.joins] == ["one_to_one"]


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("description: x\n", ["'description' is derived"]),
        ("columns: [{name: x, type: number}]\n", ["'x': an added column needs 'expr'"]),
        ("columns: [{name: x, expr: id}]\n", ["'x': an added column needs 'type'"]),
        ("columns: [{name: x, expr: id, type: number, description: d}]\n", ["'x': 'description' is derived"]),
        ("columns: [{name: name, expr: id, type: number}]\n", ["move it to 'column_overrides:'"]),
        ("column_overrides: [{name: name, description: d}]\n", ["Column override 'name'", "'description'"]),
        ("column_overrides: [{name: name, type: number}]\n", ["Column override 'name'", "'type'"]),
        ("column_overrides: [{name: name, expr: id}]\n", ["Column override 'name'", "'expr'"]),
        ("column_overrides: [{name: nam}]\n", ["Column override 'nam'", "Available: id, joined"]),
        ("exclude_columns: [name]\ncolumn_overrides: [{name: name}]\n", ["conflict with exclude_columns"]),
        ("colums: []\n", ["unknown key 'colums'"]),
        ("measures: {name: n}\n", ["measures: Input should be a valid list"]),
        ("columns: [{name: [x], expr: id, type: number}]\n", ["columns.0.name"]),
        ("column_overrides: [{name: {a: 1}}]\n", ["column_overrides.0.name"]),
        ("column_overrides: [{name: name, descriptions: 1}]\n", ["column_overrides.0.descriptions"]),
        ("descriptions: {user: [a]}\n", ["descriptions.user"]),
        ("exclude_columns: [{a: 1}]\n", ["exclude_columns.0"]),
        ("measures: [{name: n}]\n", ["measures.0.expr"]),
        ("joins: [{to: regions}]\n", ["on"]),
        (
            "columns: [{name: x, type: number}]\ncolumn_overrides: [{name: nam}]\n",
            ["needs 'expr'; Column override 'nam'"],
        ),
    ],
)
def test_an_overlay_refuses(text: str, fragments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SemanticLayerError) as refused:
        overlay(tmp_path, text).load_all()
    assert str(refused.value).startswith("Invalid overlay 'customers'")
    for fragment in fragments:
        assert fragment in str(refused.value)


def test_an_overlay_without_a_table_is_checked_logged_and_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loader = tree(tmp_path, ghost="name: ghost\nmeasures: [{name: n, expr: count(id)}]\n")
    with caplog.at_level(logging.WARNING):
        assert loader.load_all() == {}
    assert "ghost" in caplog.text
    (tmp_path / "ghost.yaml").write_text("name: ghost\ncolumns: [{name: x}]\n")
    with pytest.raises(SemanticLayerError, match="Invalid overlay 'ghost'"):
        loader.load_all()
