"""Split the text of a table reference into catalog, schema and name.

The text is parsed as the whole FROM clause of a query, so whatever is not one plain table shows itself as
some other node and gets its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect

from ktx_daemon.dialects import resolve_dialect
from ktx_daemon.errors import DaemonError
from ktx_daemon.identifiers import is_bare, written
from ktx_daemon.redaction import clean
from ktx_daemon.sql_analysis._models import ParsedIdentifier, ParseTableIdentifierItem
from ktx_daemon.sql_analysis._parsing import parse, tokenize

__all__ = ["parse_table_identifier", "parse_table_identifiers"]

_DIALECTS = frozenset(
    {
        "bigquery",
        "snowflake",
        "postgres",
        "redshift",
        "mysql",
        "sqlite",
        "tsql",
        "clickhouse",
        "duckdb",
        "databricks",
    }
)
_TEMPLATE_MARKS = ("${", "@{", "{{", "{%")
_PREFIX = "SELECT * FROM\n"
_STRINGS = frozenset(
    {
        TokenType.STRING,
        TokenType.RAW_STRING,
        TokenType.BYTE_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.UNICODE_STRING,
        TokenType.HEREDOC_STRING,
    }
)
_CONSTANTS = frozenset({TokenType.NUMBER, TokenType.NULL, TokenType.TRUE, TokenType.FALSE})
_TABLE_PARTS = frozenset({"this", "db", "catalog", "alias"})


class _Refused(Exception):
    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def parse_table_identifiers(items: Iterable[ParseTableIdentifierItem]) -> dict[str, ParsedIdentifier]:
    """Results by key in input order; of equal keys the last item decides."""
    return {item.key: parse_table_identifier(item.sql_table_name, item.dialect) for item in items}


def parse_table_identifier(text: str, dialect: str) -> ParsedIdentifier:
    try:
        catalog, schema, name = _parts(text, _supported(dialect))
    except _Refused as refusal:
        return ParsedIdentifier.model_validate(
            {
                "ok": False,
                **dict.fromkeys(("catalog", "schema", "name", "canonical_table")),
                "reason": refusal.reason,
                "detail": refusal.detail,
            }
        )
    parts = [part for part in (catalog, schema, name) if part is not None]
    reader = _supported(dialect)
    return ParsedIdentifier.model_validate(
        {
            "ok": True,
            "catalog": catalog.name if catalog else None,
            "schema": schema.name if schema else None,
            "name": written(name),
            "canonical_table": ".".join(_canonical(part, part is catalog, reader) for part in parts),
            "reason": None,
            "detail": None,
        }
    )


def _supported(dialect: str) -> str:
    try:
        resolved = resolve_dialect(dialect)
    except DaemonError as error:
        raise _Refused("unsupported_dialect") from error
    if resolved not in _DIALECTS:
        raise _Refused("unsupported_dialect")
    return resolved


def _parts(text: str, dialect: str) -> tuple[exp.Identifier | None, exp.Identifier | None, exp.Identifier]:
    if any(mark in text for mark in _TEMPLATE_MARKS):
        raise _Refused("looker_template_unresolved")
    try:
        tokens = tokenize(text, Dialect.get_or_raise(dialect))
        _refuse_literals(tokens)
        statements = parse(_PREFIX + text, dialect, lines_before=1).statements
    except DaemonError as error:
        raise _Refused("parse_error", clean(str(error))) from error
    if len(statements) != 1:
        raise _Refused("parse_error", "expected one table, found several statements")
    return _table_parts(_only_source(statements[0]), dialect)


def _refuse_literals(tokens: Sequence[Token]) -> None:
    if not tokens or (len(tokens) == 1 and tokens[0].token_type is TokenType.SEMICOLON):
        raise _Refused("no_physical_table")
    # After a name a string is an alias; at the start it is a literal or a file, not a table.
    if tokens[0].token_type in _STRINGS or (len(tokens) == 1 and tokens[0].token_type in _CONSTANTS):
        raise _Refused("no_physical_table")
    if tokens[-1].token_type is TokenType.COMMA:
        raise _Refused("parse_error", "unexpected comma at the end")


def _only_source(statement: exp.Expr) -> exp.Expr:
    if not isinstance(statement, exp.Select):
        raise _Refused("parse_error", "expected one table, found a larger query")
    present = {key for key, value in statement.args.items() if value} - {"expressions", "from_"}
    source = statement.args["from_"].this if statement.args.get("from_") else None
    if source is None:
        raise _Refused("parse_error", "expected one table")
    if "joins" in present or source.args.get("joins"):
        raise _Refused("multiple_table_references")
    if "laterals" in present:
        raise _Refused("derived_table_not_supported")
    if present:
        raise _Refused("parse_error", f"unexpected clause after the table: {sorted(present)[0].strip('_')}")
    return source  # type: ignore[no-any-return]


def _table_parts(source: exp.Expr, dialect: str) -> tuple[exp.Identifier | None, exp.Identifier | None, exp.Identifier]:
    if not isinstance(source, exp.Table):
        if isinstance(source, exp.Final):
            raise _Refused("parse_error", "unexpected clause after the table: final")
        raise _Refused("derived_table_not_supported")
    name = source.this
    if source.args.get("rows_from") or isinstance(name, exp.Func):
        raise _Refused("derived_table_not_supported")
    if isinstance(name, exp.Dot):
        raise _Refused("parse_error", "more than three parts")
    if not isinstance(name, exp.Identifier) or not name.name:
        raise _Refused("no_physical_table")
    extra = sorted(key for key, value in source.args.items() if value and key not in _TABLE_PARTS)
    alias = source.args.get("alias")
    if extra or (alias and alias.args.get("columns")):
        raise _Refused("parse_error", f"unexpected clause after the table: {extra[0] if extra else 'column aliases'}")
    schema, catalog = source.args.get("db"), source.args.get("catalog")
    for part in (schema, catalog):
        if part is not None and not isinstance(part, exp.Identifier) and part != "":
            raise _Refused("no_physical_table")
    if catalog is not None and not schema:  # `db..t`: the default schema of a named database
        schema = exp.to_identifier("", quoted=False)
    if dialect == "bigquery" and catalog is None and name.name.upper().startswith("INFORMATION_SCHEMA."):
        view, _, member = name.name.partition(".")
        catalog, schema, name = schema, exp.to_identifier(view), exp.to_identifier(member)
    return catalog, schema, name


def _canonical(part: exp.Identifier, is_catalog: bool, dialect: str) -> str:
    """The part as SQL, quoted only if it would mean something else without."""
    name = written(part)
    if "*" in name and not part.quoted:  # BigQuery's wildcard tables cannot stand bare in a query
        return exp.to_identifier(name, quoted=True).sql(dialect=dialect)
    if not part.quoted or not name:
        return name
    if dialect == "bigquery":
        if name.upper().startswith("INFORMATION_SCHEMA."):
            return name
        if is_catalog and is_bare(name.replace("-", "_"), dialect):  # dashes may stand bare in a project
            return name
    return name if is_bare(name, dialect) else part.sql(dialect=dialect)
