"""The semantic layer: measures by dimensions to one correct SQL statement.

Names are imported when first used, so that the package itself costs nothing to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import EngineOptions, SemanticEngine
    from .errors import Candidate, SemanticLayerError
    from .models import (
        JoinDeclaration,
        MeasureDefinition,
        QueryResult,
        ResolvedPlan,
        Segment,
        SemanticQuery,
        SourceColumn,
        SourceDefinition,
        ValidationReport,
    )

__all__ = [
    "Candidate",
    "EngineOptions",
    "JoinDeclaration",
    "MeasureDefinition",
    "QueryResult",
    "ResolvedPlan",
    "Segment",
    "SemanticEngine",
    "SemanticLayerError",
    "SemanticQuery",
    "SourceColumn",
    "SourceDefinition",
    "ValidationReport",
]

_HOMES = {
    "Candidate": "errors",
    "EngineOptions": "engine",
    "SemanticEngine": "engine",
    "SemanticLayerError": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES.get(name, 'models')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
