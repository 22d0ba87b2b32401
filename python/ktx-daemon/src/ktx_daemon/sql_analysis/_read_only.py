"""Decide by parsing whether a text is one query that only reads.

A refusal is the answer in doubt. The text must be one query expression, hold no node that writes, locks,
assigns or commands, call no function with side effects, and mean the same tokens to the database as to
the parser. What a view, a rule or a function of the user's own does is beyond parsing: callers still need
a role with few rights and a read-only transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlglot import Token, TokenType, exp
from sqlglot.expressions import ddl, dml

from ktx_daemon.errors import DaemonError
from ktx_daemon.limits import MAX_SQL_BYTES
from ktx_daemon.redaction import clean
from ktx_daemon.sql_analysis._functions import (
    QUALIFIED_SEQUENCES,
    TABLE_FUNCTIONS,
    has_side_effects,
    is_path_like,
)
from ktx_daemon.sql_analysis._lexical import control_character, disagreement
from ktx_daemon.sql_analysis._parsing import Parsed, parse

__all__ = ["read_only_problem"]

# Of the classes sqlglot files under statements, those that are parts of ordinary queries.
_HARMLESS = frozenset(
    {
        ddl.Comprehension,
        ddl.Heredoc,
        ddl.CharacterSet,
        ddl.UserDefinedFunction,
        ddl.Clone,
    }
)
_WRITES: tuple[type[exp.Expr], ...] = (
    *(
        kind
        for module in (ddl, dml)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, exp.Expr)
        and kind.__module__ == module.__name__
        and kind not in _HARMLESS
        and kind not in (ddl.DDL, dml.DML)
    ),
    exp.Into,
    exp.Lock,
    exp.LockingStatement,
    exp.Put,
    exp.Get,
    exp.Grant,
    exp.Revoke,
    exp.Analyze,
    exp.Cache,
    exp.Uncache,
    exp.Refresh,
    exp.AddPartition,
    exp.DropPartition,
    exp.ConditionalInsert,
    exp.MultitableInserts,
    exp.QueryTransform,  # runs a program of the caller's choice
    exp.StoredProcedure,
    exp.Block,
    exp.IfBlock,
    exp.CaseStatement,
    exp.WhileBlock,
    exp.LoopBlock,
    exp.RepeatBlock,
    exp.Return,
    exp.Leave,
    exp.Iterate,
    exp.EndStatement,
    exp.Semicolon,
)
_QUERIES = (exp.Select, exp.SetOperation, exp.Values)
_CLICKHOUSE_CLAUSES = ("settings", "format", "into_outfile")
_MYSQL_FAMILY = frozenset({"mysql", "doris", "starrocks", "singlestore"})
_TSQL_FAMILY = frozenset({"tsql", "fabric"})
_POSTGRES_FAMILY = frozenset({"postgres", "redshift", "materialize", "risingwave"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# T-SQL needs no semicolon between statements, so these are never names there unless quoted.
_TSQL_STATEMENTS = _words(
    """
    ALTER BACKUP BEGIN BREAK BULK CHECKPOINT CLOSE COMMIT CONTINUE CREATE DBCC DEALLOCATE DECLARE DELETE DENY
    DISK DROP DUMP EXEC EXECUTE GOTO GRANT IF INSERT KILL LINENO LOAD MERGE OPEN PRINT RAISERROR READTEXT
    RECONFIGURE RESTORE RETURN REVERT REVOKE ROLLBACK SAVE SET SETUSER SHUTDOWN TRAN TRANSACTION TRUNCATE UPDATE
    UPDATETEXT USE WAITFOR WHILE WRITETEXT
    """
)
_TSQL_LOCKS = _words(
    """
    HOLDLOCK PAGLOCK READCOMMITTEDLOCK REPEATABLEREAD ROWLOCK SERIALIZABLE TABLOCK TABLOCKX UPDLOCK XLOCK
    """
)


def read_only_problem(sql: str, dialect: str, *, allowed_settings: Collection[str] = ()) -> str | None:
    """Why `sql` is refused as a read-only query in a resolved dialect; None if it is accepted.

    `allowed_settings` names ClickHouse settings a query may carry, which the engine writes itself.
    """
    if len(sql) > MAX_SQL_BYTES or len(sql.encode("utf-8", "surrogatepass")) > MAX_SQL_BYTES:
        return f"SQL is longer than {MAX_SQL_BYTES} bytes"
    if character := control_character(sql):
        return f"Control character {character} is not allowed"
    try:
        parsed = parse(sql, dialect)
    except DaemonError as error:
        # An executable comment is one even in text that does not parse.
        return _executable_comment(sql, dialect) or clean(str(error))
    problem = (
        _executable_comment(sql, dialect, parsed.tokens)
        or _statement_problem(parsed)
        or next(_node_problems(parsed, dialect, allowed_settings), None)
        or next(_token_problems(parsed, dialect), None)
        or disagreement(sql, parsed.tokens, dialect)
    )
    return None if problem is None else clean(problem)


def _executable_comment(sql: str, dialect: str, tokens: Sequence[Token] | None = None) -> str | None:
    if "/*!" not in sql and "/*M!" not in sql:
        return None
    if tokens is None:
        return "Executable comments (/*! and /*M!) are not allowed"
    problem = disagreement(sql, tokens, dialect)
    return problem if problem and problem.startswith("Executable") else None


def _statement_problem(parsed: Parsed) -> str | None:
    if not parsed.statements:
        return "SQL is empty; send one query"
    if len(parsed.statements) > 1:
        return f"Only one statement is allowed, not {len(parsed.statements)}"
    root: object = parsed.statements[0]
    if isinstance(root, _WRITES):
        return _refused(type(root).__name__)
    while isinstance(root, exp.Subquery):
        root = root.this
    if isinstance(root, _QUERIES):
        return None
    if isinstance(root, (exp.Pivot, *_WRITES)):
        return _refused(type(root).__name__)
    return f"Only a query is allowed, not read/write operation: {type(root).__name__}"


def _refused(kind: str) -> str:
    return f"Only read-only SQL is allowed; found read/write operation: {kind}"


def _node_problems(parsed: Parsed, dialect: str, allowed_settings: Collection[str]) -> Iterator[str]:
    texts = {token.start: token for token in parsed.tokens}
    for node in parsed.statements[0].walk():
        if isinstance(node, _WRITES):
            yield _refused(type(node).__name__)
        elif (
            isinstance(node, exp.Pivot) and not isinstance(node.parent, (exp.Table, exp.Subquery, exp.CTE, exp.Lateral))
        ) or (isinstance(node, exp.Pivot) and node.arg_key != "pivots"):
            yield _refused("Pivot")
        elif isinstance(node, exp.PropertyEQ) and isinstance(node.this, (exp.Parameter, exp.SessionParameter)):
            yield _refused("Assignment")
        elif isinstance(node, exp.Query):
            yield from _clause_problems(node, dialect, allowed_settings)
        elif isinstance(node, exp.Table):
            yield from _table_problems(node, dialect, texts)
        elif isinstance(node, exp.Lateral) and dialect in TABLE_FUNCTIONS:
            yield from _table_function_problems(node.this, dialect, texts)
        elif isinstance(node, exp.Column) and dialect in QUALIFIED_SEQUENCES and _is_next_value(node):
            yield _refused("NextValueFor")


def _clause_problems(query: exp.Query, dialect: str, allowed_settings: Collection[str]) -> Iterator[str]:
    for clause in _CLICKHOUSE_CLAUSES:
        value = query.args.get(clause)
        if not value:
            continue
        names = (
            {setting.this.name for setting in value if isinstance(setting, exp.EQ)} if clause == "settings" else None
        )
        if not names or len(names) != len(value) or not names <= set(allowed_settings):
            yield _refused(clause.title().replace("_", ""))
    if dialect in _TSQL_FAMILY and isinstance(query, exp.Select):
        for projection in query.expressions:
            value = projection.this if isinstance(projection, exp.Alias) else projection
            if (
                isinstance(value, exp.Binary)
                and isinstance(value.this, exp.Parameter)
                and isinstance(value, exp.Predicate)
            ):
                yield _refused("Assignment")


def _table_problems(table: exp.Table, dialect: str, tokens: dict[int, Token]) -> Iterator[str]:
    name = table.this
    if dialect == "sqlite" and has_side_effects(table.name.lower(), dialect):
        yield f"Table {table.name[:60]!r} is not allowed: it does more than read"
    if dialect not in TABLE_FUNCTIONS:
        return
    if isinstance(name, exp.Identifier):
        token = tokens.get(name.meta.get("start", -1))
        full = ".".join(part.name for part in table.parts)
        if (token.token_type in _STRINGS) if token else name.quoted:
            yield "A literal is not allowed as a table"
        elif is_path_like(full):
            yield f"Table {full[:60]!r} looks like a path; files are not allowed as tables"
    else:
        yield from _table_function_problems(name, dialect, tokens)


_STRINGS = frozenset(
    {TokenType.STRING, TokenType.RAW_STRING, TokenType.BYTE_STRING, TokenType.HEREDOC_STRING, TokenType.NATIONAL_STRING}
)


def _table_function_problems(function: object, dialect: str, tokens: dict[int, Token]) -> Iterator[str]:
    if isinstance(function, (exp.Subquery, exp.Unnest, exp.Values)):
        return
    token = tokens.get(function.meta.get("start", -1)) if isinstance(function, exp.Expr) else None
    name = token.text.lower() if token else ""
    if name not in TABLE_FUNCTIONS[dialect]:
        yield f"Table function {name[:60] or type(function).__name__!r} is not allowed"


def _token_problems(parsed: Parsed, dialect: str) -> Iterator[str]:
    tokens = parsed.tokens
    for index, token in enumerate(tokens):
        following = tokens[index + 1].token_type if index + 1 < len(tokens) else None
        if following is TokenType.L_PAREN or _is_attribute_call(tokens, index, dialect):
            name = token.text.rpartition(".")[2].lower()
            if has_side_effects(name, dialect):
                yield f"Function {name[:60]!r} is not allowed: it does more than read"
        if token.token_type is TokenType.COLON_EQ and dialect in _MYSQL_FAMILY:
            yield _refused("Assignment")
        if dialect == "duckdb" and token.token_type is TokenType.L_PAREN and _word(tokens, index + 1) == "SHOW":
            yield _refused("Show")
        if dialect in _TSQL_FAMILY and token.token_type not in _STRINGS | {TokenType.IDENTIFIER}:
            word = token.text.upper()
            if word in _TSQL_STATEMENTS and not (word == "MERGE" and following in (TokenType.JOIN, TokenType.UNION)):
                yield _refused(word.title())
            if word in _TSQL_LOCKS:
                yield _refused("Lock")


_VALUES_BEFORE_DOT = frozenset(
    {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.NUMBER, TokenType.PARAMETER} | _STRINGS
)


def _is_attribute_call(tokens: Sequence[Token], index: int, dialect: str) -> bool:
    """PostgreSQL calls `f` in `(x).f` too, without parentheses after it."""
    return (
        dialect in _POSTGRES_FAMILY
        and index >= 2
        and tokens[index - 1].token_type is TokenType.DOT
        and tokens[index - 2].token_type in _VALUES_BEFORE_DOT
    )


def _word(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].text.upper() if index < len(tokens) and tokens[index].token_type not in _STRINGS else ""


def _is_next_value(column: exp.Column) -> bool:
    return bool(column.table) and column.name.lower() == "nextval"
