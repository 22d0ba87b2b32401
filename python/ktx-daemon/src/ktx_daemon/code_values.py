"""Values of executed code as plain JSON values.

pandas and numpy objects are recognised by the names in their class hierarchy: the code may have loaded them or
not, and may have replaced their attributes. Standard library only.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["BadVisualization", "Unserialisable", "plain", "visualizations_in"]

_MAX_DEPTH = 60
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class Unserialisable(ValueError):
    """The result holds something that has no JSON form."""


class BadVisualization(ValueError):
    """A dict of type "visualization" without what one needs."""


def plain(value: Any, depth: int = 0) -> Any:
    """`value` of dicts, lists, strings, numbers, booleans and None; raises `Unserialisable`.

    Non-finite numbers are None, integers over 64 bit and decimals strings, bytes base64, dates ISO 8601, data
    frames lists of records, arrays, series, sets and tuples lists.
    """
    if value is None or isinstance(value, bool):
        return value
    if depth > _MAX_DEPTH:
        raise Unserialisable(f"the result is nested deeper than {_MAX_DEPTH} levels, or contains itself")
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int):
        return int(value) if _SMALLEST <= value <= _LARGEST else _decimal(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return None if _is(value, "pandas", "NaTType") else value.isoformat()
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | deque | range):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return [plain(item, depth + 1) for item in _in_order(value)]
    return _other(value, depth)


def visualizations_in(value: Any) -> list[dict[str, Any]] | None:
    """The visualizations that a plain result is or lists; None without any. Raises `BadVisualization`."""
    items = value if isinstance(value, list) else [value]
    found = [_visualization(item) for item in items if isinstance(item, dict) and item.get("type") == "visualization"]
    return found or None


def _visualization(item: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(item.get("vis_type"), str) or not item["vis_type"]:
        raise BadVisualization("a visualization needs `vis_type`, a string")
    if not isinstance(item.get("config", {}), dict):
        raise BadVisualization("`config` of a visualization must be a dict")
    if "data" not in item:
        raise BadVisualization("a visualization needs `data`")
    if not isinstance(item.get("title"), str | None):
        raise BadVisualization("`title` of a visualization must be a string")
    return {
        "type": "visualization",
        "vis_type": item["vis_type"],
        "config": item.get("config", {}),
        "data": item["data"],
        "title": item.get("title"),
    }


def _other(value: Any, depth: int) -> Any:
    if isinstance(value, decimal.Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, uuid.UUID | datetime.timedelta):
        return str(value)
    if isinstance(value, complex):
        raise Unserialisable("the result holds a complex number")
    if _is(value, "pandas", "NAType") or _is(value, "pandas", "NaTType"):
        return None
    if _is(value, "pandas", "DataFrame"):
        names = [_key(name) for name in value.columns]
        return [
            dict(zip(names, (plain(cell, depth + 2) for cell in row), strict=True))
            for row in value.itertuples(index=False, name=None)
        ]
    if _is(value, "pandas", "Series") or _is(value, "pandas", "Index") or _is(value, "pandas", "ExtensionArray"):
        return [plain(item, depth + 1) for item in value.tolist()]
    if _is(value, "numpy", "datetime64"):
        text = str(value)
        return None if text == "NaT" else text
    if _is(value, "numpy", "timedelta64"):
        return str(value)
    if _is(value, "numpy", "ndarray"):
        if value.dtype.kind in "mM":  # tolist() of nanosecond times gives bare integers
            return [plain(item, depth + 1) for item in value] if value.ndim else plain(value[()], depth + 1)
        return plain(value.tolist(), depth + 1)
    if _is(value, "numpy", "generic"):
        item = value.item()
        if type(item) is not type(value):
            return plain(item, depth + 1)
    raise Unserialisable(f"the result holds a {type(value).__name__}, which has no JSON form; convert it first")


def _is(value: Any, package: str, name: str) -> bool:
    return any(base.__name__ == name and base.__module__.partition(".")[0] == package for base in type(value).__mro__)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key.encode("utf-8", "replace").decode("utf-8")
    value = plain(key, _MAX_DEPTH - 3)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _in_order(values: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _decimal(value: int) -> str:
    # str() refuses more than 4300 digits by default; Decimal has no such guard.
    return str(decimal.Decimal(value)) if value.bit_length() < 14_000 else format(decimal.Decimal(value), "f")
