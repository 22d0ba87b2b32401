"""Files to views and explores: parse, collect, refine, extend.

Every object is a plain dictionary as `lkml` makes it, copied before it is changed, so that no child writes
into its parent. Fields and joins are merged by name, their parameters one by one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ktx_daemon.lookml._models import LookmlFile

__all__ = ["FIELD_KINDS", "Project", "parents_of", "read_project", "with_constants"]

type Object = dict[str, Any]

FIELD_KINDS = ("dimensions", "dimension_groups", "measures", "filters", "parameters")
_NAMED_LISTS = (*FIELD_KINDS, "joins")
_CONSTANT = re.compile(r"@\{([A-Za-z0-9_]+)\}")
# Of these the later one alone counts: a view is a table or a query, never both.
_EXCLUSIVE = ("sql_table_name", "derived_table")


@dataclass(slots=True)
class Project:
    """Views and explores by name, refined and extended, in order of their first definition.

    `own` holds the views as they are before they take over anything from their parents.
    """

    views: dict[str, Object] = field(default_factory=dict)
    explores: dict[str, Object] = field(default_factory=dict)
    own: dict[str, Object] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_project(files: Sequence[LookmlFile], overrides: Mapping[str, str]) -> Project:
    """Never raises for what a file holds: a bad one is a warning, the rest goes on."""
    project = Project()
    definitions: dict[str, list[Object]] = {"views": [], "explores": []}
    for file in files:
        content = _parsed(file, project.warnings)
        if "manifest" in file.path.lower():
            project.constants.update(_constants_of(content))
        for kind, found in definitions.items():
            found.extend(_objects(content.get(kind), f"{file.path}: {kind}", project.warnings))
    project.constants.update(overrides)
    project.own = _refined("view", definitions["views"], project.warnings)
    project.views = _extended("view", project.own, project.warnings)
    explores = _refined("explore", definitions["explores"], project.warnings)
    project.explores = _extended("explore", explores, project.warnings)
    return project


def _constants_of(content: Mapping[str, Any]) -> dict[str, str]:
    return {
        constant["name"]: constant["value"]
        for constant in content.get("constants") or ()
        if isinstance(constant, dict) and isinstance(constant.get("value"), str)
    }


def with_constants(text: str, constants: Mapping[str, str]) -> str:
    """`@{name}` replaced once: what a constant's value holds stays as it is, as do unknown names."""
    return _CONSTANT.sub(lambda match: constants.get(match[1], match[0]), text)


def _parsed(file: LookmlFile, warnings: list[str]) -> Object:
    from lkml.parser import Parser
    from lkml.simple import DictVisitor
    from lkml.tokens import StreamEndToken

    from ktx_daemon.lookml._lexer import LoneSemicolon, ProjectLexer

    try:
        parser = Parser(ProjectLexer(file.content).scan())
        content = DictVisitor().visit(parser.parse())  # type: ignore[no-untyped-call]
        complete = isinstance(parser.peek(), StreamEndToken)
    except LoneSemicolon as error:
        warnings.append(f"{file.path}: not LookML: a single ';' in line {error.line}; the file was left out")
        return {}
    except (Exception, RecursionError):  # the lexer leaves by whatever exception comes first
        warnings.append(f"{file.path}: not LookML; the file was left out")
        return {}
    if not complete:
        warnings.append(f"{file.path}: not LookML after an unexpected token; the rest of the file was left out")
    return content if isinstance(content, dict) else {}


def _objects(found: object, where: str, warnings: list[str]) -> Iterable[Object]:
    for item in found if isinstance(found, list) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str) and item["name"]:
            yield item
        else:
            warnings.append(f"{where}: an entry without a name was left out")


def _refined(kind: str, definitions: Sequence[Object], warnings: list[str]) -> dict[str, Object]:
    found: dict[str, Object] = {}
    for definition in definitions:
        name = definition["name"]
        if name.startswith("+"):
            continue
        if name in found:
            warnings.append(f"{kind} {name!r} is defined again; the later definition was taken")
        found[name] = copy.deepcopy(definition)
    for definition in definitions:
        name = definition["name"]
        if not name.startswith("+"):
            continue
        base = found.get(name[1:])
        if base is None:
            warnings.append(f"{kind} {name[1:]!r} is refined but not defined; the refinement was left out")
            continue
        found[name[1:]] = _merged(base, {**definition, "name": name[1:]}, add_parents=True)
    return found


def _extended(kind: str, own: Mapping[str, Object], warnings: list[str]) -> dict[str, Object]:
    done: dict[str, Object] = {}
    for name in own:
        _extend(kind, name, own, done, warnings)
    return {name: done[name] for name in own}


def _extend(kind: str, name: str, own: Mapping[str, Object], done: dict[str, Object], warnings: list[str]) -> None:
    """Depth first without recursion: chains of parents may be long."""
    path = [(name, iter(parents_of(own[name])))]
    used: dict[str, list[str]] = {name: []}
    while path:
        current, parents = path[-1]
        if current in done:
            path.pop()
            continue
        parent = next(parents, None)
        if parent is None:
            done[current] = _inheriting(own[current], [done[known] for known in used[current]])
            path.pop()
        elif parent not in own:
            warnings.append(f"{kind} {current!r} extends {parent!r}, which is not defined")
        elif parent != current and parent not in (waiting for waiting, _ in path):
            used[current].append(parent)
            if parent not in done:
                used[parent] = []
                path.append((parent, iter(parents_of(own[parent]))))
        else:
            warnings.append(f"{kind} {current!r} extends {parent!r}, which leads back to it; that was left out")


def parents_of(definition: Mapping[str, Any]) -> list[str]:
    names: list[str] = []
    for entry in definition.get("extends__all") or ():
        names.extend(entry if isinstance(entry, list) else [entry])
    return [name for name in names if isinstance(name, str)]


def _inheriting(child: Object, parents: Sequence[Object]) -> Object:
    result: Object = {}
    for parent in parents:
        inherited = {key: value for key, value in parent.items() if key not in ("extension", "extends__all")}
        result = _merged(result, inherited)
    return _merged(result, child)


def _merged(base: Object, over: Object, *, add_parents: bool = False) -> Object:
    result = copy.deepcopy(base)
    for key, value in copy.deepcopy(over).items():
        if key in _NAMED_LISTS and isinstance(value, list):
            result[key] = _merged_fields(result.get(key) or [], value)
        elif key == "extends__all" and add_parents:
            result[key] = [*(result.get(key) or ()), *value]
        else:
            result[key] = value
    for key in _EXCLUSIVE:
        if over.get(key):
            for other in _EXCLUSIVE:
                if other != key and not over.get(other):
                    result.pop(other, None)
    _drop_replaced_kinds(result, over)
    return result


def _merged_fields(base: Sequence[Object], over: Sequence[Object]) -> list[Object]:
    fields = {item["name"]: item for item in base if isinstance(item, dict) and "name" in item}
    for item in over:
        if isinstance(item, dict) and "name" in item:
            fields[item["name"]] = {**fields.get(item["name"], {}), **item}
    return list(fields.values())


def _drop_replaced_kinds(result: Object, over: Object) -> None:
    """A field redefined as another kind replaces the old one."""
    for kind in FIELD_KINDS:
        names = {item.get("name") for item in over.get(kind) or () if isinstance(item, dict)}
        for other in FIELD_KINDS:
            if other != kind and names and result.get(other):
                result[other] = [item for item in result[other] if item.get("name") not in names]
