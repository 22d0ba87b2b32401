"""Text to tokens and trees, within bounds.

sqlglot reports failures with terminal colours and a quote of the statement; here they become one plain
sentence with a position. Bounds are checked on tokens, before the recursive parser sees the text.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError

from ktx_daemon.errors import DaemonError, LimitExceeded
from ktx_daemon.limits import MAX_SQL_BYTES, MAX_SQL_NESTING
from ktx_daemon.redaction import clean

__all__ = ["Parsed", "nesting", "parse", "parse_tokens", "tokenize"]

# sqlglot warns, quoting the statement, when it falls back to a Command. No statement belongs in a log.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())
logging.getLogger("sqlglot").propagate = False

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END})
# The parser needs some twenty frames per level of nesting; frames of pure Python cost no C stack.
_FRAMES = 20_000
_TOO_DEEP = f"SQL is nested deeper than {MAX_SQL_NESTING} levels; flatten it or split it"


@dataclass(frozen=True, slots=True)
class Parsed:
    """One text as the dialect's tokens and its non-empty statements."""

    sql: str
    dialect: Dialect
    tokens: Sequence[Token]
    statements: Sequence[exp.Expr]


def parse(sql: str, dialect: str, *, lines_before: int = 0) -> Parsed:
    """Parse `sql` in a resolved dialect into all its statements.

    `lines_before` is how many lines the caller put before the user's text; errors do not count them.

    Raises `DaemonError("invalid_sql")`, starting with `Invalid expression`, or `LimitExceeded`.
    """
    reader = Dialect.get_or_raise(dialect)
    tokens = tokenize(sql, reader)
    if nesting(tokens) > MAX_SQL_NESTING:
        raise LimitExceeded(_TOO_DEEP)
    return Parsed(sql, reader, tokens, parse_tokens(tokens, sql, reader, lines_before))


def tokenize(sql: str, dialect: Dialect) -> list[Token]:
    if len(sql) > MAX_SQL_BYTES or len(sql.encode("utf-8", "surrogatepass")) > MAX_SQL_BYTES:
        raise LimitExceeded(f"SQL is longer than {MAX_SQL_BYTES} bytes; send a shorter statement")
    try:
        return list(dialect.tokenize(sql))
    except TokenError as error:
        inner = error.__cause__ if isinstance(error.__cause__, TokenError) else None
        reason = f": {clean(str(inner))}" if inner else ""
        raise DaemonError(
            "invalid_sql", f"Invalid expression{reason or ': the text cannot be split into tokens'}"
        ) from error


def parse_tokens(tokens: list[Token], sql: str, dialect: Dialect, lines_before: int = 0) -> list[exp.Expr]:
    if sys.getrecursionlimit() < _FRAMES:
        sys.setrecursionlimit(_FRAMES)
    try:
        statements = dialect.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, sql)
    except ParseError as error:
        raise DaemonError("invalid_sql", _sentence(error, lines_before)) from error
    except RecursionError as error:
        raise LimitExceeded(_TOO_DEEP) from error
    except (SqlglotError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        # The parser is lenient about what it looks at; on garbage it may trip over its own assumptions.
        raise DaemonError("invalid_sql", "Invalid expression: the statement cannot be parsed") from error
    return [statement for statement in statements if statement and not isinstance(statement, exp.Semicolon)]


def nesting(tokens: Sequence[Token]) -> int:
    """The deepest level of brackets and CASE in `tokens`."""
    depth = deepest = 0
    for token in tokens:
        if token.token_type in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif token.token_type in _CLOSING and depth:
            depth -= 1
    return deepest


def _sentence(error: ParseError, lines_before: int) -> str:
    first = error.errors[0] if error.errors else {}
    description = clean(str(first.get("description") or ""))
    for inside in (" but got <Token", " missing for <class"):  # the parser's own objects, of no use to a caller
        description = description.partition(inside)[0]
    description = description.rstrip(".") or "the statement cannot be parsed"
    if not description.startswith("Invalid expression"):
        description = f"Invalid expression: {description}"
    line, column = first.get("line"), first.get("col")
    return f"{description}. Line {line - lines_before}, Col: {column}." if line and column else f"{description}."
