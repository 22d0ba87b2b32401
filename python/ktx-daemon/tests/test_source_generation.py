"""Drafted sources: names, types, quoting, measures and joins, and that they validate and answer queries."""

from __future__ import annotations

from typing import Any

import pytest
from ktx_daemon._column_types import column_type
from ktx_daemon.source_generation import GenerateSourcesRequest, generate_sources_response
from pydantic import ValidationError


def column(name: str, kind: str = "integer", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def key(name: str = "id", kind: str = "integer") -> dict[str, Any]:
    return column(name, kind, primary_key=True, nullable=False)


def table(name: str, *columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "columns": list(columns) or [key()], **more}


def link(
    source: str, own: str, target: str, other: str = "id", relationship: str = "many_to_one", **more: Any
) -> dict[str, Any]:
    return {
        "from_table": source,
        "from_column": own,
        "to_table": target,
        "to_column": other,
        "relationship_type": relationship,
        **more,
    }


def generate(*tables: dict[str, Any], links: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    request = GenerateSourcesRequest.model_validate({"tables": list(tables), "links": links or [], **more})
    return generate_sources_response(request).model_dump(exclude_unset=True)


def test_drafts_a_source() -> None:
    answer = generate(
        table(
            "orders",
            key(),
            column("customer_id"),
            column("amount", "numeric(10,2)", comment="in EUR"),
            column("placed_at", "timestamp with time zone"),
            column("paid", "boolean"),
            db="public",
            comment="what was bought",
        )
    )
    assert answer == {
        "sources": [
            {
                "name": "orders",
                "table": "public.orders",
                "description": "what was bought",
                "grain": ["id"],
                "columns": [
                    {"name": "id", "type": "number", "role": "default", "visibility": "public"},
                    {"name": "customer_id", "type": "number", "role": "default", "visibility": "public"},
                    {
                        "name": "amount",
                        "type": "number",
                        "role": "default",
                        "visibility": "public",
                        "description": "in EUR",
                    },
                    {"name": "placed_at", "type": "time", "role": "time", "visibility": "public"},
                    {"name": "paid", "type": "boolean", "role": "default", "visibility": "public"},
                ],
                "joins": [],
                "measures": [
                    {"name": "record_count", "expr": "count(id)"},
                    {"name": "total_amount", "expr": "sum(amount)", "description": "Sum of amount — in EUR"},
                    {"name": "avg_amount", "expr": "avg(amount)", "description": "Average of amount — in EUR"},
                ],
                "segments": [],
            }
        ],
        "source_count": 1,
    }


TYPES = {
    "boolean": "bool BOOLEAN bit bit(1) tinyint(1) Nullable(Bool)",
    "time": "date time timetz timestamptz timestamp(3) datetime datetime2(7) DateTime64(3) smalldatetime timestamp_ntz "
    "datetimeoffset LowCardinality(Nullable(DateTime))",
    "number": "integer int int8 INT64 bigint hugeint serial bigserial numeric NUMERIC(10,2) decimal(4) number(38,0) "
    "bignumeric float float8 FLOAT64 Float32 double real money year oid tinyint tinyint(4) Nullable(UInt8) Int256",
    "string": "text varchar(40) uuid json interval int4range numrange integer[] _int4 bit(8) varbit bytea point "
    "array<int> Array(Int8) struct<a:int> Map(String,Int8) daterange enum('date') pointer integers",
}


@pytest.mark.parametrize(("raw", "expected"), [(raw, kind) for kind, raws in TYPES.items() for raw in raws.split()])
def test_types_by_whole_base_name(raw: str, expected: str) -> None:
    assert column_type(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("double precision", "number"),
        ("int(10) unsigned zerofill", "number"),
        ("timestamp with time zone", "time"),
        ("time (3) without time zone", "time"),
        ("bit varying(8)", "string"),
        ("character varying", "string"),
        ("interval day to second", "string"),
        ("long raw", "string"),
        ("", "string"),
    ],
)
def test_types_of_several_words(raw: str, expected: str) -> None:
    assert column_type(raw) == expected


def names(answer: dict[str, Any]) -> list[str]:
    return [source["name"] for source in answer["sources"]]


def test_colliding_names_take_schema_catalog_and_number() -> None:
    answer = generate(
        table("order items", db="a"),
        table("order-items", db="b"),
        table("order.items", db="b", catalog="c"),
        table("order.items", db="b", catalog="c"),
        table("ünï"),
    )
    assert names(answer) == [
        "order_items",
        "b_order_items",
        "c_b_order_items",
        "c_b_order_items_2",
        "_n_",
    ]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("postgres", ('"Sales"."order"', 'count("Id")', 'sum("unit price")', "avg(total)")),
        ("mysql", ("Sales.`order`", "count(Id)", "sum(`unit price`)", "avg(total)")),
        ("snowflake", ('"Sales"."order"', 'count("Id")', 'sum("unit price")', 'avg("total")')),
        ("tsql", ("Sales.[order]", "count(Id)", "sum([unit price])", "avg(total)")),
        ("bigquery", ("Sales.`order`", "count(Id)", "sum(`unit price`)", "avg(total)")),
        ("duckdb", ('Sales."order"', "count(Id)", 'sum("unit price")', "avg(total)")),
    ],
)
def test_quotes_names_that_bare_would_mean_something_else(dialect: str, expected: tuple[str, ...]) -> None:
    columns = (key("Id"), column("unit price", "real"), column("total", "real"))
    source = generate(table("order", *columns, db="Sales"), dialect=dialect)["sources"][0]
    measures = {measure["name"]: measure["expr"] for measure in source["measures"]}
    assert (source["table"], measures["record_count"], measures["total_unit_price"], measures["avg_total"]) == expected


def test_keys_decide_grain_and_count() -> None:
    composite, keyless = generate(
        table("a", key("x"), key("y"), column("z", "real")), table("b", column("p", "text"), column("q", "real"))
    )["sources"]
    assert composite["grain"] == ["x", "y"]
    assert composite["measures"][0] == {"name": "record_count", "expr": "count(*)"}
    assert keyless["grain"] == ["p"]
    assert [measure["name"] for measure in keyless["measures"]] == ["total_q", "avg_q"]


@pytest.mark.parametrize("name", ["id", "ID", "uuid", "order_id", "x_uuid", "sort_key", "row_pk", "tax_identifier"])
def test_identifiers_are_not_summed(name: str) -> None:
    assert generate(table("t", column(name)))["sources"][0]["measures"] == []


def test_measure_names_do_not_collide_with_columns() -> None:
    columns = (key(), column("record_count", "text"), column("a b", "real"), column("a-b", "real"))
    measures = [m["name"] for m in generate(table("t", *columns))["sources"][0]["measures"]]
    assert measures == ["record_count_2", "total_a_b", "avg_a_b", "total_a_b_2", "avg_a_b_2"]


def joins(answer: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    return {source["name"]: source["joins"] for source in answer["sources"]}


CUSTOMERS = table("customers", key(), column("name", "text"))
ORDERS = table("orders", key(), column("customer_id"), column("Ship_To"), column("parent_id"))


def test_joins_both_directions_with_inverse_relationships() -> None:
    answer = generate(CUSTOMERS, ORDERS, links=[link("orders", "customer_id", "customers", "id", "MANY_TO_ONE")])
    assert joins(answer) == {
        "customers": [{"to": "orders", "on": "id = orders.customer_id", "relationship": "one_to_many"}],
        "orders": [{"to": "customers", "on": "customer_id = customers.id", "relationship": "many_to_one"}],
    }
    assert "warnings" not in answer


@pytest.mark.parametrize(
    ("given", "forth", "back"),
    [
        ("one_to_many", "one_to_many", "many_to_one"),
        ("One_To_One", "one_to_one", "one_to_one"),
        ("many_to_many", "many_to_one", "one_to_many"),
        ("", "many_to_one", "one_to_many"),
    ],
)
def test_relationships_in_any_case_unknown_is_many_to_one(given: str, forth: str, back: str) -> None:
    found = joins(generate(CUSTOMERS, ORDERS, links=[link("orders", "customer_id", "customers", "id", given)]))
    assert (found["orders"][0]["relationship"], found["customers"][0]["relationship"]) == (forth, back)


def test_pairs_of_one_constraint_are_one_join() -> None:
    parts = table("parts", key("a"), key("b"))
    uses = table("uses", key(), column("part_a"), column("part_b"))
    links = [
        link("uses", "part_a", "parts", "a", constraint_name="fk"),
        link("uses", "part_b", "parts", "b", constraint_name="fk"),
    ]
    assert joins(generate(parts, uses, links=links))["uses"] == [
        {"to": "parts", "on": "part_a = parts.a AND part_b = parts.b", "relationship": "many_to_one"}
    ]


def test_self_link_is_one_join_with_an_alias() -> None:
    assert joins(generate(ORDERS, links=[link("orders", "parent_id", "orders")])) == {
        "orders": [
            {
                "to": "orders",
                "on": "parent_id = orders_parent_id.id",
                "relationship": "many_to_one",
                "alias": "orders_parent_id",
            }
        ]
    }


def test_several_joins_to_one_target_get_aliases() -> None:
    links = [link("orders", "customer_id", "customers"), link("orders", "Ship_To", "customers")]
    found = joins(generate(CUSTOMERS, ORDERS, links=links))
    assert [(join["alias"], join["on"]) for join in found["orders"]] == [
        ("customers_customer_id", "customer_id = customers_customer_id.id"),
        ("customers_ship_to", '"Ship_To" = customers_ship_to.id'),
    ]
    assert [(join["alias"], join["on"]) for join in found["customers"]] == [
        ("orders_id", "id = orders_id.customer_id"),
        ("orders_id_2", 'id = orders_id_2."Ship_To"'),
    ]


def test_tables_are_named_bare_or_qualified() -> None:
    tables = (
        table("t", db="a", catalog="c"),
        table("t", db="b"),
        table("u", key(), column("t_id"), column("x_id"), column("y_id")),
    )
    links = [link("u", "t_id", "a.t"), link("u", "x_id", "b.t"), link("u", "y_id", "t")]
    answer = generate(*tables, links=links)
    assert {join["to"] for join in joins(answer)["u"]} == {"t", "b_t"}
    assert answer["warnings"] == ["link 2: 't' names more than one table; add its schema; the link was dropped"]
    assert joins(generate(*tables, links=[link("u", "t_id", "c.a.t")]))["u"][0]["to"] == "t"


def test_what_cannot_be_drafted_is_left_out_with_a_warning() -> None:
    empty = {"name": "empty", "columns": []}
    links = [link("orders", "id", "empty"), link("orders", "nosuch", "customers"), link("nowhere", "id", "orders")]
    answer = generate(empty, CUSTOMERS, ORDERS, links=links)
    assert names(answer) == ["customers", "orders"]
    assert answer["source_count"] == 2
    assert joins(answer) == {"customers": [], "orders": []}
    assert answer["warnings"] == [
        "table 'empty' has no columns and was left out",
        "link 0: 'empty' is no table with columns; the link was dropped",
        "link 1: table 'orders' has no column 'nosuch'; the link was dropped",
        "link 2: 'nowhere' is no table with columns; the link was dropped",
    ]


def test_lower_case_names_differ_by_more_than_case() -> None:
    tables = [
        table("Orders", db="public"),
        table("Order Items"),
        table("orders", db="public"),
        table("_Log"),
        table("É"),
    ]
    links = [link("Order Items", "id", "public.Orders")]
    drafted = generate(*tables, links=links, dialect="postgres", lower_case_names=True)["sources"]
    assert [source["name"] for source in drafted] == ["public_orders", "order_items", "orders", "log", "table"]
    assert [source["table"] for source in drafted[:3]] == ['public."Orders"', '"Order Items"', "public.orders"]
    assert drafted[1]["joins"] == [
        {"to": "public_orders", "on": "id = public_orders.id", "relationship": "many_to_one"}
    ]


def test_unknown_keys_of_the_envelope_are_refused_project_id_ignored() -> None:
    assert generate(projectId="p")["sources"] == []
    with pytest.raises(ValidationError):
        generate(project_id="p")


@pytest.mark.parametrize("dialect", ["postgres", "duckdb", "snowflake", "bigquery", "mysql", "tsql"])
def test_drafts_validate_and_answer_queries(dialect: str) -> None:
    from ktx_daemon import semantic_layer as layer

    tables = (
        table("customers", key(), column("Full Name", "text"), db="a"),
        table("customers", key(), column("name", "text"), db="b"),
        table("order", key(), column("customer_id"), column("Ship_To"), column("parent_id"), column("Total", "real")),
    )
    links = [
        link("order", "customer_id", "a.customers"),
        link("order", "Ship_To", "a.customers"),
        link("order", "parent_id", "order"),
        link("order", "customer_id", "b.customers"),
    ]
    sources = generate(*tables, links=links, dialect=dialect)["sources"]
    report = layer.validate_semantic_layer_response(
        layer.SemanticValidateRequest(sources=sources, dialect=dialect, recently_touched=None)
    )
    assert report.errors == []
    query = {
        "measures": ["order.total_Total", "order.record_count"],
        "dimensions": ["b_customers.name", "order.Ship_To"],
    }
    answer = layer.query_semantic_layer_response(
        layer.SemanticQueryRequest(sources=sources, dialect=dialect, query=query)
    )
    assert ('"Ship_To"' in answer.sql) == (dialect in ("postgres", "snowflake"))
