"""What differs between warehouses, one module per dialect.

Invariant: a dialect's forms return exactly the value the engine defines, or the
dialect raises `Unsupported`; nothing is approximated. To add a dialect, add one
module here named as sqlglot names it, holding a `Dialect` subclass; it is found
by its module name, loaded only when asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ..errors import InvalidQuery, nearest
from .base import Dialect, Kind

__all__ = ["Dialect", "Kind", "get_dialect", "supported_dialects"]

_ALIASES = {"postgresql": "postgres", "mssql": "tsql", "sqlserver": "tsql", "spark": "databricks"}


@cache
def supported_dialects() -> tuple[str, ...]:
    """Names of the dialects with exact forms, sorted."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base" and m.name[0] != "_"))


@cache
def get_dialect(name: str) -> Dialect:
    """The dialect called `name`, in any case.

    Raises `unknown_dialect` for a name sqlglot does not know. One that sqlglot
    knows but this package does not gets the standard forms, refusing the rest.
    """
    key = _ALIASES.get(name.strip().lower(), name.strip().lower())
    if key in supported_dialects():
        module = importlib.import_module(f"{__name__}.{key}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Dialect) and value.__module__ == module.__name__:
                return value(key)
    if key.isidentifier():
        from sqlglot.dialects.dialect import Dialect as SqlglotDialect

        if key and SqlglotDialect.get(key) is not None:
            return Dialect(key)
    raise InvalidQuery(
        "unknown_dialect",
        f"Unknown SQL dialect {name!r}. Supported: {', '.join(supported_dialects())}",
        candidates=nearest(name, supported_dialects(), "a supported dialect"),
    )
