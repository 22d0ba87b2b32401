"""Does a bare table name mean a common table expression?"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from ktx_daemon.identifiers import folded

__all__ = ["hidden_by_cte"]

# These have recursion without the word RECURSIVE: a set operation that names itself.
_IMPLICIT_RECURSION = frozenset({"TSQL", "Fabric", "Oracle", "Snowflake", "SQLite", "Teradata"})


def hidden_by_cte(table: exp.Table, dialect: Dialect) -> bool:
    """Whether `table` names a CTE of an enclosing WITH rather than a table.

    A CTE is visible in the statement it heads and in later CTEs of its list, in its own body only if it is
    recursive. A qualified name is never a CTE.
    """
    if table.args.get("db") or table.args.get("catalog"):
        return False
    wanted = _folded(table.this, dialect)
    below: exp.Expr = table
    above = table.parent
    while above is not None:
        clause = above if isinstance(above, exp.With) else above.args.get("with_")
        if isinstance(clause, exp.With) and clause is not below and _defines(clause, below, wanted, dialect):
            return True
        below, above = above, above.parent
    return False


def _defines(clause: exp.With, below: exp.Expr, wanted: str, dialect: Dialect) -> bool:
    for cte in clause.expressions:
        alias = cte.args.get("alias")
        same = alias is not None and _folded(alias.this, dialect) == wanted
        if cte is below:  # inside this very body; later ones are visible only to mutual recursion
            return (same and _recursive(clause, cte, dialect)) or (
                bool(clause.args.get("recursive")) and _later(clause, cte, wanted, dialect)
            )
        if same:
            return True
    return False


def _later(clause: exp.With, cte: exp.Expr, wanted: str, dialect: Dialect) -> bool:
    following = clause.expressions[clause.expressions.index(cte) + 1 :]
    return any(_folded(other.args["alias"].this, dialect) == wanted for other in following if other.args.get("alias"))


def _recursive(clause: exp.With, cte: exp.Expr, dialect: Dialect) -> bool:
    if clause.args.get("recursive"):
        return True
    return type(dialect).__name__ in _IMPLICIT_RECURSION and isinstance(cte.this, exp.SetOperation)


def _folded(name: object, dialect: Dialect) -> str:
    if not isinstance(name, exp.Expr):
        return ""
    # CTE names ignore case in BigQuery too, where table names do not.
    return folded(name, dialect, column=True)
