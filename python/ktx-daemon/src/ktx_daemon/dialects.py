"""SQL dialect names as callers write them."""

from __future__ import annotations

from ktx_daemon.errors import DaemonError

__all__ = ["DEFAULT_DIALECT", "resolve_dialect"]

DEFAULT_DIALECT = "postgres"
_ALIASES = {"postgresql": "postgres", "sqlserver": "tsql", "mssql": "tsql"}


def resolve_dialect(name: str | None) -> str:
    """The sqlglot name of a dialect, in lower case; null is `postgres`.

    Raises `DaemonError("unknown_dialect")`.
    """
    if name is None:
        return DEFAULT_DIALECT
    from sqlglot.dialects.dialect import Dialect

    wanted = name.strip().lower()
    wanted = _ALIASES.get(wanted, wanted)
    # `Dialect.get` also imports lazily loaded dialects; the empty name is sqlglot's generic one, not a database.
    if not wanted or not wanted.isidentifier() or Dialect.get(wanted) is None:
        from sqlglot.dialects.dialect import Dialects

        known = ", ".join(sorted(dialect.value for dialect in Dialects if dialect.value))
        raise DaemonError("unknown_dialect", f"Unknown SQL dialect {name[:60]!r}. Known: {known}")
    return wanted
