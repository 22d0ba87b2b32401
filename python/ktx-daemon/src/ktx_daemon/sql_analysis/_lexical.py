"""Do the tokens of sqlglot begin and end where the database's own scanner would begin and end them?

A parse tree is worth nothing if the database splits the same text differently: what is a comment or a
string to one reader is a second statement to the other. `//*` opens a comment in DuckDB, `$a(...)` is one
variable in SQLite, `--` needs a blank in MySQL. So the text is cut once more by the rules of the target,
and any difference refuses it.

The databases whose scanners are known here are in `_SCANNERS`. For all others the rules common to every
SQL scanner are applied to whatever sqlglot took for literals and comments.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlglot import Token, TokenType

__all__ = ["control_character", "disagreement"]

_BLANK = frozenset(" \t\r\n\f")
_QUOTES = frozenset("'\"`")
_LITERALS = frozenset(
    {
        TokenType.STRING,
        TokenType.IDENTIFIER,
        TokenType.NATIONAL_STRING,
        TokenType.NATIONAL_RAW_STRING,
        TokenType.RAW_STRING,
        TokenType.BYTE_STRING,
        TokenType.HEX_STRING,
        TokenType.BIT_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.UNICODE_STRING,
    }
)
# Hexadecimal and binary numbers need no quotes.
_STRINGS = _LITERALS - {TokenType.IDENTIFIER, TokenType.HEX_STRING, TokenType.BIT_STRING}
_HIDDEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Cs"})


@dataclass(frozen=True, slots=True)
class _Quoting:
    close: str
    doubled: bool = True  # the closing character written twice stands for itself
    backslash: bool = False
    unsure_of_backslash: bool = False  # depends on a setting: a backslash before a quote is refused


@dataclass(frozen=True, slots=True)
class _Scanner:
    """How one family of databases reads literals and comments. Prefixes are in lower case."""

    quoting: Mapping[str, _Quoting]
    nested_comments: bool
    line_comments: tuple[str, ...] = ("--",)
    dollar_quotes: bool = False
    tcl_variables: bool = False  # `$a(...)` and `@a::b(...)` are single variables
    dash_needs_blank: bool = False
    carriage_return_ends_line: bool = True


_PLAIN = _Quoting("'")
_POSTGRES_QUOTING = {
    "'": _PLAIN,
    '"': _Quoting('"'),
    "e'": _Quoting("'", backslash=True),
    **dict.fromkeys(("b'", "x'", "n'", "u&'"), _PLAIN),
}
_POSTGRES = _Scanner(_POSTGRES_QUOTING, nested_comments=True, dollar_quotes=True)
_UNSURE = _Quoting("'", unsure_of_backslash=True)
_REDSHIFT = _Scanner(
    {**_POSTGRES_QUOTING, **dict.fromkeys(("'", "n'"), _UNSURE)}, nested_comments=True, dollar_quotes=True
)
_MYSQL_STRING, _MYSQL_DOUBLE = _Quoting("'", backslash=True), _Quoting('"', backslash=True)
_MYSQL = _Scanner(
    {
        "'": _MYSQL_STRING,
        '"': _MYSQL_DOUBLE,
        "`": _Quoting("`"),
        "n'": _MYSQL_STRING,
        "b'": _PLAIN,
        "x'": _PLAIN,
    },
    nested_comments=False,
    line_comments=("--", "#"),
    dash_needs_blank=True,
    carriage_return_ends_line=False,
)
_TSQL = _Scanner({"'": _PLAIN, "n'": _PLAIN, '"': _Quoting('"'), "[": _Quoting("]")}, nested_comments=True)
_SQLITE = _Scanner(
    {
        "'": _PLAIN,
        '"': _Quoting('"'),
        "`": _Quoting("`"),
        "[": _Quoting("]", doubled=False),
        "x'": _PLAIN,
    },
    nested_comments=False,
    tcl_variables=True,
    carriage_return_ends_line=False,
)
_SCANNERS: Mapping[str, _Scanner] = MappingProxyType(
    {
        **dict.fromkeys(("postgres", "materialize", "risingwave", "duckdb"), _POSTGRES),
        **dict.fromkeys(("mysql", "doris", "starrocks", "singlestore"), _MYSQL),
        **dict.fromkeys(("tsql", "fabric"), _TSQL),
        "redshift": _REDSHIFT,
        "sqlite": _SQLITE,
    }
)
_ANY = _Scanner({}, nested_comments=False, line_comments=("--", "#", "//"))


def control_character(sql: str) -> str | None:
    """The first character no statement needs, as `U+0000`: control characters but tab, CR, LF and FF."""
    for character in sql:
        if character not in _BLANK and unicodedata.category(character) in ("Cc", "Cs"):
            return f"U+{ord(character):04X}"
    return None


def disagreement(sql: str, tokens: Sequence[Token], dialect: str) -> str | None:
    """Why the database might read `sql` otherwise than `tokens` say, or None.

    Also refuses MySQL's executable comments and characters that look like a blank or like nothing.
    """
    scanner = _SCANNERS.get(dialect)
    position = 0
    previous: Token | None = None
    for token in tokens:
        problem = _gap(sql, position, token.start, scanner or _ANY, known=scanner is not None)
        if problem is None and token.token_type is TokenType.HINT:
            problem = _comment(sql, token.start, token.end + 1, scanner or _ANY)[1]
        elif problem is None and token.token_type in _STRINGS and not _begins_quoted(sql[token.start : token.end + 1]):
            # What follows a command word reaches the parser as one string, whatever it holds.
            problem = "Invalid expression: text in place of a string"
        elif problem is None and token.token_type in _LITERALS and _quoted(sql[token.start : token.end + 1]):
            problem = _literal(sql, token, previous, scanner) if scanner else None
        elif problem is None:
            problem = _code(sql, token, previous, scanner)
        if problem:
            return problem
        position, previous = token.end + 1, token
    return _gap(sql, position, len(sql), scanner or _ANY, known=scanner is not None) or _hidden_comment(sql, tokens)


def _begins_quoted(text: str) -> bool:
    """Whether a string token is one: at most three characters of prefix, then a quote, and a quote at its end."""
    return _quoted(text) and (text[0] == "$" or any(character in _QUOTES for character in text[:4]))


def _quoted(text: str) -> bool:
    return text[-1:] in _QUOTES or text[-1:] in ("]", "$")


def _gap(sql: str, start: int, end: int, scanner: _Scanner, *, known: bool) -> str | None:
    position = start
    while position < end:
        character = sql[position]
        if character in _BLANK:
            position += 1
            continue
        stop, problem = _comment(sql, position, end, scanner)
        if problem:
            return problem
        if stop is None:
            if not known and not character.isspace() and unicodedata.category(character) not in _HIDDEN:
                return "Invalid expression: text outside every token"
            return f"Invalid expression: character U+{ord(character):04X} is not allowed outside literals"
        position = stop
    return None


def _comment(sql: str, start: int, end: int, scanner: _Scanner) -> tuple[int | None, str | None]:
    """Where the comment at `start` stops, and what is wrong with it; (None, None) if there is none."""
    if sql.startswith("/*", start):
        if sql.startswith(("/*!", "/*M!"), start):
            return None, "Executable comments (/*! and /*M!) are not allowed"
        return _block_comment(sql, start, end, scanner)
    marker = next((marker for marker in scanner.line_comments if sql.startswith(marker, start)), None)
    if marker is None:
        return None, None
    if marker == "--" and scanner.dash_needs_blank and sql[start + 2 : start + 3] not in ("", *_BLANK):
        return None, "Invalid expression: write a blank after -- to begin a comment"
    stop = min((at for at in (sql.find("\n", start), sql.find("\r", start)) if at >= 0), default=len(sql))
    if sql.startswith("\r", stop) and not sql.startswith("\r\n", stop):
        return None, "Invalid expression: a lone carriage return after a line comment is ambiguous"
    if "/*!" in sql[start:stop] or "/*M!" in sql[start:stop]:
        return None, "Executable comments (/*! and /*M!) are not allowed"
    return (stop, None) if stop <= end else (None, "Invalid expression: ambiguous comment")


def _block_comment(sql: str, start: int, end: int, scanner: _Scanner) -> tuple[int | None, str | None]:
    depth, position = 1, start + 2
    while depth:
        close = sql.find("*/", position)
        if close < 0 or close >= end:
            return None, "Invalid expression: a comment is not closed"
        inner = sql.find("/*", position, close + 1)
        if inner >= 0 and sql.startswith(("/*!", "/*M!"), inner):
            return None, "Executable comments (/*! and /*M!) are not allowed"
        if inner >= 0 and scanner is _ANY:
            return None, "Invalid expression: a comment within a comment is ambiguous"
        if inner >= 0 and scanner.nested_comments:
            depth, position = depth + 1, inner + 2
        else:
            depth, position = depth - 1, close + 2
    return position, None


def _literal(sql: str, token: Token, previous: Token | None, scanner: _Scanner) -> str | None:
    start, end = token.start, token.end + 1
    before = sql[start - 1] if start else " "
    glued = previous is not None and previous.end + 1 == start
    if sql[start] == "$":
        if not scanner.dollar_quotes or before.isalnum() or before in "_$" or ord(before) > 127:
            return "Invalid expression: ambiguous dollar quote"
        return None if _dollar_end(sql, start) == end else "Invalid expression: ambiguous dollar quote"
    if glued and previous is not None and previous.token_type is TokenType.NUMBER:
        return "Invalid expression: a literal must not touch a number"
    if sql[start] == '"' and before == "&" and sql[start - 2 : start - 1] in ("u", "U"):
        return 'Invalid expression: identifiers with Unicode escapes (U&"...") are not allowed'
    text = sql[start : start + 3].lower()
    prefix = next((text[:size] for size in (3, 2, 1) if text[:size] in scanner.quoting), None)
    if prefix and scanner.quoting[prefix].unsure_of_backslash and "\\'" in sql[start:end]:
        return "Invalid expression: write '' for a quote in a string, not a backslash"
    if prefix is None or _quote_end(sql, start + len(prefix), scanner.quoting[prefix]) != end:
        return "Invalid expression: ambiguous quoting"
    if previous is not None and previous.token_type is TokenType.BYTE_STRING and not glued:
        # PostgreSQL reads 'b' in E'a' <newline> 'b' with the escapes of the first part.
        return "Invalid expression: a literal must not follow an escape string"
    return None


def _quote_end(sql: str, position: int, quoting: _Quoting) -> int | None:
    """Index after the closing quote of the literal whose content starts at `position`."""
    while position < len(sql):
        close = sql.find(quoting.close, position)
        if close < 0:
            return None
        if quoting.backslash:
            escape = sql.find("\\", position, close)
            if escape >= 0:
                position = escape + 2
                continue
        if not quoting.doubled or sql[close + 1 : close + 2] != quoting.close:
            return close + 1
        position = close + 2
    return None


def _dollar_end(sql: str, start: int) -> int | None:
    opened = sql.find("$", start + 1)
    tag = sql[start + 1 : opened]
    if opened < 0 or (tag and not tag.isidentifier()):
        return None
    close = sql.find(f"${tag}$", opened + 1)
    return None if close < 0 else close + len(tag) + 2


def _code(sql: str, token: Token, previous: Token | None, scanner: _Scanner | None) -> str | None:
    text = sql[token.start : token.end + 1]
    for character in text:
        if character in _QUOTES and scanner is not None:
            return "Invalid expression: ambiguous quoting"
        if character not in _BLANK and ord(character) > 126 and unicodedata.category(character) in _HIDDEN:
            return f"Invalid expression: character U+{ord(character):04X} is not allowed outside literals"
    if scanner is not None and scanner.tcl_variables and _tcl_variable(sql, token):
        return "Invalid expression: variables with :: or ( are not allowed"
    glued = previous is not None and previous.token_type is TokenType.NUMBER and previous.end + 1 == token.start
    if scanner is not None and text.startswith("$") and glued:
        return "Invalid expression: ambiguous dollar sign"
    return None


def _tcl_variable(sql: str, token: Token) -> bool:
    """Whether SQLite would read a variable that goes on past its name: to a `)`, whatever lies before it."""
    for position in range(token.start, token.end + 1):
        if sql[position] in "$@:#":
            end = position + 1
            while end < len(sql) and (sql[end].isalnum() or sql[end] in "_$" or ord(sql[end]) > 127):
                end += 1
            if sql.startswith(("(", "::"), end):
                return True
    return False


def _hidden_comment(sql: str, tokens: Sequence[Token]) -> str | None:
    """Comment marks made of pieces of neighbouring operators, such as `//*`."""
    for run in _runs(sql, tokens):
        if "/*" in run or "*/" in run or "--" in run:
            return "Invalid expression: put blanks between operators that look like a comment mark"
    return None


def _runs(sql: str, tokens: Sequence[Token]) -> Iterator[str]:
    start = end = 0
    for token in tokens:
        if token.token_type is TokenType.HINT:
            continue
        literal = token.token_type in _LITERALS and _quoted(sql[token.start : token.end + 1])
        if literal or token.start != end:
            yield sql[start:end]
            start = token.start
        end = token.end + 1
        if literal:
            start = end
    yield sql[start:end]
