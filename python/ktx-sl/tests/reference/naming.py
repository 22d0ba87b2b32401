"""Output column names."""

from __future__ import annotations

import re
from collections.abc import Sequence


def automatic(text: str) -> str:
    """The name of an unnamed measure expression."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    if not name:
        return "measure"
    return ("m_" + name if name[0].isdigit() else name)[:63]


def output_names(
    dimensions: Sequence[tuple[str, str, str | None]], measures: Sequence[tuple[str | None, str]]
) -> list[str]:
    """Names of `(node, column, granularity)` dimensions, then of `(source or None, name)` measures."""
    names: list[str] = []

    def suffixed(base: str, granularity: str | None) -> str:
        return f"{base}_{granularity.lower()}" if granularity else base

    shared_measures = {
        name for source, name in measures if source and len({s for s, n in measures if s and n == name}) > 1
    }
    values = [f"{source}_{name}" if source and name in shared_measures else name for source, name in measures]
    for node, column, granularity in dimensions:
        fields = {(n, c) for n, c, _ in dimensions if c == column}
        name = suffixed(f"{node}_{column}" if len(fields) > 1 else column, granularity)
        if name in values:
            name = suffixed(f"{node}_{column}", granularity)
        names.append(name)
    result: list[str] = []
    for name in names + values:
        unique, count = name, 1
        while unique in result:
            count += 1
            unique = f"{name}_{count}"
        result.append(unique)
    return result
