"""Looker's filter expressions as SQL conditions.

Only what has one meaning is translated: lists, negation, `%`, comparisons, ranges and NULL. Anything else,
relative dates above all, raises `Unresolved`, and its measure is skipped rather than wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from ktx_daemon.lookml._references import Unresolved

__all__ = ["condition"]

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)")
_COMPARISON = re.compile(r"(<=|>=|<>|!=|<|>|=)\s*(-?(?:\d+(?:\.\d*)?|\.\d+))")
_INTERVAL = re.compile(r"([\[(])\s*(-?[\d.]+|-?inf)?\s*,\s*(-?[\d.]+|inf)?\s*([\])])", re.IGNORECASE)
_RANGE = re.compile(r"(-?[\d.]+)\s+to\s+(-?[\d.]+)", re.IGNORECASE)
_OPERATORS: dict[str, type[exp.Binary]] = {
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
    "=": exp.EQ,
    "<>": exp.NEQ,
    "!=": exp.NEQ,
}


def condition(column: exp.Expr, kind: str, text: str) -> exp.Expr | None:
    """The condition of filter `text` on a column of the semantic type `kind`; None if it admits everything."""
    if kind == "boolean":
        return _boolean(column, text)
    if kind == "time":
        raise Unresolved("it filters a time, which depends on the day it runs")
    parts = [(value, quoted) for value, quoted in _split(text) if value or quoted]
    if not parts:
        return None
    return _numbers(column, text) if kind == "number" else _strings(column, parts)


def _boolean(column: exp.Expr, text: str) -> exp.Expr | None:
    wanted = text.strip().lower()
    if wanted in ("yes", "true"):
        return column.copy()
    if wanted in ("no", "false"):
        return exp.Not(this=exp.func("COALESCE", column.copy(), exp.false()))
    if wanted in ("", "yes,no", "no,yes", "yes, no", "no, yes"):
        return None
    raise Unresolved("it has a filter that is neither yes nor no")


def _strings(column: exp.Expr, parts: Sequence[tuple[str, bool]]) -> exp.Expr | None:
    wanted: list[exp.Expr] = []
    refused: list[exp.Expr] = []
    for value, quoted in parts:
        negative = not quoted and value.startswith("-") and len(value) > 1
        body = value[1:] if negative else value
        (refused if negative else wanted).append(_string(column, body, quoted))
    equal = [item for item in wanted if isinstance(item, exp.EQ)]
    if len(equal) > 1:
        values = [item.expression for item in equal]
        wanted = [exp.In(this=column.copy(), expressions=values), *(item for item in wanted if item not in equal)]
    clauses = [_any(wanted)] if wanted else []
    for item in refused:
        keeps_null = isinstance(item, (exp.EQ, exp.Like))  # Looker keeps NULLs when it only excludes values
        negated: exp.Expr = exp.Not(this=exp.Paren(this=item) if isinstance(item, exp.Or) else item)
        if isinstance(item, exp.EQ):
            negated = exp.NEQ(this=item.this, expression=item.expression)
        if keeps_null:
            negated = exp.Paren(this=exp.Or(this=negated, expression=_is_null(column)))
        clauses.append(negated)
    return _all(clauses)


def _string(column: exp.Expr, value: str, quoted: bool) -> exp.Expr:
    upper = value.upper()
    if not quoted and upper == "NULL":
        return _is_null(column)
    if not quoted and upper == "EMPTY":
        return exp.Or(this=_is_null(column), expression=_equals(column, ""))
    literal, pattern = _pattern(value)
    if pattern is None:
        return _equals(column, literal)
    return exp.Like(this=column.copy(), expression=exp.Literal.string(pattern))


def _pattern(value: str) -> tuple[str, str | None]:
    """The value without escapes, and the LIKE pattern if it has a wildcard. `^` escapes the next character."""
    literal, pattern, wild, index = "", "", False, 0
    while index < len(value):
        character = value[index]
        if character == "^" and index + 1 < len(value):
            index += 1
            literal += value[index]
            if value[index] in "%_":
                pattern += "\\"
            pattern += value[index]
        else:
            wild = wild or character == "%"
            literal += character
            pattern += character
        index += 1
    if wild and ("_" in pattern or "\\" in pattern):
        # `_` is plain text to Looker and a wildcard to LIKE, whose escape differs between databases.
        raise Unresolved("it has a filter with both a wildcard and _ or an escape")
    return literal, pattern if wild else None


def _numbers(column: exp.Expr, text: str) -> exp.Expr | None:
    wanted: list[exp.Expr] = []
    refused: list[exp.Expr] = []
    pieces = re.split(r"\s+OR\s+", _protected(text), flags=re.IGNORECASE)
    for piece in (part.strip() for alternative in pieces for part in alternative.split("\x00")):
        if not piece:
            continue
        clauses = [_number(column, part.strip()) for part in re.split(r"\s+AND\s+", piece, flags=re.IGNORECASE)]
        if len(clauses) == 1 and isinstance(clauses[0], exp.NEQ):  # Looker keeps NULLs when it excludes a value
            refused.append(exp.Or(this=clauses[0], expression=_is_null(column)))
        elif len(clauses) == 1 and isinstance(clauses[0], exp.Not):
            refused += clauses
        else:
            wanted.append(_all(clauses) or exp.true())
    return _all([*([_any(wanted)] if wanted else []), *refused])


def _protected(text: str) -> str:
    """Commas of lists as NUL, those within `[a, b)` kept."""
    result, inside = "", False
    for character in text:
        if character in "[(":
            inside = True
        elif character in "])":
            inside = False
        result += "\x00" if character == "," and not inside else character
    return result


def _number(column: exp.Expr, piece: str) -> exp.Expr:
    if piece.upper().startswith("NOT "):
        inner = _number(column, piece[4:].strip())
        if isinstance(inner, exp.EQ):
            return exp.NEQ(this=inner.this, expression=inner.expression)
        return exp.Not(this=inner if isinstance(inner, exp.Is) else exp.Paren(this=inner))
    if piece.upper() == "NULL":
        return _is_null(column)
    if _NUMBER.fullmatch(piece):
        return exp.EQ(this=column.copy(), expression=_literal(piece))
    if match := _COMPARISON.fullmatch(piece):
        return _OPERATORS[match[1]](this=column.copy(), expression=_literal(match[2]))
    if match := _INTERVAL.fullmatch(piece):
        return _interval(column, match)
    if match := _RANGE.fullmatch(piece):
        low = exp.GTE(this=column.copy(), expression=_literal(match[1]))
        return exp.And(this=low, expression=exp.LTE(this=column.copy(), expression=_literal(match[2])))
    raise Unresolved("it has a filter that is no number, comparison or range")


def _interval(column: exp.Expr, match: re.Match[str]) -> exp.Expr:
    opening, low, high, closing = match.groups()
    clauses: list[exp.Expr] = []
    if low and "inf" not in low.lower():
        kind = exp.GTE if opening == "[" else exp.GT
        clauses.append(kind(this=column.copy(), expression=_literal(low)))
    if high and "inf" not in high.lower():
        kind_high = exp.LTE if closing == "]" else exp.LT
        clauses.append(kind_high(this=column.copy(), expression=_literal(high)))
    return _all(clauses) or exp.Not(this=_is_null(column))


def _literal(text: str) -> exp.Expr:
    if not _NUMBER.fullmatch(text):
        raise Unresolved("it has a filter that is no number")
    number = exp.Literal.number(text.lstrip("-"))
    return exp.Neg(this=number) if text.startswith("-") else number


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Values of a comma-separated list, and whether each was quoted; quotes keep commas and blanks."""
    value, quoted, inside, index = "", False, False, 0
    while index < len(text):
        character = text[index]
        if character == "^" and index + 1 < len(text):
            value += text[index : index + 2]
            index += 2
            continue
        if character == '"' and (inside or not value.strip()):
            inside = not inside
            quoted = True
            value = value if not inside else ""
        elif character == "," and not inside:
            yield (value if quoted else value.strip()), quoted
            value, quoted = "", False
        else:
            value += character
        index += 1
    if inside:
        raise Unresolved("it has a filter with an open quote")
    yield (value.rstrip() if quoted else value.strip()), quoted


def _equals(column: exp.Expr, value: str) -> exp.Expr:
    return exp.EQ(this=column.copy(), expression=exp.Literal.string(value))


def _is_null(column: exp.Expr) -> exp.Expr:
    return exp.Is(this=column.copy(), expression=exp.Null())


def _any(items: Sequence[exp.Expr]) -> exp.Expr:
    result = items[0]
    for item in items[1:]:
        result = exp.Or(this=result, expression=item)
    return exp.Paren(this=result) if isinstance(result, exp.Or) else result


def _all(items: Sequence[exp.Expr]) -> exp.Expr | None:
    result: exp.Expr | None = None
    for item in items:
        clause = exp.Paren(this=item) if isinstance(item, exp.Or) else item
        result = clause if result is None else exp.And(this=result, expression=clause)
    return result
