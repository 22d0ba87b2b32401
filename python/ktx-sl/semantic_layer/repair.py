"""Queries to send instead of a refused one.

Invariant: a repair is offered only after the engine has planned and printed it, and
at most twenty are tried. A repair never drops a filter or a segment: that would
answer another question under the same name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import SemanticLayerError, edit_distance
from .models import SemanticQuery

__all__ = ["repaired", "respelled"]

type Query = dict[str, Any]
_MAX_TRIES = 20


def repaired(
    error: SemanticLayerError, query: SemanticQuery, answer: Callable[[SemanticQuery], object]
) -> Query | None:
    """The first proposal that `answer` accepts, as a whole query, or None."""
    base = query.model_dump(exclude_defaults=True)
    base.setdefault("measures", [])
    return _first_accepted(_proposals(error, base), base, answer)


def respelled(query: Mapping[str, Any], answer: Callable[[SemanticQuery], object]) -> Query | None:
    """`query` with each unknown key under the nearest known one that is free, if that is answered."""
    known = SemanticQuery.model_fields
    proposal: Query = {str(key): value for key, value in query.items() if key in known}
    for key, value in query.items():
        if key not in known:
            free = [name for name in known if name not in proposal]
            proposal[min(free, key=lambda name: (edit_distance(str(key), name), name))] = value
    proposal.setdefault("measures", [])
    return _first_accepted(iter([proposal]), dict(query), answer)


def _first_accepted(
    proposals: Iterator[Query], refused: Query, answer: Callable[[SemanticQuery], object]
) -> Query | None:
    seen: list[Query] = [refused]
    for proposal in proposals:
        if proposal in seen:
            continue
        if len(seen) > _MAX_TRIES:
            return None
        seen.append(proposal)
        try:
            answer(SemanticQuery.model_validate(proposal))
        except ValueError:
            continue
        return proposal
    return None


def _proposals(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """Proposals for the code, likeliest first."""
    make = _BY_CODE.get(error.code)
    if make is not None:
        yield from make(error, query)


# -- editing


def _place(error: SemanticLayerError) -> tuple[str, int | None]:
    """(key, index) of the part of the query that was refused."""
    parts = (error.location or "").strip("/").split("/")
    return parts[0], int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


def _with(query: Query, key: str, value: object) -> Query:
    out = copy.deepcopy(query)
    out[key] = value
    return out


def _dropped(query: Query, key: str, index: int | None) -> Iterator[Query]:
    items = query.get(key, [])
    if index is not None and 0 <= index < len(items):
        out = copy.deepcopy(query)
        del out[key][index]
        if key == "dimensions":
            # An order by the dropped dimension goes with it.
            field = _text(items[index])
            out["order_by"] = [o for o in out.get("order_by", []) if _text(o).casefold() != field.casefold()]
            if not out["order_by"]:
                del out["order_by"]
            yield out
            yield {k: v for k, v in out.items() if k != "order_by"}
        else:
            yield out


_TEXT_KEYS = ("expr", "ref", "field")


def _text(item: Any) -> str:
    if isinstance(item, str):
        return item
    return str(next((item[key] for key in _TEXT_KEYS if item.get(key) is not None), ""))


def _retold(item: Any, text: str) -> Any:
    """`item` with its text changed, all else kept."""
    if isinstance(item, str):
        return text
    out = dict(item)
    key = next(key for key in _TEXT_KEYS if out.get(key) is not None)
    if key == "ref" and not re.fullmatch(r"[\w$]+(\.[\w$]+)?", text):
        del out["ref"]
        key = "expr"
    out[key] = text
    return out


def _edited(query: Query, key: str, index: int | None, change: Callable[[str], str]) -> Iterator[Query]:
    """`query` with the text of one item, or of all under `key`, changed."""
    items = query.get(key, [])
    if not isinstance(items, list):
        return
    places = range(len(items)) if index is None else [index] if index < len(items) else []
    for place in places:
        changed = change(_text(items[place]))
        if changed != _text(items[place]):
            out = copy.deepcopy(query)
            out[key][place] = _retold(items[place], changed)
            yield out


def _swapped(text: str, subject: str, value: str) -> str:
    """`text` with the name `subject`, dotted or bare, replaced by `value`."""
    for written in (subject, subject.rpartition(".")[2]):
        changed = re.sub(rf"(?<![\w.\"]){re.escape(written)}(?![\w\"(])", lambda _: value, text)
        if changed != text:
            return changed
    return text


def _swap(subject: str, value: str) -> Callable[[str], str]:
    return lambda text: _swapped(text, subject, value)


def _to(value: str) -> Callable[[str], str]:
    return lambda _: value


def _requalified(subject: str, value: str) -> Callable[[str], str]:
    return lambda text: re.sub(rf"(?<![\w.]){re.escape(subject)}(?=\.)", lambda _: value, text)


def _count_as(value: str) -> Callable[[str], str]:
    return lambda text: re.sub(r"count\s*\(\s*(\*|1)\s*\)", lambda _: value, text, flags=re.IGNORECASE)


# -- proposals


def _renamed(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """Candidates in place of the subject; a measure among the dimensions goes where it belongs."""
    key, index = _place(error)
    if key == "dimensions" and index is not None:
        for out in _dropped(query, key, index):
            yield _with(out, "measures", [*query["measures"], _text(query[key][index])])
    keys = [key] if key in query else ["measures", "dimensions", "filters", "segments", "order_by"]
    for candidate in error.candidates:
        for each in keys:
            if error.subject is None or each == "via":
                continue
            if error.code == "unknown_source":
                yield from _edited(query, each, index, _requalified(error.subject, candidate.value))
            yield from _edited(query, each, index, _swap(error.subject, candidate.value))
    for candidate in error.candidates:
        if index is not None and key in ("measures", "dimensions", "segments", "order_by"):
            yield from _edited(query, key, index, _to(candidate.value))
    if key in ("dimensions", "order_by"):
        yield from _dropped(query, key, index)


def _aggregated(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """The column aggregated, or asked for as a dimension."""
    key, index = _place(error)
    for candidate in error.candidates:
        if error.code == "not_aggregated":
            yield from _edited(query, key, index, _swap(error.subject or "", candidate.value))
        else:
            yield from _edited(query, key, index, _to(candidate.value))
    if key == "measures" and index is not None and error.code == "not_a_measure":
        text = _text(query["measures"][index])
        for out in _dropped(query, "measures", index):
            yield _with(out, "dimensions", [*query.get("dimensions", []), text])
            yield out


def _counted(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """count(*) of a source, or any measure where nothing was asked for."""
    key, index = _place(error)
    for candidate in error.candidates:
        yield from _edited(query, key, index, _count_as(candidate.value))
        yield _with(query, "measures", [*query["measures"], candidate.value])


def _rerouted(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """via for the target, else the first route with a warning, else without the dimension."""
    if error.subject is not None:
        for candidate in error.candidates:
            yield _with(query, "via", {**query.get("via", {}), error.subject: candidate.value})
    if "via" in query:
        yield {k: v for k, v in query.items() if k != "via"}
    yield _with(query, "ambiguous_paths", "warn")
    for index in reversed(range(len(query.get("dimensions", [])))):
        yield from _dropped(query, "dimensions", index)


def _measured(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """A measure that reaches the dimension, else without the dimension."""
    _, index = _place(error)
    for candidate in error.candidates[:8]:
        if "(" in candidate.value or candidate.why.startswith("a measure"):
            out = _with(query, "measures", [candidate.value])
            yield out
            yield {k: v for k, v in out.items() if k not in ("order_by", "segments")}
    yield from _dropped(query, "dimensions", index)


def _shared(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """A dimension all measures reach, else without the dimension, else with one measure less."""
    key, index = _place(error)
    for candidate in error.candidates:
        for out in _edited(query, key, index, _to(candidate.value)):
            yield {k: v for k, v in out.items() if k != "order_by"}
    yield from _dropped(query, key, index)
    for place in range(len(query["measures"])):
        yield from _dropped(query, "measures", place)


def _joined(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    """An alias of what is not reached, else without the unconnected part, or without via."""
    if "via" in query:
        yield {k: v for k, v in query.items() if k != "via"}
    key, index = _place(error)
    for candidate in error.candidates:
        if key == "dimensions":
            bare = (
                _to(f"{candidate.value}.{_text(query[key][index]).rpartition('.')[2]}") if index is not None else None
            )
            yield from _edited(query, key, index, bare or _requalified(error.subject or "", candidate.value))
        else:
            yield from _edited(query, key, index, _requalified(error.subject or "", candidate.value))
    if key == "dimensions" and index is None:
        for place in reversed(range(len(query["dimensions"]))):
            yield from _dropped(query, "dimensions", place)
    yield from _dropped(query, key, index)
    for place in reversed(range(len(query["measures"]))):
        yield from _dropped(query, "measures", place)


def _headed(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    for candidate in error.candidates[:12]:
        yield _with(query, "measures", [*query["measures"], candidate.value])
    for place in reversed(range(len(query.get("dimensions", [])))):
        yield from _dropped(query, "dimensions", place)


def _filtered(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    yield _with(query, "to_many_filters", "exists")
    yield _with(query, "include_empty", False)
    yield {**_with(query, "to_many_filters", "exists"), "include_empty": False}


def _regrained(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    key, index = _place(error)
    if key != "dimensions" or index is None:
        return
    item = query["dimensions"][index]
    if error.code != "not_time":
        for candidate in error.candidates:
            out = copy.deepcopy(query)
            out["dimensions"][index] = {**item, "granularity": candidate.value}
            yield out
            yield {k: v for k, v in out.items() if k != "order_by"}
    out = copy.deepcopy(query)
    out["dimensions"][index] = item["field"]
    yield out


def _sorted(error: SemanticLayerError, query: Query) -> Iterator[Query]:
    key, index = _place(error)
    if key == "order_by" and index is not None:
        name, _, direction = _text(query[key][index]).strip().rpartition(" ")
        if direction.lower() in ("asc", "desc"):
            out = copy.deepcopy(query)
            out[key][index] = {"field": name.strip(), "direction": direction.lower()}
            yield out
    for candidate in error.candidates:
        yield from _edited(query, key, index, _to(candidate.value))
    yield from _dropped(query, key, index)


_BY_CODE: dict[str, Callable[[SemanticLayerError, Query], Iterator[Query]]] = {
    "unknown_source": _renamed,
    "unknown_column": _renamed,
    "unknown_segment": _renamed,
    "not_dotted": _renamed,
    "ambiguous": _renamed,
    "hidden_column": _renamed,
    "not_a_measure": _aggregated,
    "not_aggregated": _aggregated,
    "no_source": _counted,
    "empty_query": _counted,
    "ambiguous_path": _rerouted,
    "fan_out": _measured,
    "asymmetric": _shared,
    "no_path": _joined,
    "no_head": _headed,
    "to_many_filter": _filtered,
    "unreachable_filter": _filtered,
    "segment_unused": _renamed,
    "bad_granularity": _regrained,
    "too_fine": _regrained,
    "not_time": _regrained,
    "bad_order": _sorted,
}
