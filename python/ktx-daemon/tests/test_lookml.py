"""LookML: what becomes a source, what is left out, and that each omission is named."""

from __future__ import annotations

from typing import Any

import pytest
from ktx_daemon.errors import LimitExceeded
from ktx_daemon.lookml import (
    LookmlColumn,
    LookmlMeasure,
    LookmlView,
    ParseLookmlRequest,
    ParseLookmlResponse,
    parse_lookml_response,
)


def parse(*contents: str | tuple[str, str], **more: Any) -> ParseLookmlResponse:
    files = [
        {"path": f"file{index}.lkml", "content": content}
        if isinstance(content, str)
        else {"path": content[0], "content": content[1]}
        for index, content in enumerate(contents)
    ]
    return parse_lookml_response(ParseLookmlRequest.model_validate({"files": files, **more}))


def view(body: str, **more: Any) -> LookmlView:
    answer = parse(f"view: v {{ sql_table_name: s.v ;; {body} }}", **more)
    assert answer.warnings == []
    return answer.views[0]


def columns(found: LookmlView) -> dict[str, LookmlColumn]:
    return {column.lookml_name: column for column in found.columns}


def measures(found: LookmlView) -> dict[str, LookmlMeasure]:
    return {measure.name: measure for measure in found.measures}


def test_answers_a_view_with_every_field() -> None:
    answer = parse(
        """
        view: orders {
          sql_table_name: raw.orders ;;
          label: "Orders"
          dimension: id { primary_key: yes type: number sql: ${TABLE}.id ;; }
          dimension: state { sql: ${TABLE}."Order State" ;; hidden: yes label: "State" description: "where it is" }
          measure: count { type: count description: "how many" }
        }
        """
    )
    assert answer.model_dump() == {
        "views": [
            {
                "name": "orders",
                "source_type": "table",
                "table_ref": "raw.orders",
                "sql": None,
                "grain": ["id"],
                "columns": [
                    {
                        "name": "id",
                        "lookml_name": "id",
                        "type": "number",
                        "role": "default",
                        "visibility": "public",
                        "description": None,
                        "is_computed": False,
                        "expr": None,
                    },
                    {
                        "name": "Order State",
                        "lookml_name": "state",
                        "type": "string",
                        "role": "default",
                        "visibility": "hidden",
                        "description": "where it is",
                        "is_computed": False,
                        "expr": None,
                    },
                ],
                "measures": [{"name": "count", "expr": "count(*)", "filter": None, "description": "how many"}],
                "description": "Orders",
                "skipped_dimensions": [],
                "skipped_measures": [],
            }
        ],
        "joins": [],
        "skipped_views": [],
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("dimension", "name", "kind", "expr"),
    [
        ("dimension: a {}", "a", "string", None),
        ("dimension: a { type: number }", "a", "number", None),
        ("dimension: a { sql: ${TABLE}.b ;; }", "b", "string", None),
        ('dimension: a { sql: ${TABLE}."Mixed Col" ;; }', "Mixed Col", "string", None),
        ("dimension: a { type: yesno sql: ${TABLE}.b > 1 ;; }", "a", "boolean", "b > 1"),
        ("dimension: a { type: date sql: ${TABLE}.b ;; }", "b", "time", None),
        ("dimension: a { type: date_time sql: ${TABLE}.b ;; }", "b", "time", None),
        ("dimension: a { type: duration_day sql: ${TABLE}.b ;; }", "b", "number", None),
        ("dimension: a { type: zipcode sql: ${TABLE}.b ;; }", "b", "string", None),
        ("dimension_group: a { type: time timeframes: [raw, week] sql: ${TABLE}.b ;; }", "b", "time", None),
        ("dimension_group: a { sql: ${TABLE}.b ;; }", "b", "time", None),
        ("dimension: x { sql: ${TABLE}.y ;; } dimension: a { sql: upper(${x}) ;; }", "a", "string", "upper(y)"),
        ("dimension: x { sql: ${TABLE}.y + 1 ;; } dimension: a { sql: ${v.x} * 2 ;; }", "a", "string", "(y + 1) * 2"),
        (
            "dimension_group: x { type: time sql: ${TABLE}.y ;; } dimension: a { sql: ${x_date} ;; }",
            "a",
            "string",
            "CAST(y AS DATE)",
        ),
    ],
)
def test_columns(dimension: str, name: str, kind: str, expr: str | None) -> None:
    column = columns(view(dimension))["a"]
    assert (column.name, column.type, column.expr, column.is_computed) == (name, kind, expr, expr is not None)
    assert column.role == ("time" if kind == "time" else "default")


@pytest.mark.parametrize(
    ("dimension", "reason"),
    [
        ("dimension: a { sql: {% if x %} b {% endif %} ;; }", "Liquid"),
        ("dimension: a { sql: {{ b }} ;; }", "Liquid"),
        ("dimension: a { sql: ${b} ;; } dimension: b { sql: ${a} ;; }", "refers to itself"),
        ("dimension: a { sql: ${a} ;; }", "refers to itself"),
        ("dimension: a { sql: ${other.b} ;; }", "${other.b}"),
        ("dimension: a { sql: ${nosuch} ;; }", "${nosuch}"),
        ("dimension: a { sql: @{nosuch} ;; }", "undefined constant"),
        ("dimension: a { sql: b c d ;; }", "cannot be parsed"),
        ("dimension: a { sql: b; drop table t ;; }", "not one expression"),
        ("dimension_group: a { type: duration sql_start: x ;; sql_end: y ;; }", "type duration"),
        ('dimension: a { case: { when: { sql: 1 = 1 ;; label: "x" } } }', "no SQL"),
    ],
)
def test_skipped_dimensions_say_why(dimension: str, reason: str) -> None:
    found = view(dimension)
    skipped = {item.name: item for item in found.skipped_dimensions}
    assert reason in skipped["a"].reason
    assert skipped["a"].item_type == "dimension"
    assert "a" not in columns(found)


def test_fields_that_double_each_other_stay_small() -> None:
    chain = "dimension: d0 { sql: ${TABLE}.x + 1 ;; }" + "".join(
        f"dimension: d{n} {{ sql: ${{d{n - 1}}} + ${{d{n - 1}}} ;; }}" for n in range(1, 60)
    )
    found = view(chain)
    assert len(found.columns) + len(found.skipped_dimensions) == 60
    assert any("too long" in item.reason for item in found.skipped_dimensions)


def test_names_of_columns_are_unique() -> None:
    found = view(
        "dimension: id { sql: ${TABLE}.id ;; } dimension: again { sql: ${TABLE}.id ;; } dimension: net {}"
        "dimension: id_2 { sql: ${id} + 1 ;; }"
    )
    assert [(column.name, column.expr) for column in found.columns] == [
        ("id", None),
        ("again", "id"),
        ("net", None),
        ("id_2", "id + 1"),
    ]


def test_computed_column_called_like_its_own_column_is_referred_to_by_name() -> None:
    """In place, `amount / 100` would mean the computed column, and divide twice."""
    found = view(
        "dimension: amount { sql: ${TABLE}.amount / 100 ;; } dimension: net { sql: ${amount} - 1 ;; }"
        "measure: total { type: sum sql: ${amount} ;; }"
    )
    assert columns(found)["amount"].expr == "amount / 100"
    assert columns(found)["net"].expr == "amount - 1"
    assert measures(found)["total"].expr == "sum(amount)"


def test_computed_column_makes_way_for_a_column_others_use() -> None:
    found = view(
        "dimension: amount { sql: ${TABLE}.amount / 100 ;; } measure: cents { type: sum sql: ${TABLE}.amount ;; }"
        "measure: total { type: sum sql: ${amount} ;; }"
    )
    assert columns(found)["amount"].name == "amount_2"
    assert measures(found)["cents"].expr == "sum(amount)"
    assert measures(found)["total"].expr == "sum(amount / 100)"


FIELDS = (
    "dimension: id { primary_key: yes type: number } dimension: s {} dimension: n { type: number }"
    "dimension: b { type: yesno sql: ${TABLE}.flag = 1 ;; } dimension: d { type: date }"
    "dimension_group: at { type: time sql: ${TABLE}.at ;; }"
)


@pytest.mark.parametrize(
    ("measure", "expr"),
    [
        ("type: count", "count(*)"),
        ("type: count_distinct sql: ${s} ;;", "count(distinct s)"),
        ("type: sum sql: ${n} ;;", "sum(n)"),
        ("type: average sql: ${TABLE}.x * 2 ;;", "avg(x * 2)"),
        ("type: min sql: ${n} ;;", "min(n)"),
        ("type: max sql: ${n} ;;", "max(n)"),
        ("type: median sql: ${n} ;;", "median(n)"),
        ("type: sum_distinct sql_distinct_key: ${id} ;; sql: ${n} ;;", "sum(n)"),
        ("type: average_distinct sql_distinct_key: ${TABLE}.id ;; sql: ${n} ;;", "avg(n)"),
        ("type: number sql: ${other} / nullif(${v.other}, 0) ;;", "other / nullif(other, 0)"),
        ("type: number sql: sum(${n}) + 1 ;;", "sum(n) + 1"),
        ("type: date sql: max(${at_raw}) ;;", "max(at)"),
    ],
)
def test_measures(measure: str, expr: str) -> None:
    found = view(f"{FIELDS} measure: m {{ {measure} }} measure: other {{ type: count }}")
    assert measures(found)["m"].expr == expr
    assert found.skipped_measures == []


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        ("type: percentile sql: ${n} ;;", "type percentile"),
        ("type: list list_field: s", "type list"),
        ("type: sum", "no SQL"),
        ("type: sum sql: ${other.n} ;;", "${other.n}"),
        ("type: sum sql: {{ x }} ;;", "Liquid"),
        ("type: sum_distinct sql: ${n} ;;", "sql_distinct_key"),
        ("type: sum_distinct sql_distinct_key: ${s} ;; sql: ${n} ;;", "not the primary key"),
        ("type: number sql: ${bad} + 1 ;;", "${bad}"),
        ("type: number sql: ${m} + 1 ;;", "refers to itself"),
        ("type: date sql: ${at_raw} ;;", "min or max"),
        ('type: count filters: [nosuch: "x"]', "no dimension"),
        ('type: count filters: [other.s: "x"]', "no dimension"),
        ('type: count filters: [d: "7 days"]', "time"),
        ('type: count filters: [n: "many"]', "no number"),
        ('type: count filters: [b: "maybe"]', "neither yes nor no"),
        ('type: count filters: [s: "a_%"]', "wildcard"),
    ],
)
def test_skipped_measures_say_why(measure: str, reason: str) -> None:
    found = view(f"{FIELDS} measure: m {{ {measure} }} measure: bad {{ type: list list_field: s }}")
    skipped = {item.name: item for item in found.skipped_measures}
    assert reason in skipped["m"].reason
    assert skipped["m"].item_type == "measure"
    assert "m" not in measures(found)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ('s: "x"', "s = 'x'"),
        ('s: "O\'Brien"', "s = 'O''Brien'"),
        ('s: "x\'; drop table t; --"', "s = 'x''; drop table t; --'"),
        ('s: "x,y , z"', "s IN ('x', 'y', 'z')"),
        ('s: "-x"', "(s <> 'x' OR s IS NULL)"),
        ('s: "x%"', "s LIKE 'x%'"),
        ('s: "x^%"', "s = 'x%'"),
        ('s: "NULL"', "s IS NULL"),
        ('s: "-NULL"', "NOT s IS NULL"),
        ('s: "EMPTY"', "(s IS NULL OR s = '')"),
        ('s: "x,%y"', "(s = 'x' OR s LIKE '%y')"),
        ('s: ""', None),
        ('n: ">5"', "n > 5"),
        ('n: "5"', "n = 5"),
        ('n: "-2.5"', "n = -2.5"),
        ('n: "1, 2"', "(n = 1 OR n = 2)"),
        ('n: ">=1 AND <=3"', "n >= 1 AND n <= 3"),
        ('n: "<1 OR >3"', "(n < 1 OR n > 3)"),
        ('n: "[1, 3)"', "n >= 1 AND n < 3"),
        ('n: "(1, inf)"', "n > 1"),
        ('n: "1 to 3"', "n >= 1 AND n <= 3"),
        ('n: "NOT 5"', "(n <> 5 OR n IS NULL)"),
        ('n: "NOT NULL"', "NOT n IS NULL"),
        ('b: "yes"', "(flag = 1)"),
        ('b: "no"', "NOT COALESCE((flag = 1), FALSE)"),
        ('s: "x", n: ">5"', "s = 'x' AND n > 5"),
    ],
)
def test_filters_follow_lookers_grammar(filters: str, expected: str | None) -> None:
    found = view(f"{FIELDS} measure: m {{ type: count filters: [{filters}] }}")
    assert found.skipped_measures == []
    assert measures(found)["m"].filter == expected


def test_old_filter_syntax() -> None:
    found = view(
        f'{FIELDS} measure: m {{ type: count filters: {{ field: s value: "x" }} filters: {{ field: v.n value: "1" }} }}'
    )
    assert measures(found)["m"].filter == "s = 'x' AND n = 1"


def test_every_refinement_applies_in_order() -> None:
    answer = parse(
        'view: +v { dimension: a { label: "one" description: "kept" } }',
        "view: v { sql_table_name: t ;; dimension: a { type: number } }",
        'view: +v { dimension: a { label: "two" } dimension: b {} }',
    )
    found = columns(answer.views[0])
    assert (found["a"].type, found["a"].description) == ("number", "kept")
    assert list(found) == ["a", "b"]
    assert answer.warnings == []


def test_child_wins_then_the_last_parent_and_parents_stay_as_they_are() -> None:
    answer = parse(
        """
        view: one { sql_table_name: one ;; dimension: a { description: "one" } dimension: b { description: "one" } }
        view: two { sql_table_name: two ;; dimension: a { description: "two" } dimension: b { description: "two" } }
        view: child { extends: [one, two] dimension: a { description: "child" } dimension: c {} }
        view: +child { dimension: b { type: number } }
        """
    )
    found = {item.name: item for item in answer.views}
    assert found["child"].table_ref == "two"
    assert {name: column.description for name, column in columns(found["child"]).items()} == {
        "a": "child",
        "b": "two",
        "c": None,
    }
    assert columns(found["child"])["b"].type == "number"
    assert columns(found["two"])["b"].type == "string"
    assert list(columns(found["two"])) == ["a", "b"]


def test_child_with_sql_drops_the_parents_table() -> None:
    answer = parse(
        "view: p { sql_table_name: t ;; dimension: a {} }",
        "view: c { extends: [p] derived_table: { sql: select 1 as a ;; } }",
    )
    assert {item.name: item.source_type for item in answer.views} == {"p": "table", "c": "sql"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("view: v { extension: required sql_table_name: t ;; }", "extension: required"),
        ("view: v { extends: [p] } view: p { sql_table_name: t ;; dimension: a {} }", "another name of 'p'"),
        ("view: v { derived_table: { explore_source: e { column: c {} } } }", "explore_source"),
        ("view: v { dimension: a {} }", "neither"),
        (
            "view: v { derived_table: { sql: select * from ${w.SQL_TABLE_NAME} ;; } }"
            "view: w { derived_table: { sql: select * from ${v.SQL_TABLE_NAME} ;; } }",
            "refers to itself",
        ),
    ],
)
def test_skipped_views_say_why(content: str, reason: str) -> None:
    answer = parse(content)
    skipped = {item.name: item for item in answer.skipped_views}
    assert reason in skipped["v"].reason
    assert skipped["v"].item_type == "view"
    assert "v" not in {item.name for item in answer.views}


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("view: { broken", "not LookML"),
        (";", "a single ';'"),
        ("view: w { sql_table_name: t ;;; }", "a single ';'"),
        ("view: w {} } view: lost {}", "unexpected token"),
        (
            "view: w { sql_table_name: t ;; extends: [nosuch] dimension: a {} }",
            "extends 'nosuch', which is not defined",
        ),
        (
            "view: w { sql_table_name: t ;; extends: [x] dimension: a {} }"
            "view: x { sql_table_name: t ;; extends: [w] dimension: b {} }",
            "leads back to it",
        ),
        ("view: +nosuch { dimension: a {} }", "refined but not defined"),
        ("view: ok { sql_table_name: u ;; dimension: b {} }", "defined again"),
        ("view: w { sql_table_name: @{nosuch}.t ;; }", "unresolved"),
        (
            "view: w { derived_table: { sql: select {% condition c %} a {% endcondition %} ;; } }",
            "could not be translated",
        ),
    ],
)
def test_faults_are_warnings_and_the_rest_goes_on(content: str, warning: str) -> None:
    answer = parse("view: ok { sql_table_name: t ;; dimension: a {} }", content)
    assert any(warning in text for text in answer.warnings), answer.warnings
    assert "ok" in {item.name for item in answer.views}


def test_a_single_semicolon_within_an_expression_is_part_of_it() -> None:
    found = columns(view("dimension: a { sql: split_part(${TABLE}.a, ';', 1) ;; }"))
    assert found["a"].expr is not None
    assert "';'" in found["a"].expr


def test_constants_come_from_manifests_once_and_overrides_win() -> None:
    manifest = ("a/Manifest.lkml", 'constant: s { value: "prod" } constant: c { value: "@{s}" }')
    content = (
        "view: v { sql_table_name: @{s}.t ;; dimension: a { sql: ${TABLE}.@{s} ;; } dimension: b { sql: @{c} ;; } }"
        "view: w { derived_table: { sql: select '@{s}' as x ;; } }"
    )
    answer = parse(manifest, content)
    v, w = answer.views
    assert (v.table_ref, columns(v)["a"].name, w.sql) == ("prod.t", "prod", "select 'prod' as x")
    assert [item.name for item in v.skipped_dimensions] == ["b"]
    assert parse(manifest, content, constant_overrides={"s": "dev"}).views[0].table_ref == "dev.t"
    assert parse(("constants.lkml", manifest[1]), content).views[0].table_ref == "@{s}.t"


def test_derived_sql_is_translated_and_its_columns_added() -> None:
    content = """
    view: base { sql_table_name: raw.t ;; dimension: a {} }
    view: v {
      derived_table: { sql:
        with q as (select a::text as b, c from ${base.SQL_TABLE_NAME}) select * from q union all select 1, 2 ;; }
      dimension: b { primary_key: yes }
    }
    view: w { derived_table: { sql: select b from ${v.SQL_TABLE_NAME} limit 1 ;; } }
    """
    answer = parse(content, dialect="bigquery")
    found = {item.name: item for item in answer.views}
    assert found["v"].sql is not None
    assert found["v"].sql.startswith("WITH q AS (SELECT CAST(a AS STRING) AS b, c FROM raw.t)")
    assert [(column.name, column.visibility) for column in found["v"].columns] == [("b", "public"), ("c", "hidden")]
    assert (found["w"].source_type, found["w"].table_ref) == ("sql", None)
    assert found["w"].sql is not None
    assert found["w"].sql.startswith("WITH v AS (WITH q AS (")
    assert answer.warnings == []


JOINED = """
view: orders { sql_table_name: o ;; dimension: id { primary_key: yes } dimension: cid { sql: ${TABLE}.customer_id ;; }
  dimension_group: at { type: time sql: ${TABLE}."At" ;; } dimension: calc { sql: ${TABLE}.x + 1 ;; } }
view: customers { sql_table_name: c ;; dimension: key { primary_key: yes sql: ${TABLE}.id ;; } dimension: rid {} }
view: regions { sql_table_name: r ;; dimension: id { primary_key: yes } }
view: buyers { extends: [customers] }
view: native { derived_table: { explore_source: e { column: c {} } } }
"""


@pytest.mark.parametrize(
    ("explore", "expected"),
    [
        (
            "join: customers { sql_on: ${orders.cid} = ${customers.key} ;; relationship: one_to_one }",
            ("orders", "customers", None, "orders.customer_id = customers.id", "one_to_one"),
        ),
        (
            "join: ship_to { from: customers sql_on: ${orders.cid} = ${ship_to.key} AND ${ship_to.rid} = 3 ;; }",
            ("orders", "customers", "ship_to", "orders.customer_id = ship_to.id AND ship_to.rid = 3", "many_to_one"),
        ),
        (
            "join: buyers { sql_on: ${orders.cid} = ${buyers.key} ;; }",
            ("orders", "customers", "buyers", "orders.customer_id = buyers.id", "many_to_one"),
        ),
        (
            "join: customers { foreign_key: orders.cid }",
            ("orders", "customers", None, "orders.customer_id = customers.id", "many_to_one"),
        ),
        (
            "join: customers { foreign_key: cid }",
            ("orders", "customers", None, "orders.customer_id = customers.id", "many_to_one"),
        ),
        (
            "join: customers { sql_on: ${orders.at_raw} = ${customers.key} ;; }",
            ("orders", "customers", None, 'orders."At" = customers.id', "many_to_one"),
        ),
    ],
)
def test_joins_name_physical_columns(explore: str, expected: tuple[str | None, ...]) -> None:
    answer = parse(JOINED, f"explore: orders {{ {explore} }}")
    assert answer.warnings == []
    join = answer.joins[0]
    assert (join.source_view, join.to, join.alias, join.on, join.relationship) == expected


@pytest.mark.parametrize("base", ["from: orders", "view_name: orders"])
def test_base_of_an_explore(base: str) -> None:
    name = "e" if base.startswith("from") else "orders"
    on = f"${{{name}.cid}} = ${{customers.key}}"
    answer = parse(JOINED, f"explore: e {{ {base} join: customers {{ sql_on: {on} ;; }} }}")
    assert [(join.source_view, join.on) for join in answer.joins] == [("orders", "orders.customer_id = customers.id")]


def test_join_belongs_to_the_view_its_condition_names() -> None:
    answer = parse(
        JOINED,
        "explore: orders { join: customers { sql_on: ${orders.cid} = ${customers.key} ;; }"
        " join: regions { sql_on: ${customers.rid} = ${regions.id} ;; } }",
    )
    assert [(join.source_view, join.to) for join in answer.joins] == [("orders", "customers"), ("customers", "regions")]


@pytest.mark.parametrize(
    ("join", "warning"),
    [
        ("join: nosuch { sql_on: ${orders.id} = ${nosuch.id} ;; }", "'nosuch'"),
        ("join: native { sql_on: ${orders.id} = ${native.id} ;; }", "'native'"),
        ("join: regions { sql_on: ${orders.nosuch} = ${regions.id} ;; }", "not a physical column"),
        ("join: regions { sql_on: ${orders.calc} = ${regions.id} ;; }", "not a physical column"),
        ("join: regions { sql_on: ${orders.at_week} = ${regions.id} ;; }", "not a physical column"),
        ("join: regions { sql_on: ${elsewhere.id} = ${regions.id} ;; }", "not in the explore"),
        ("join: regions { sql_on: ${orders.id} > ${regions.id} ;; }", "equalities"),
        ("join: regions { sql_on: ${orders.id} = ${regions.id} OR 1 = 1 ;; }", "equalities"),
        ("join: regions { sql_on: {% if x %} ${orders.id} = ${regions.id} {% endif %} ;; }", "Liquid"),
        ("join: regions { relationship: many_to_many sql_on: ${orders.id} = ${regions.id} ;; }", "many_to_many"),
        ("join: regions { type: cross }", "cross"),
        ("join: regions {}", "no sql_on"),
    ],
)
def test_dropped_joins_are_warnings(join: str, warning: str) -> None:
    answer = parse(JOINED, f"explore: orders {{ {join} }}")
    assert answer.joins == []
    assert len(answer.warnings) == 1
    assert warning in answer.warnings[0]


def test_explores_are_refined_extended_and_merged() -> None:
    answer = parse(
        JOINED,
        "explore: orders { join: customers { sql_on: ${orders.cid} = ${customers.key} ;; } }"
        "explore: +orders { join: customers { relationship: one_to_one } }"
        "explore: child { extends: [orders] join: regions { sql_on: ${customers.rid} = ${regions.id} ;; } }",
    )
    assert answer.warnings == []
    assert [(join.source_view, join.to, join.relationship) for join in answer.joins] == [
        ("orders", "customers", "one_to_one"),
        ("customers", "regions", "many_to_one"),
    ]


def test_hostile_files_end() -> None:
    deep = "view: v { " * 3000
    long_name = "${" * 20_000
    answer = parse(deep, f"view: w {{ sql_table_name: t ;; dimension: a {{ sql: {long_name} ;; }} }}", "\x00\x1b[31m")
    assert [item.name for item in answer.views] == ["w"]
    assert all("\x1b" not in text for text in answer.warnings)
    with pytest.raises(LimitExceeded):
        parse_lookml_response(ParseLookmlRequest.model_validate({"files": [{"path": "a", "content": ""}] * 20_001}))
