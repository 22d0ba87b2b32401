"""Table names as BI tools write them, split into catalog, schema and name.

Invariant: an identifier is `ok` only if it denotes exactly one physical table;
the canonical text denotes that same table in the same dialect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

import sqlglot
from pydantic import BaseModel, ConfigDict, Field
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

__all__ = [
    "DIALECTS",
    "ParseTableIdentifierItem",
    "ParsedIdentifier",
    "parse_table_identifier_batch",
    "parse_table_identifier_one",
]

DIALECTS = frozenset({"postgres", "sqlite", "mysql", "bigquery", "snowflake", "redshift", "clickhouse", "tsql"})

Reason = Literal[
    "unsupported_dialect",
    "looker_template_unresolved",
    "derived_table_not_supported",
    "multiple_table_references",
    "no_physical_table",
    "parse_error",
]

_TEMPLATES = ("${", "@{", "{{", "{%")
_DERIVED = (exp.Subquery, exp.Values, exp.Lateral, exp.Unnest, exp.TableFromRows, exp.Query)
_SELECT_ONLY = frozenset({"kind", "expressions", "from_", "joins", "laterals"})


class ParsedIdentifier(BaseModel):
    """The parts as written, unquoted, or `ok` False with a `reason` and, where it helps, a `detail`."""

    model_config = ConfigDict(populate_by_name=True)

    ok: bool
    catalog: str | None = None
    schema_: str | None = Field(default=None, alias="schema")
    name: str | None = None
    canonical_table: str | None = None
    reason: Reason | None = None
    detail: str | None = None


class ParseTableIdentifierItem(BaseModel):
    """One table name to parse; results are filed under `key`."""

    key: str
    sql_table_name: str
    dialect: str


def parse_table_identifier_batch(
    items: Iterable[ParseTableIdentifierItem], dialects: Collection[str] = DIALECTS
) -> dict[str, ParsedIdentifier]:
    """Results by key in the order of `items`; of equal keys the last wins."""
    return {item.key: parse_table_identifier_one(item.sql_table_name, item.dialect, dialects) for item in items}


def parse_table_identifier_one(
    sql_table_name: str, dialect: str, dialects: Collection[str] = DIALECTS
) -> ParsedIdentifier:
    """The one table `sql_table_name` denotes in `dialect` (any case); an alias is ignored. Never raises.

    >>> parse_table_identifier_one('shop."Orders" AS o', "postgres").canonical_table
    'shop."Orders"'
    """
    written = dialect.strip().lower()
    if written not in dialects:
        return _refused("unsupported_dialect", f"dialect {dialect!r} is not one of {', '.join(sorted(dialects))}")
    if any(mark in sql_table_name for mark in _TEMPLATES):
        return _refused("looker_template_unresolved")
    if not sql_table_name.strip():
        return _refused("no_physical_table")
    try:
        tokens = sqlglot.tokenize(sql_table_name, read=written)
        if tokens and tokens[0].token_type == TokenType.STRING:
            return _refused("no_physical_table")
        if tokens and tokens[0].token_type == TokenType.DOT:  # the parser skips it
            return _refused("parse_error", "an empty part")
        statements = sqlglot.parse(f"SELECT * FROM {sql_table_name}", read=written)
    except (SqlglotError, RecursionError) as error:
        return _refused("parse_error", _first_line(error))
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        return _refused("parse_error", "more than a table name")
    return _parsed(statements[0], written)


def _refused(reason: Reason, detail: str | None = None) -> ParsedIdentifier:
    return ParsedIdentifier(ok=False, reason=reason, detail=detail)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["not a table name"])[0]


def _parsed(select: exp.Select, dialect: str) -> ParsedIdentifier:
    trailing = sorted(key for key, value in select.args.items() if value and key not in _SELECT_ONLY)
    if trailing:
        return _refused("parse_error", f"unexpected clause after the table name: {', '.join(trailing)}")
    source = select.args["from_"].this if select.args.get("from_") else None
    if isinstance(source, exp.Final):
        return _refused("parse_error", "unexpected clause after the table name: final")
    if isinstance(source, _DERIVED):
        return _refused("derived_table_not_supported")
    if not isinstance(source, exp.Table):
        return _refused("no_physical_table")
    if (
        select.args.get("joins")
        or select.args.get("laterals")
        or source.args.get("joins")
        or source.args.get("laterals")
    ):
        return _refused("multiple_table_references")
    return _table(source, dialect)


def _table(table: exp.Table, dialect: str) -> ParsedIdentifier:
    this = table.this
    if isinstance(this, exp.Dot):
        return _refused("parse_error", "more than three parts")
    if isinstance(this, exp.Func):
        return _refused("derived_table_not_supported")
    if not isinstance(this, exp.Identifier) or not this.name:
        return _refused("no_physical_table")
    extra = sorted(key for key, value in table.args.items() if value and key not in ("this", "db", "catalog", "alias"))
    if extra:
        return _refused("parse_error", f"unexpected clause after the table name: {', '.join(extra)}")
    alias = table.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        return _refused("parse_error", "unexpected column list after the table name")
    parts = [table.args.get(key) for key in ("catalog", "db", "this")]
    catalog, schema, name = (part.name if isinstance(part, exp.Identifier) else part for part in parts)
    canonical = exp.Table(**{key: table.args.get(key) for key in ("this", "db", "catalog")})
    return ParsedIdentifier(
        ok=True,
        catalog=catalog or None,
        schema=schema,
        name=name,
        canonical_table=canonical.sql(dialect=dialect),
    )
