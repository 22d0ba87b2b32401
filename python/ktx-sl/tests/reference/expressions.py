"""Scalar and aggregate values in three-valued logic, over parsed text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from sqlglot import exp

from .outcome import Undetermined

Lookup = Callable[[exp.Expression], Any]
PENDING = object()  # a hook's answer for "not mine"


def comparable(left: Any, right: Any) -> tuple[Any, Any]:
    """Make a date or timestamp and a text comparable; leave all else alone."""
    for a, b, flip in ((left, right, False), (right, left, True)):
        if isinstance(a, datetime) and isinstance(b, str):
            b = datetime.fromisoformat(b)
        elif isinstance(a, date) and isinstance(b, str):
            b = date.fromisoformat(b)
        else:
            continue
        return (b, a) if flip else (a, b)
    if isinstance(left, datetime) != isinstance(right, datetime) and isinstance(left, date) and isinstance(right, date):
        raise Undetermined("a date against a timestamp")
    return left, right


def compare(node: exp.Expression, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    a, b = comparable(left, right)
    match node:
        case exp.EQ():
            return bool(a == b)
        case exp.NEQ():
            return bool(a != b)
        case exp.LT():
            return bool(a < b)
        case exp.LTE():
            return bool(a <= b)
        case exp.GT():
            return bool(a > b)
        case _:
            return bool(a >= b)


def truth(value: Any) -> bool | None:
    return None if value is None else bool(value)


def divide(left: Any, right: Any) -> Any:
    return None if left is None or right is None or right == 0 else float(left) / float(right)


def scalar(node: exp.Expression, hook: Lookup) -> Any:
    """The value of `node`; `hook` answers for columns and aggregates, or returns `PENDING`."""
    answer = hook(node)
    if answer is not PENDING:
        return answer

    def of(child: exp.Expression | None) -> Any:
        return None if child is None else scalar(child, hook)

    match node:
        case exp.Paren():
            return of(node.this)
        case exp.Literal():
            if node.is_string:
                return node.this
            return float(node.this) if "." in node.this or "e" in node.this.lower() else int(node.this)
        case exp.Boolean():
            return bool(node.this)
        case exp.Null():
            return None
        case exp.Neg():
            value = of(node.this)
            return None if value is None else -value
        case exp.And():
            a, b = truth(of(node.this)), truth(of(node.expression))
            return False if a is False or b is False else (None if a is None or b is None else True)
        case exp.Or():
            a, b = truth(of(node.this)), truth(of(node.expression))
            return True if a or b else (None if a is None or b is None else False)
        case exp.Not():
            a = truth(of(node.this))
            return None if a is None else not a
        case exp.Is():
            a, b = of(node.this), of(node.expression)
            return a is None if b is None else (a is not None and truth(a) == b)
        case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
            return compare(node, of(node.this), of(node.expression))
        case exp.Add() | exp.Sub() | exp.Mul():
            a, b = of(node.this), of(node.expression)
            if a is None or b is None:
                return None
            return a + b if isinstance(node, exp.Add) else a - b if isinstance(node, exp.Sub) else a * b
        case exp.Div() | exp.SafeDivide():
            return divide(of(node.this), of(node.expression))
        case exp.In():
            value, options = of(node.this), [of(option) for option in node.expressions]
            hits = [compare(exp.EQ(), value, option) for option in options]
            return True if any(hits) else (None if None in hits else False)
        case exp.Between():
            value, low, high = of(node.this), of(node.args["low"]), of(node.args["high"])
            a, b = compare(exp.GTE(), value, low), compare(exp.LTE(), value, high)
            return False if a is False or b is False else (None if a is None or b is None else True)
        case exp.Like():
            value, pattern = of(node.this), of(node.expression)
            if value is None or pattern is None:
                return None
            regex = "".join(".*" if c == "%" else "." if c == "_" else re.escape(c) for c in pattern)
            return re.fullmatch(regex, value, re.S) is not None
        case exp.Case():
            subject = node.this
            for branch in node.args["ifs"]:
                if subject is not None:
                    holds = compare(exp.EQ(), of(subject), of(branch.this))
                else:
                    holds = truth(of(branch.this))
                if holds:
                    return of(branch.args["true"])
            return of(node.args.get("default"))
        case exp.Coalesce():
            return next((v for v in (of(c) for c in (node.this, *node.expressions)) if v is not None), None)
        case exp.Nullif():
            a, b = of(node.this), of(node.expression)
            return None if compare(exp.EQ(), a, b) else a
        case exp.Upper() | exp.Lower():
            value = of(node.this)
            return None if value is None else value.upper() if isinstance(node, exp.Upper) else value.lower()
        case exp.Abs():
            value = of(node.this)
            return None if value is None else abs(value)
        case exp.DPipe():
            a, b = of(node.this), of(node.expression)
            return None if a is None or b is None else str(a) + str(b)
        case exp.Cast() if node.to.this == exp.DataType.Type.DATE:
            return date.fromisoformat(of(node.this))
    raise Undetermined(f"no rule for {node.sql()}")


AGGREGATES = ("count_distinct", "percentile")


def is_aggregate(node: exp.Expression) -> bool:
    """Whether `node` is the outermost node of one aggregate call."""
    if isinstance(node, exp.Filter | exp.AggFunc):
        return True
    return isinstance(node, exp.Anonymous) and node.name.lower() in AGGREGATES


def percentile(values: Sequence[Any], at: float) -> float | None:
    """Linear interpolation between the closest ranks."""
    if not values:
        return None
    ordered = sorted(float(v) for v in values)
    position = at * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def aggregate(node: exp.Expression, rows: Sequence[Any], value_at: Callable[[exp.Expression, Any], Any]) -> Any:
    """One aggregate call over `rows` (already guarded); `value_at(expression, row)` gives a value."""
    if isinstance(node, exp.Filter):
        condition = node.expression.this
        return aggregate(node.this, [row for row in rows if truth(value_at(condition, row))], value_at)
    if isinstance(node, exp.Anonymous):
        name, arguments = node.name.lower(), node.expressions
        values = [value for value in (value_at(arguments[0], row) for row in rows) if value is not None]
        if name == "count_distinct":
            return len(set(values))
        return percentile(values, float(arguments[1].this))
    argument = node.this
    if isinstance(node, exp.Count) and isinstance(argument, exp.Star):
        return len(rows)
    distinct = isinstance(argument, exp.Distinct)
    if distinct:
        if len(argument.expressions) != 1:
            raise Undetermined("distinct over several values")
        argument = argument.expressions[0]
    values = [value for value in (value_at(argument, row) for row in rows) if value is not None]
    if distinct:
        values = list(dict.fromkeys(values))
    match node:
        case exp.Count():
            return len(values)
        case exp.CountIf():
            return sum(1 for value in values if value)
        case exp.Sum():
            return sum(values) if values else None
        case exp.Avg():
            return sum(values) / len(values) if values else None
        case exp.Min():
            return min(values, default=None)
        case exp.Max():
            return max(values, default=None)
        case exp.Median():
            return percentile(values, 0.5)
    raise Undetermined(f"no rule for {node.sql()}")
