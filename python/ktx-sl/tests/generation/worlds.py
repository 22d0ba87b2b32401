"""Random sources, joins, measures, segments and rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

NAMES = ("delta", "alpha", "omega", "beta", "sigma", "gamma", "kappa", "zeta")
LABELS = ("ash", "birch", "cedar", "elm")
KINDS: dict[str, tuple[str, str | None]] = {
    "int": ("number", None),
    "float": ("number", None),
    "str": ("string", None),
    "bool": ("boolean", None),
    "date": ("time", "date"),
    "datetime": ("time", "timestamp"),
}
PYTHON = {"int": int, "float": float, "str": str, "bool": bool, "date": date, "datetime": datetime}
INVERSE = {"many_to_one": "one_to_many", "one_to_many": "many_to_one", "one_to_one": "one_to_one"}


@dataclass(frozen=True)
class Shape:
    """What a world may hold; turning parts off is how a failing case gets smaller."""

    sources: int = 4
    most_rows: int = 30
    fewest_rows: int = 10
    aliases: bool = True
    cycles: bool = True
    one_to_one: bool = True
    composite_keys: bool = True
    sql_sources: bool = True
    computed: bool = True


@dataclass
class World:
    """A model, the tables under it, and per source the rows that its table or SELECT yields."""

    model: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    types: dict[str, dict[str, type]] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kinds: dict[str, dict[str, str]] = field(default_factory=dict)  # by source: column -> kind, listed columns only


def random_world(rng: Random, shape: Shape) -> World:
    """A world of `shape.sources` sources in which every declared key and cardinality is true."""
    return _Builder(rng, shape).build()


class _Builder:
    def __init__(self, rng: Random, shape: Shape) -> None:
        self.rng, self.shape, self.world = rng, shape, World()
        self.names = rng.sample(NAMES, shape.sources)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def build(self) -> World:
        for position, name in enumerate(self.names):
            self._source(name)
            self._joins(name, self.names[:position])
        if self.shape.cycles and len(self.names) > 1 and self.chance(0.35):
            self._cycle()
        for name in self.names:
            self._texts(name)
            self._body(name)
        return self.world

    # columns and rows

    def _source(self, name: str) -> None:
        composite = self.shape.composite_keys and self.chance(0.15)
        kinds = {"k1": "int", "k2": "str"} if composite else {"id": "int"}
        own = {"label": "str", "num": "int", "val": "float", "flag": "bool", "day": "date", "at": "datetime"}
        for column, kind in own.items():
            if column in ("label", "num") or self.chance(0.6):
                kinds[column if self.chance(0.5) else f"{name}_{column}"] = kind
        count = self.rng.randint(self.shape.fewest_rows, self.shape.most_rows)
        rows = []
        for number in range(count):
            row = {column: self._value(kind) for column, kind in kinds.items()}
            row |= {"k1": number // 3, "k2": LABELS[number % 3]} if composite else {"id": number * 2 + 1}
            rows.append(row)
        self.world.kinds[name], self.world.rows[name] = kinds, rows
        self.world.model[name] = {
            "name": name,
            "grain": ["k1", "k2"] if composite else ["id"],
            "columns": [self._column(column, kind) for column, kind in kinds.items()],
            "joins": [],
            "measures": [],
            "segments": [],
        }

    def _column(self, name: str, kind: str) -> dict[str, Any]:
        declared, data_type = KINDS[kind]
        column = {"name": name, "type": declared} | ({"data_type": data_type, "role": "time"} if data_type else {})
        return column | ({"visibility": "hidden"} if self.chance(0.02) else {})

    def _value(self, kind: str) -> Any:
        if self.chance(0.15):
            return None
        match kind:
            case "int":
                return self.rng.randint(-5, 20)
            case "float":
                return self.rng.randint(-20, 60) / 4
            case "str":
                return self.rng.choice(LABELS)
            case "bool":
                return self.chance(0.5)
            case "date":
                return date(2024, 12, 20) + timedelta(days=self.rng.randint(0, 80))
        moment = datetime(2024, 12, 28) + timedelta(days=self.rng.randint(0, 40))
        return moment + timedelta(minutes=self.rng.choice((0, 0, 61, 725, 1439)), seconds=self.rng.choice((0, 0, 31)))

    # joins

    def _joins(self, child: str, earlier: list[str]) -> None:
        if not earlier:
            return
        for parent in self.rng.sample(earlier, min(len(earlier), self.rng.choice((0, 1, 1, 1, 2, 2)))):
            self._link(child, parent, f"{parent}_ref")
        if self.shape.aliases and self.chance(0.3):
            parent = self.rng.choice([*earlier, child])
            self._link(child, parent, f"{parent}_other", alias=f"{child}_{parent}")

    def _link(self, child: str, parent: str, stem: str, alias: str | None = None) -> None:
        """A foreign key of `child` with orphans and NULLs, declared at either end."""
        world, target = self.world, self.world.model[parent]
        keys = [tuple(row[column] for column in target["grain"]) for row in world.rows[parent]]
        unique = self.shape.one_to_one and alias is None and self.chance(0.2)
        used = self.rng.sample(keys, max(1, len(keys) * 2 // 3))  # the others stay childless
        pool = self.rng.sample(used, len(used))
        columns = [f"{stem}_{column}" if len(target["grain"]) > 1 else stem for column in target["grain"]]
        for number, row in enumerate(world.rows[child]):
            missing = tuple(None if self.chance(0.7) else 900 + number if isinstance(k, int) else "zz" for k in keys[0])
            if unique:
                key = pool.pop() if pool and self.chance(0.8) else missing
            else:
                key = missing if self.chance(0.2) else self.rng.choice(used)
            row.update(zip(columns, key, strict=True))
        for column, kind in zip(columns, (world.kinds[parent][c] for c in target["grain"]), strict=True):
            world.kinds[child][column] = kind
            world.model[child]["columns"].append(self._column(column, kind))
        node = alias or parent
        pairs = list(zip(columns, target["grain"], strict=True))
        relationship = "one_to_one" if unique else "many_to_one"
        if alias or self.chance(0.6):
            join = {"to": parent, "relationship": relationship, "on": self._on(child, node, pairs)}
            world.model[child]["joins"].append(join | ({"alias": alias} if alias else {}))
        else:
            turned = [(b, a) for a, b in pairs]
            join = {"to": child, "relationship": INVERSE[relationship], "on": self._on(parent, child, turned)}
            world.model[parent]["joins"].append(join)

    def _on(self, own: str, target: str, pairs: list[tuple[str, str]]) -> str:
        """The condition in one of the ways it may be written."""
        clauses = []
        style = self.rng.choice(("bare", "target", "both", "reversed"))
        for left, right in pairs:
            match style:
                case "bare":
                    clauses.append(f"{left} = {right}")
                case "target":
                    clauses.append(f"{left} = {target}.{right}")
                case "both":
                    clauses.append(f"{own}.{left} = {target}.{right}")
                case _:
                    clauses.append(f"{target}.{right} = {own}.{left}")
        if self.chance(0.12):  # a constant on either side narrows the join further
            node, source = self.rng.choice(((own, own), (target, self.target_of(target))))
            label = self.columns(source, "str")[0]
            clauses.append(f"{node}.{label} = '{self.rng.choice(LABELS)}'")
        return " AND ".join(clauses)

    def target_of(self, node: str) -> str:
        """The source behind a node: itself, or after the `_` of an alias."""
        return node if node in self.world.model else node.partition("_")[2]

    def _cycle(self) -> None:
        """An earlier source that also points at a later one."""
        first, last = self.rng.sample(self.names, 2)
        if f"{last}_ref" not in self.world.kinds[first] and f"{last}_ref_k1" not in self.world.kinds[first]:
            self._link(first, last, f"{last}_latest")

    # measures, segments, computed columns

    def columns(self, source: str, *kinds: str) -> list[str]:
        return [
            c for c, kind in self.world.kinds[source].items() if kind in kinds and not c.endswith(("_ref", "_other"))
        ]

    def _texts(self, name: str) -> None:
        model = self.world.model[name]
        number = self.rng.choice(self.columns(name, "int", "float"))
        if self.shape.computed and self.chance(0.4):
            model["columns"].append({"name": f"{name}_twice", "type": "number", "expr": f"{number} * 2 + 1"})
            self.world.kinds[name][f"{name}_twice"] = "int"
        if self.shape.computed and self.chance(0.3):
            label = self.columns(name, "str")[0]
            text = f"CASE WHEN {number} > 6 THEN 'big' WHEN {number} > 0 THEN {label} ELSE 'small' END"
            model["columns"].append({"name": f"{name}_size", "type": "string", "expr": text})
            self.world.kinds[name][f"{name}_size"] = "str"
        model["segments"].append({"name": f"{name}_seg", "expr": self.condition(name)})
        model["measures"] += self._measures(name)

    def _measures(self, name: str) -> list[dict[str, Any]]:
        numbers, texts = self.columns(name, "int", "float"), self.columns(name, "str")
        pick = self.rng.choice
        key = self.world.model[name]["grain"][0]
        simple = [
            f"sum({pick(numbers)})",
            f"avg({pick(numbers)})",
            f"min({pick(texts)})",
            f"max({pick(numbers)})",
            f"count({pick(texts)})",
            f"count({key})",
            "count(*)",
            f"count(distinct {pick(texts)})",
            f"count_distinct({pick(numbers)})",
            f"sum({name}.{pick(numbers)} * 2)",
            f"coalesce(sum({pick(numbers)}), 0)",
            f"sum({pick(numbers)}) filter (where {pick(numbers)} > 2)",
            f"sum(case when {pick(numbers)} > 3 then 1 else 0 end)",
            f"count_if({pick(numbers)} > 3)",
            f"percentile({pick(numbers)}, 0.75)" if self.chance(0.3) else f"sum(distinct {pick(numbers)})",
        ]
        measures: list[dict[str, Any]] = []
        for position, text in enumerate(self.rng.sample(simple, self.rng.randint(2, 4))):
            measure: dict[str, Any] = {
                "name": f"m{position}" if self.chance(0.5) else f"{name}_m{position}",
                "expr": text,
            }
            if self.chance(0.35):
                measure["filter"] = self.condition(self._near(name))
            if self.chance(0.15):
                measure["segments"] = [f"{name}_seg"]
            measures.append(measure)
        parts = [m["name"] for m in measures if "min(" not in m["expr"]]
        if len(parts) > 1 and self.chance(0.5):
            text = self.rng.choice(
                ("{a} / {b}", "{a} - {b}", "{a} - ({b} - {a})", "safe_divide({a}, {b})", "coalesce({a}, 0) + {b}")
            )
            derived = {"name": f"{name}_derived", "expr": text.format(a=parts[0], b=parts[1])}
            measures.append(derived | ({"filter": self.condition(name)} if self.chance(0.25) else {}))
            if self.chance(0.4):
                measures.append({"name": f"{name}_deeper", "expr": f"1 - {name}_derived / {parts[0]}"})
        return measures

    def _near(self, name: str) -> str:
        """The source itself or one that it declares a to-one join to, without an alias."""
        near = [
            join["to"]
            for join in self.world.model[name]["joins"]
            if join["relationship"] != "one_to_many" and "alias" not in join
        ]
        return self.rng.choice([name, name, *near])

    def condition(self, source: str) -> str:
        return condition(self.rng, source, self.world.kinds[source])

    # bodies

    def _body(self, name: str) -> None:
        """A table of another name, or a SELECT whose rows are known."""
        world, model = self.world, self.world.model[name]
        if not (self.shape.sql_sources and self.chance(0.3)):
            table = name if self.chance(0.5) else f"t_{name}"
            self._store(table, name)
            model["table"] = table
            return
        # the body may read a table named like its own source, and its CTE may be named like another source
        table = name if self.chance(0.5) else f"raw_{name}"
        self._store(table, name)
        stored = list(world.types[table])
        listing = ", ".join(stored)
        number = next(column for column in self.columns(name, "int") if column not in (f"{name}_twice",))
        inner = self.rng.choice((f"{name}_base", self.rng.choice(self.names)))
        if inner == table:
            inner = f"{name}_base"
        form = self.rng.randrange(4)
        if form == 0:
            model["sql"] = f"SELECT {listing} FROM {table} WHERE {number} IS NOT NULL"
            world.rows[name] = [row for row in world.rows[name] if row[number] is not None]
        elif form == 1:
            model["sql"] = f"WITH {inner} AS (SELECT {listing} FROM {table}) SELECT {listing} FROM {inner};"
        elif form == 2:
            body = f"SELECT {listing} FROM {table} WHERE {number} > 3"
            model["sql"] = f"{body} UNION ALL SELECT {listing} FROM {table} WHERE {number} <= 3"
            world.rows[name] = [row for row in world.rows[name] if row[number] is not None]
        else:
            model["sql"] = (
                f"WITH {inner} AS (SELECT * FROM {table}), kept AS (SELECT * FROM {inner} WHERE {number} > 0) "
                f"SELECT k.* FROM kept AS k"
            )
            world.rows[name] = [row for row in world.rows[name] if row[number] is not None and row[number] > 0]

    def _store(self, table: str, name: str) -> None:
        physical = {c["name"] for c in self.world.model[name]["columns"] if not c.get("expr")}
        self.world.tables[table] = self.world.rows[name]
        self.world.types[table] = {c: PYTHON[kind] for c, kind in self.world.kinds[name].items() if c in physical}


def literal(rng: Random, kind: str) -> str:
    match kind:
        case "int":
            return str(rng.randint(-2, 15))
        case "float":
            return str(rng.randint(-4, 40) / 4)
        case "date":
            return f"'{date(2025, 1, 1) + timedelta(days=rng.randint(0, 40))}'"
        case "datetime":
            return f"'{datetime(2025, 1, 1, 11) + timedelta(days=rng.randint(0, 30))}'"
    return f"'{rng.choice(LABELS)}'"


def comparison(rng: Random, column: str, kind: str) -> str:
    """One boolean over one column."""
    if rng.random() < 0.12:
        return f"{column} IS {rng.choice(('', 'NOT '))}NULL"
    if kind == "bool":
        return rng.choice((column, f"NOT {column}"))
    if kind == "str":
        a, b = literal(rng, kind), literal(rng, kind)
        return rng.choice(
            (
                f"{column} = {a}",
                f"{column} <> {a}",
                f"{column} IN ({a}, {b})",
                f"{column} LIKE '%e%'",
                f"NOT {column} = {a}",
            )
        )
    if kind in ("date", "datetime"):
        return f"{column} {rng.choice(('>=', '<'))} {literal(rng, kind)}"
    low = literal(rng, kind)
    return rng.choice(
        (
            f"{column} > {low}",
            f"{column} <= {low}",
            f"{column} <> {low}",
            f"{column} BETWEEN {low} AND 12",
            f"{column} + 1 > {low}",
        )
    )


def condition(rng: Random, node: str, kinds: dict[str, str], qualify: bool = True) -> str:
    """A boolean over one or two columns of `node`."""
    usable = [column for column in kinds if not column.endswith(("_ref", "_other", "_latest", "k1", "k2"))]
    first = rng.choice(usable)
    text = comparison(rng, f"{node}.{first}" if qualify else first, kinds[first])
    if rng.random() < 0.2:
        second = rng.choice(usable)
        text = f"{text} OR {comparison(rng, f'{node}.{second}' if qualify else second, kinds[second])}"
    return text
