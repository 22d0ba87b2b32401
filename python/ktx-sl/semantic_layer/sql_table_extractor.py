"""What a SELECT reads and what it returns, from its text alone.

Answers are for warnings and checks: text that does not parse reads nothing known,
so every function answers with an empty result instead of raising.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

__all__ = ["extract_projected_columns", "extract_table_refs", "normalize_table", "ref_matches_source_table"]

TableRef = tuple[str, ...]


def _parse(sql: str, dialect: str | None) -> exp.Expr | None:
    try:
        statements = [statement for statement in sqlglot.parse(sql, read=dialect) if statement is not None]
    except (SqlglotError, ValueError, RecursionError):
        return None
    return statements[0] if len(statements) == 1 else None


def extract_table_refs(sql: str, dialect: str | None = None) -> list[TableRef]:
    """Physical tables that `sql` reads, as lower-case parts, in order of first appearance; `[]` if it does not parse.

    A name that a CTE in scope defines is not a table; the same name outside that
    scope, or qualified, is.

    >>> extract_table_refs("WITH a AS (SELECT * FROM Shop.Orders) SELECT * FROM a JOIN b USING (id)", "postgres")
    [('shop', 'orders'), ('b',)]
    """
    tree = _parse(sql, dialect)
    if tree is None:
        return []
    tables = sorted((table for table in tree.find_all(exp.Table) if not _is_cte(table)), key=_position)
    return [ref for ref in dict.fromkeys(_parts(table) for table in tables) if ref]


def _position(table: exp.Table) -> int:
    return int(table.this.meta.get("start", 0)) if isinstance(table.this, exp.Identifier) else 0


def _parts(table: exp.Table) -> TableRef:
    return tuple(part.name.lower() for part in table.parts if isinstance(part, exp.Identifier) and part.name)


def _is_cte(table: exp.Table) -> bool:
    """Whether an enclosing WITH defines the name that `table` reads."""
    if table.args.get("db") or not isinstance(table.this, exp.Identifier):
        return False
    inside: exp.Expr = table
    while inside.parent is not None:
        outer = inside.parent
        clause = outer.args.get("with_")
        if clause is not None:
            visible = clause.expressions
            if inside is clause:
                # within the WITH itself only earlier CTEs are in scope, and one's own name if it recurses
                own = next(cte for cte in visible if cte is table or _contains(cte, table))
                visible = visible[: visible.index(own) + (1 if clause.args.get("recursive") else 0)]
            if any(cte.alias.lower() == table.name.lower() for cte in visible):
                return True
        inside = outer
    return False


def _contains(ancestor: exp.Expr, node: exp.Expr) -> bool:
    at: exp.Expr | None = node
    while at is not None and at is not ancestor:
        at = at.parent
    return at is ancestor


def normalize_table(table: str) -> TableRef:
    """The parts of a dotted table name, unquoted and in lower case.

    >>> normalize_table('A."B".C')
    ('a', 'b', 'c')
    """
    parts: list[str] = [""]
    closing = ""
    for character in table.strip():
        if closing:
            if character == closing:
                closing = ""
            else:
                parts[-1] += character
        elif character in '"`[':
            closing = {"[": "]"}.get(character, character)
        elif character == ".":
            parts.append("")
        else:
            parts[-1] += character
    return tuple(part.strip().lower() for part in parts if part.strip())


def ref_matches_source_table(ref: TableRef, table: str) -> bool:
    """Whether `ref` is the tail of the source's table: `('orders',)` matches `shop.orders`."""
    whole = normalize_table(table)
    return bool(ref) and whole[-len(ref) :] == tuple(part.lower() for part in ref)


def extract_projected_columns(sql: str, dialect: str | None = None) -> set[str] | None:
    """Names of the columns that a SELECT returns, as written.

    None where they cannot be told: a star, an unnamed expression, a statement that
    is no SELECT or set operation, or text that does not parse.
    """
    tree = _parse(sql, dialect)
    if isinstance(tree, exp.Subquery):
        tree = tree.unnest()
    while isinstance(tree, exp.SetOperation):
        tree = tree.this
        tree = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(tree, exp.Select) or tree.is_star:
        return None
    return {name for name in tree.named_selects if name and name != "*"} or None
