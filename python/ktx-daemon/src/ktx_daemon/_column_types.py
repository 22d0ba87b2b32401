"""Database types of any dialect as the four types of the semantic layer."""

from __future__ import annotations

from typing import Literal

__all__ = ["ColumnType", "column_type"]

type ColumnType = Literal["string", "number", "time", "boolean"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WRAPPERS = ("nullable", "lowcardinality")
_BOOLEAN = frozenset({"bool", "boolean", "bit", "bit(1)", "tinyint(1)"})
_NUMBER = _words(
    """
    int integer int1 int2 int3 int4 int8 int16 int32 int64 int128 int256 uint8 uint16 uint32 uint64 uint128
    uint256 tinyint smallint mediumint bigint hugeint utinyint usmallint uinteger ubigint uhugeint byteint short
    long byte signed unsigned serial serial2 serial4 serial8 smallserial bigserial numeric decimal decimal32
    decimal64 decimal128 decimal256 dec fixed number bignumeric bigdecimal double real money smallmoney year oid
    """
)
_MODIFIERS = frozenset({"unsigned", "signed", "zerofill", "precision", "identity", "auto_increment"})


def column_type(raw: str) -> ColumnType:
    """`string` unless the whole base name, without parameters and wrappers, says otherwise.

    >>> [column_type(raw) for raw in ("NUMERIC(10, 2)", "timestamptz", "bit(1)", "int4range", "integer[]")]
    ['number', 'time', 'boolean', 'string', 'string']
    """
    text = " ".join(raw.lower().replace("(", " (").replace(" (", "(").split())
    while wrapper := next((name for name in _WRAPPERS if text.startswith(f"{name}(") and text.endswith(")")), None):
        text = text[len(wrapper) + 1 : -1].strip()
    if text in _BOOLEAN:
        return "boolean"
    words = _without_parameters(text).split()
    if not words or any(mark in text for mark in "[]<>"):
        return "string"
    base, rest = words[0], words[1:]
    if base.startswith(("timestamp", "datetime", "time")) or text in ("date", "date32", "smalldatetime"):
        return "time"
    whole = not set(rest) - _MODIFIERS
    if whole and (base in _NUMBER or base.startswith("float")):
        return "number"
    return "string"


def _without_parameters(text: str) -> str:
    kept, depth = [], 0
    for character in text:
        depth += character == "("
        if not depth:
            kept.append(character)
        depth -= character == ")" and depth > 0
    return "".join(kept)
