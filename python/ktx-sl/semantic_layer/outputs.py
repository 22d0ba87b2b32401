"""Output names.

Invariant: names are unique in any case, in request order, and depend on the request
alone, never on how it is computed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .request import RequestedDimension, RequestedMeasure

__all__ = ["output_names"]


def output_names(dimensions: Sequence[RequestedDimension], measures: Sequence[RequestedMeasure]) -> list[str]:
    """Names of the dimensions, then of the measures."""
    sharing = Counter(name.casefold() for name in {d.field: d.name for d in dimensions}.values())
    owners: dict[str, set[str]] = defaultdict(set)
    for measure in measures:
        if measure.ref is not None and measure.definition is not None and measure.definition.name == measure.name:
            owners[measure.name.casefold()].add(measure.ref.rpartition(".")[0])
    measure_names: list[str] = []
    for measure in measures:
        predefined = measure.definition is not None and measure.definition.name == measure.name
        if measure.ref is not None and predefined and len(owners[measure.name.casefold()]) > 1:
            measure_names.append(f"{measure.ref.rpartition('.')[0]}_{measure.name}")
        else:
            measure_names.append(measure.name)
    taken_by_measures = {name.casefold() for name in measure_names}
    names: list[str] = []
    for dimension in dimensions:
        suffix = f"_{dimension.granularity}" if dimension.granularity else ""
        bare = dimension.name.replace(".", "_")
        if sharing[dimension.name.casefold()] > 1 or (bare + suffix).casefold() in taken_by_measures:
            bare = f"{dimension.node}_{bare}"
        names.append(bare + suffix)
    names += measure_names
    used: set[str] = set()
    out: list[str] = []
    for name in names:
        unique, number = name, 2
        while unique.casefold() in used:
            unique, number = f"{name}_{number}", number + 1
        used.add(unique.casefold())
        out.append(unique)
    return [_clean(name) for name in out]


def _clean(name: str) -> str:
    """Names pass as they are; only control characters, which no client shows, are dropped."""
    return re.sub(r"[\x00-\x1f\x7f]", "_", name)
