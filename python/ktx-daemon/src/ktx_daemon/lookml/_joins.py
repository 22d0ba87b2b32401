"""Joins of explores between views, on physical columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sqlglot import exp

from ktx_daemon.identifiers import quoted_if_needed
from ktx_daemon.lookml._models import LookmlJoin
from ktx_daemon.lookml._project import Project, parents_of, with_constants
from ktx_daemon.lookml._references import REFERENCE, Fields, Unresolved, expression, has_liquid

__all__ = ["joins_of"]

_RELATIONSHIPS = ("many_to_one", "one_to_many", "one_to_one")


def joins_of(
    project: Project, fields: Mapping[str, Fields], same_as: Mapping[str, str], dialect: str, warnings: list[str]
) -> list[LookmlJoin]:
    """Joins of all explores; of equal source, target and alias the first.

    `fields` holds the views that became sources, `same_as` what a view without a change of its own stands for.
    """
    found: dict[tuple[str, str, str | None], LookmlJoin] = {}
    for name, explore in project.explores.items():
        if str(explore.get("extension", "")).strip() == "required":
            continue
        scope = _Scope(name, explore, project, fields, same_as, dialect)
        for item in explore.get("joins") or ():
            if not isinstance(item, dict) or not item.get("name"):
                continue
            try:
                join = scope.join(item)
            except Unresolved as problem:
                warnings.append(f"explore {name!r}: join {item['name']!r} was left out: {problem}")
                continue
            found.setdefault((join.source_view, join.to, join.alias), join)
    return list(found.values())


@dataclass(slots=True)
class _Node:
    """A name used in `sql_on`: the view it means, and how it is written in the result."""

    view: str
    alias: str | None

    @property
    def written(self) -> str:
        return self.alias or self.view


@dataclass(slots=True)
class _Scope:
    """One explore: its base and what the names of its joins mean."""

    name: str
    explore: Mapping[str, Any]
    project: Project
    fields: Mapping[str, Fields]
    same_as: Mapping[str, str]
    dialect: str
    _nodes: dict[str, _Node] = field(default_factory=dict)
    base: str = ""

    def __post_init__(self) -> None:
        explore = self.explore
        self.base = self._base_of(explore)
        for name in {self.base, str(explore.get("view_name") or self.name), self.name}:
            self._nodes[name] = _Node(self._view(self.base), None)
        for item in explore.get("joins") or ():
            if isinstance(item, dict) and item.get("name"):
                self._nodes[str(item["name"])] = self._target(item)

    def _base_of(self, explore: Mapping[str, Any]) -> str:
        chosen = explore.get("from") or explore.get("view_name")
        if chosen or explore["name"] in self.project.views:
            return str(chosen or explore["name"])
        # An explore that extends another is about the same view unless it says otherwise.
        parents = [name for name in parents_of(explore) if name in self.project.views]
        return parents[-1] if parents else str(explore["name"])

    def join(self, item: Mapping[str, Any]) -> LookmlJoin:
        name = str(item["name"])
        target = self._nodes[name]
        for view in (self._view(self.base), target.view):
            if view not in self.fields:
                raise Unresolved(f"view {view!r} is not among the sources")
        relationship = str(item.get("relationship") or "many_to_one").strip()
        if relationship not in _RELATIONSHIPS:
            raise Unresolved(f"the relationship {relationship} is not supported")
        if str(item.get("type", "")).strip() == "cross":
            raise Unresolved("cross joins have no condition")
        source, on = self._condition(item, name, target)
        return LookmlJoin(
            source_view=source,
            to=target.view,
            alias=target.alias,
            on=on,
            relationship=cast(Literal["many_to_one", "one_to_many", "one_to_one"], relationship),
        )

    def _target(self, item: Mapping[str, Any]) -> _Node:
        name = str(item["name"])
        chosen = str(item.get("from") or name)
        view = self._view(chosen)
        return _Node(view, name if name != view else None)

    def _view(self, name: str) -> str:
        while name in self.same_as:
            name = self.same_as[name]
        return name

    def _condition(self, item: Mapping[str, Any], name: str, target: _Node) -> tuple[str, str]:
        if isinstance(key := item.get("foreign_key"), str):
            return self._by_key(key.strip(), target)
        text = item.get("sql_on")
        if not isinstance(text, str) or not text.strip():
            raise Unresolved("it has no sql_on or foreign_key")
        text = with_constants(text, self.project.constants).strip()
        if has_liquid(text) or "@{" in text:
            raise Unresolved("its sql_on uses Liquid or an undefined constant")
        others: list[str] = []

        def replaced(match: Any) -> str:
            qualifier, _, own = match[1].strip().rpartition(".")
            node = self._node(qualifier)
            if qualifier != name:
                others.append(node.view)
            return self._column(target if qualifier == name else _Node(node.view, None), own)

        on = REFERENCE.sub(replaced, text)
        sources = list(dict.fromkeys(others))
        if len(sources) != 1:
            raise Unresolved("its sql_on must compare the joined view with one other")
        if sources[0] == target.view and target.alias is None:
            raise Unresolved("it joins a view to itself without another name")
        if sources[0] not in self.fields:
            raise Unresolved(f"view {sources[0]!r} is not among the sources")
        _check_equalities(on, self.dialect)
        return sources[0], on

    def _by_key(self, key: str, target: _Node) -> tuple[str, str]:
        view, dot, own = key.rpartition(".")
        source = self._node(view).view if dot else self._view(self.base)
        keys = [
            name
            for name, item in self.fields[target.view].dimensions.items()
            if str(item.get("primary_key", "")).strip().lower() in ("yes", "true")
        ]
        if len(keys) != 1:
            raise Unresolved(f"view {target.view!r} has no single primary key for foreign_key")
        if source not in self.fields:
            raise Unresolved(f"view {source!r} is not among the sources")
        return source, f"{self._column(_Node(source, None), own)} = {self._column(target, keys[0])}"

    def _node(self, name: str) -> _Node:
        if name not in self._nodes:
            raise Unresolved(f"its sql_on refers to {name!r}, which is not in the explore")
        return self._nodes[name]

    def _column(self, node: _Node, own: str) -> str:
        if node.view not in self.fields:
            raise Unresolved(f"view {node.view!r} is not among the sources")
        fields = self.fields[node.view]
        item = fields.dimensions.get(own)
        if item is None:
            group, _, timeframe = own.rpartition("_")
            item = fields.groups.get(group) if timeframe in ("raw", "time") else None
        column = None if item is None else fields.physical(item)
        if column is None:
            raise Unresolved(f"{node.written}.{own} is not a physical column")
        return f"{quoted_if_needed(node.written, self.dialect)}.{quoted_if_needed(column, self.dialect)}"


def _check_equalities(on: str, dialect: str) -> None:
    """The engine's join conditions: equalities joined by AND, one of them between columns."""
    waiting, between_columns = [expression(on, dialect)], False
    while waiting:
        clause = waiting.pop().unnest()
        if isinstance(clause, exp.And):
            waiting += [clause.left, clause.right]
        elif isinstance(clause, exp.EQ) and not isinstance(clause.left, exp.EQ):
            between_columns = between_columns or all(side.find(exp.Column) for side in (clause.left, clause.right))
        else:
            raise Unresolved("its sql_on is more than equalities joined by AND")
    if not between_columns:
        raise Unresolved("its sql_on compares no columns")
