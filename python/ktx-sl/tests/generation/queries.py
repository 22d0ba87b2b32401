"""Random queries: mostly answerable, partly not."""

from __future__ import annotations

from random import Random
from typing import Any

from reference.graph import Graph

from .worlds import World, comparison, condition, literal

Query = dict[str, Any]
DAY_UNITS = ("day", "week", "month", "quarter", "year", "fiscal_quarter", "fiscal_year")
FINE_UNITS = ("hour", "minute", "second")


def random_query(rng: Random, world: World) -> Query:
    """One query of the wire shape over `world`."""
    return _Writer(rng, world).write()


class _Writer:
    def __init__(self, rng: Random, world: World) -> None:
        self.rng, self.world = rng, world
        self.graph = Graph(world.model)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def write(self) -> Query:
        nodes = sorted(self.graph.source_of)
        self.rng.shuffle(nodes)
        owners = [max(nodes[:2], key=lambda n: len(self.reach(n))) if self.chance(0.7) else nodes[0]]
        wild = self.chance(0.07)
        if self.chance(0.45):
            partners = [n for n in nodes if n not in owners and (wild or self.reach(n) & self.reach(owners[0]))]
            owners += self.rng.sample(partners, min(len(partners), self.rng.choice((1, 1, 2))))
        shared = set(nodes) if wild else set.intersection(*(self.reach(owner) for owner in owners))
        query: Query = {
            "measures": self._measures(owners),
            "dimensions": self._dimensions(sorted(shared or self.reach(owners[0]))),
        }
        if not query["measures"] and not query["dimensions"]:
            query["measures"] = [f"count({owners[0]}.{self._key(owners[0])})"]
        if self.chance(0.5):
            query["filters"] = self._filters(query, owners, sorted(shared))
        if self.chance(0.2):
            node = self.rng.choice(owners)
            query["segments"] = [f"{node}.{self.graph.source_of[node]}_seg"]
        if self.chance(0.3):
            query["include_empty"] = False
        if self.chance(0.3):
            query["to_many_filters"] = "exists"
        if self.chance(0.3):
            query["ambiguous_paths"] = "warn"
        if self.chance(0.3):
            self._order(query, owners)
        if self.chance(0.15):
            query["limit"] = self.rng.choice((0, 1, 2, 3, 5))
        if self.chance(0.05):
            query["via"] = {self.rng.choice(nodes): self.rng.choice(nodes)}
        return query

    def reach(self, node: str) -> set[str]:
        return {other for other in self.graph.source_of if self.graph.reaches(node, other)}

    def _kinds(self, node: str) -> dict[str, str]:
        return self.world.kinds[self.graph.source_of[node]]

    def _key(self, node: str) -> str:
        return str(self.world.model[self.graph.source_of[node]]["grain"][0])

    def _column(self, node: str, *kinds: str) -> str:
        usable = [c for c, kind in self._kinds(node).items() if kind in kinds]
        return self.rng.choice(usable)

    def _text(self, node: str, column: str) -> str:
        """A column, qualified unless its bare name is enough and luck wants it."""
        holders = [s for s, kinds in self.world.kinds.items() if column in kinds]
        return column if holders == [node] and self.chance(0.3) else f"{node}.{column}"

    # parts

    def _dimensions(self, nodes: list[str]) -> list[Any]:
        dimensions: list[Any] = []
        for _ in range(self.rng.choice((0, 1, 1, 1, 2, 2, 3))):
            node = self.rng.choice(nodes)
            column = self.rng.choice([c for c in self._kinds(node) if self.chance(0.5)] or list(self._kinds(node)))
            field = self._text(node, column)
            kind = self._kinds(node)[column]
            if kind in ("date", "datetime") and self.chance(0.75):
                units = DAY_UNITS if kind == "date" or self.chance(0.6) else FINE_UNITS
                dimensions.append({"field": field, "granularity": self.rng.choice(units)})
            else:
                dimensions.append(field if self.chance(0.8) else {"field": field})
        return dimensions

    def _measures(self, owners: list[str]) -> list[Any]:
        measures: list[Any] = []
        for owner in owners:
            for _ in range(self.rng.choice((0, 1, 1, 2)) if len(owners) == 1 else 1):
                measures.append(self._measure(owner))
        if len(owners) > 1 and self.chance(0.4):
            a, b = owners[:2]
            text = self.rng.choice(
                ("{a} / {b}", "{a} - {b}", "coalesce({a}, 0) + coalesce({b}, 0)", "safe_divide({a}, {b})")
            )
            combined = text.format(a=self._aggregate(a, numeric=True), b=self._aggregate(b, numeric=True))
            measures.append({"expr": combined, "name": "combined"} if self.chance(0.5) else combined)
        if measures and self.chance(0.15):
            measures.append(self._across(owners[0]))
        return measures

    def _measure(self, owner: str) -> Any:
        predefined = [m["name"] for m in self.world.model[self.graph.source_of[owner]]["measures"]]
        if self.chance(0.6):
            name = self.rng.choice(predefined)
            holders = [s for s, m in self.world.model.items() if name in [x["name"] for x in m["measures"]]]
            return name if holders == [owner] and self.chance(0.2) else f"{owner}.{name}"
        text = self._aggregate(owner)
        return {"expr": text, "name": f"q{self.rng.randrange(100)}"} if self.chance(0.3) else text

    def _aggregate(self, owner: str, numeric: bool = False) -> str:
        number = f"{owner}.{self._column(owner, 'int', 'float')}"
        text = f"{owner}.{self._column(owner, 'str')}"
        return self.rng.choice(
            (
                f"sum({number})",
                f"sum({number})",
                f"count({owner}.{self._key(owner)})",
                f"avg({number})",
                f"max({text})" if not numeric and self.chance(0.2) else f"max({number})",
                f"count(distinct {text})",
                f"median({number})" if self.chance(0.3) else f"min({number})",
                f"percentile({number}, 0.25)"
                if self.chance(0.3)
                else f"sum(case when {comparison(self.rng, text, 'str')} then {number} end)",
                "count(*)" if self.chance(0.2) else f"count({text})",
            )
        )

    def _across(self, owner: str) -> str:
        """An aggregate whose columns lie on two nodes of one to-one path."""
        other = self.rng.choice(sorted(self.reach(owner)))
        a = f"{owner}.{self._column(owner, 'int', 'float')}"
        b = f"{other}.{self._column(other, 'int', 'float')}"
        return f"sum({a} * {b})"

    def _filters(self, query: Query, owners: list[str], shared: list[str]) -> list[str]:
        filters = []
        everywhere = sorted(self.graph.source_of)
        near = shared or sorted(self.reach(owners[0]))
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            node = self.rng.choice(near if self.chance(0.65) else everywhere)
            draw = self.rng.random()
            if draw < 0.55 or not query["measures"]:
                filters.append(condition(self.rng, node, self._kinds(node)))
            elif draw < 0.7:
                other = self.rng.choice(near if self.chance(0.7) else everywhere)
                joint = self.rng.choice((" OR ", " OR ", " AND "))
                filters.append(
                    f"({condition(self.rng, node, self._kinds(node))}){joint}({condition(self.rng, other, self._kinds(other))})"
                )
            elif draw < 0.75:
                a, b = self._column(node, "int", "float"), self._column(near[0], "int", "float")
                filters.append(f"{node}.{a} > {near[0]}.{b}")
            else:
                filters.append(self._value_filter(query, owners))
        return filters

    def _value_filter(self, query: Query, owners: list[str]) -> str:
        requested = [m if isinstance(m, str) else m["expr"] for m in query["measures"]]
        numeric = [text for text in requested if not self._is_text(text)]
        text = (
            self.rng.choice(numeric) if numeric and self.chance(0.6) else f"count({owners[0]}.{self._key(owners[0])})"
        )
        bound = literal(self.rng, "int")
        return self.rng.choice(
            (f"{text} > {bound}", f"({text}) <= {bound}", f"{text} IS NOT NULL", f"{text} > {bound} OR {text} IS NULL")
        )

    def _is_text(self, text: str) -> bool:
        """Whether a measure may yield text, directly or through a predefined measure."""
        if any(word in text for word in ("min(", "max(")):
            return True
        name = text.rpartition(".")[2]
        return any("min(" in m["expr"] for d in self.world.model.values() for m in d["measures"] if m["name"] == name)

    def _order(self, query: Query, owners: list[str]) -> None:
        fields = [d if isinstance(d, str) else d["field"] for d in query["dimensions"]]
        fields += [m if isinstance(m, str) else m.get("name") or m["expr"] for m in query["measures"]]
        if self.chance(0.2):
            owner = owners[0]
            name = self.rng.choice(self.world.model[self.graph.source_of[owner]]["measures"])["name"]
            fields.append(f"{owner}.{name}")
        order = []
        for field in self.rng.sample(fields, min(len(fields), self.rng.choice((1, 1, 2)))):
            clause = {"field": field}
            if self.chance(0.5):
                clause["direction"] = self.rng.choice(("asc", "desc"))
            if self.chance(0.3):
                clause["nulls"] = "first"
            order.append(clause if len(clause) > 1 else field)
        query["order_by"] = order
