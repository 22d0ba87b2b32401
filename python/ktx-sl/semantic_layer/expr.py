"""Text to trees.

Invariant: a text is one expression. It is parsed between brackets inside a SELECT
and must come back as exactly that bracket, so no text can close it and go on.
Reserved words are names where only a name can stand (`select.from`), a string next
to a dot is a quoted name in every dialect (`s."unit price"`), and comments never
reach the tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from .dialects import Dialect
from .errors import InvalidQuery
from .safety import OWN_FUNCTIONS, check_model_tree, check_query_tree

__all__ = [
    "column_parts",
    "conjuncts",
    "field_parts",
    "is_boolean",
    "paren",
    "parse_model",
    "parse_query",
    "readable",
    "unparen",
]

_WORD = re.compile(r"[^\W\d]\w*\Z")
_OWN = {name: token for token, name in OWN_FUNCTIONS.items()}
_KEPT = "__ktx_kept_"
_EXACT = "ktx_exact"
_OUTER = "ktx_outer"
_NOT_NAMES = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STAR, TokenType.NUMBER, TokenType.STRING}


def _tokens(text: str, dialect: Dialect) -> list[Token]:
    try:
        return list(dialect.sqlglot.tokenize(text))
    except SqlglotError as error:
        raise InvalidQuery("parse_error", f"cannot read {text!r} as SQL: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    described = getattr(error, "errors", None)
    if described and described[0].get("description"):
        text = str(described[0]["description"])
        return "something is missing" if text.startswith("Required keyword") else text
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()[0]


def _name_tokens(tokens: list[Token], names: Collection[str], eager: bool, kept: Collection[str] = ()) -> list[Token]:
    """The tokens with names marked as names and the engine's functions under their own names."""
    out: list[Token] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1].token_type if i else None
        after = tokens[i + 1].token_type if i + 1 < len(tokens) else None
        kind, text = token.token_type, token.text
        if TokenType.DOT in (before, after) and kind is TokenType.STRING:
            kind = TokenType.IDENTIFIER
        elif kind not in _NOT_NAMES and _WORD.match(text):
            dotted = before is TokenType.DOT or (after is TokenType.DOT and kind is not TokenType.END)
            bare = text in names and after not in (TokenType.L_PAREN, TokenType.STRING)
            if dotted or (bare and (eager or text.lower() in _CONSTANT_WORDS)):
                # CASE and IF are known by their text, whatever their type: only quotes make them names.
                kind = TokenType.IDENTIFIER if eager or text.upper() in _BY_TEXT else TokenType.VAR
        if after is TokenType.L_PAREN and before is not TokenType.DOT and kind is not TokenType.IDENTIFIER:
            text = _OWN.get(text.lower(), _KEPT + text if text.lower() in kept else text)
            if text.startswith("__ktx_"):
                kind = TokenType.VAR
        # A start before the text marks a word as quoted by us; whether it needs quotes is the printer's to say.
        start = -1 if kind is TokenType.IDENTIFIER and token.token_type not in _NOT_NAMES else token.start
        out.append(Token(kind, text, token.line, token.col, start, token.end))
    return out


_BY_TEXT = frozenset({"CASE", "IF", "CONNECT_BY_ROOT"})

# Words that parse as a call without brackets, and so would hide a column so named.
_CONSTANT_WORDS = frozenset(
    """
    current_date current_time current_timestamp current_user current_datetime current_catalog current_role
    current_schema localtime localtimestamp session_user user systimestamp sysdate utc_date utc_time utc_timestamp
    """.split()  # noqa: SIM905
)


def _parse(text: str, dialect: Dialect, names: Collection[str], comments: bool) -> exp.Expr:
    if not text or not text.strip():
        raise InvalidQuery("parse_error", "an expression is empty; write one or leave it out")
    # Behind a bracket no word starts a statement, which would swallow the rest as its text.
    first, *tokens = _tokens("(" + text, dialect)
    if not comments and any(t.comments or t.token_type is TokenType.HINT for t in (first, *tokens)):
        raise InvalidQuery("forbidden", f"{text!r}: comments are not allowed here; leave them out")
    if not tokens:
        raise InvalidQuery("parse_error", f"{text!r} holds no expression")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise InvalidQuery("forbidden", f"{text!r}: a statement is not allowed here; write one expression")
    error: Exception | None = None
    for eager in (False, True):
        try:
            return _parse_tokens(_name_tokens(tokens, names, eager, dialect.kept_aggregates), text, dialect)
        except (SqlglotError, RecursionError, _NotOne) as caught:
            error = error or caught
    assert error is not None
    if isinstance(error, _NotOne):
        raise InvalidQuery(
            "forbidden",
            f"{text!r} is not one expression; unbalanced brackets, lists, aliases and statements are refused",
        )
    if isinstance(error, RecursionError):
        raise InvalidQuery("parse_error", "an expression is nested too deeply; simplify it") from None
    if any(token.token_type.name in _STATEMENT_WORDS for token in tokens):
        raise InvalidQuery("forbidden", f"{text!r}: a statement is not allowed here; write one expression") from error
    raise InvalidQuery("parse_error", f"cannot parse {text!r}: {_first_line(error)}") from error


# By name, as not every sqlglot has every one.
_STATEMENT_WORDS = frozenset(
    """
    SELECT UNION EXCEPT INTERSECT INSERT UPDATE DELETE DROP CREATE ALTER MERGE TRUNCATE GRANT REVOKE COPY ATTACH
    DETACH PRAGMA COMMAND EXECUTE CALL KILL LOAD INSTALL EXPORT IMPORT INTO
    """.split()  # noqa: SIM905
)


class _NotOne(Exception):
    """The text parsed, but not as one bracketed expression."""


def _parse_tokens(tokens: list[Token], text: str, dialect: Dialect) -> exp.Expr:
    last = tokens[-1]
    wrapped = [
        Token(TokenType.SELECT, "SELECT"),
        Token(TokenType.L_PAREN, "("),
        *tokens,
        Token(TokenType.R_PAREN, ")", last.line, last.col, last.end, last.end),
    ]
    parsed = dialect.sqlglot.parser().parse(wrapped, "(" + text)
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Select):
        raise _NotOne
    select = parsed[0]
    if len(select.expressions) != 1 or any(value for key, value in select.args.items() if key != "expressions"):
        raise _NotOne
    bracket = select.expressions[0]
    if isinstance(bracket, exp.Subquery) and not any(v for k, v in bracket.args.items() if k != "this"):
        return bracket.pop()
    if not isinstance(bracket, exp.Paren) or any(value for key, value in bracket.args.items() if key != "this"):
        raise _NotOne
    inner = bracket.this
    if isinstance(inner, exp.Alias | exp.Aliases | exp.PropertyEQ):
        raise _NotOne
    inner.pop()
    if any(isinstance(n, exp.Distinct | exp.Select) and not n.expressions for n in inner.walk()):
        raise ParseError("something is missing")
    spelled = {token.text for token in tokens if token.token_type is TokenType.IDENTIFIER and token.start < 0}
    for identifier in inner.find_all(exp.Identifier) if spelled else ():
        if identifier.this in spelled:
            identifier.set("quoted", False)
    return _own_functions(inner, text, dialect)


def _own_functions(tree: exp.Expr, text: str, dialect: Dialect) -> exp.Expr:
    """count_distinct, safe_divide and median in terms of what is left: COUNT(DISTINCT), `/` and percentile."""

    def arguments(node: exp.Expr, count: int) -> list[exp.Expr]:
        found = node.expressions
        if len(found) != count:
            raise InvalidQuery(
                "parse_error",
                f"{text!r}: {OWN_FUNCTIONS[node.name]} takes {count} argument{'s' * (count > 1)}, not {len(found)}",
            )
        return list(found)

    def rewrite(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.SafeDivide):
            return division(node.this, node.expression, dialect)
        if isinstance(node, exp.Anonymous) and node.name.startswith(_KEPT):
            return exp.AnonymousAggFunc(this=node.name.removeprefix(_KEPT).upper(), expressions=node.expressions)
        if not isinstance(node, exp.Anonymous) or node.name not in OWN_FUNCTIONS:
            return node
        if node.name == "__ktx_count_distinct":
            return exp.Count(this=exp.Distinct(expressions=arguments(node, 1)), big_int=True)
        if node.name == "__ktx_safe_divide":
            top, bottom = arguments(node, 2)
            return division(top, bottom, dialect)
        if node.name == "__ktx_median":
            return exp.Anonymous(this="__ktx_percentile", expressions=[*arguments(node, 1), exp.Literal.number("0.5")])
        fraction = arguments(node, 2)[1]
        if not isinstance(fraction, exp.Literal) or fraction.is_string or not 0 <= float(fraction.this) <= 1:
            raise InvalidQuery("parse_error", f"{text!r}: percentile takes a number from 0 to 1 as its second argument")
        return node

    found = [node for node in tree.walk() if isinstance(node, exp.SafeDivide | exp.Anonymous)]
    # Innermost first, as a rewritten call keeps its arguments.
    for node in reversed(found):
        new = rewrite(node)
        if new is node:
            continue
        if node is tree:
            tree = new
        else:
            node.replace(new)
    return tree


def division(numerator: exp.Expr, divisor: exp.Expr, dialect: Dialect) -> exp.Expr:
    """A division of doubles that is NULL, not an error, where the divisor is 0."""
    top = paren(numerator) if dialect.divides_as_double else dialect.double(unparen(numerator))
    bottom = unparen(divisor)
    if not (
        isinstance(bottom, exp.Nullif) and isinstance(bottom.expression, exp.Literal) and bottom.expression.this == "0"
    ):
        bottom = exp.Nullif(this=bottom, expression=exp.Literal.number(0))
    quotient = exp.Div(this=top, expression=bottom)
    quotient.meta[_EXACT] = True
    return exp.Paren(this=quotient)


def divides_exactly(node: exp.Expr) -> bool:
    """Whether `node` was made by `division`, and needs no more care."""
    return _EXACT in node.meta


def parse_model(text: str, dialect: Dialect, names: Collection[str] = ()) -> exp.Expr:
    """The tree of an expression of the model. `names` are columns it may name without quotes.

    Raises `parse_error`, `forbidden`, `window_function`.
    """
    tree = _parse(text, dialect, names, comments=True)
    check_model_tree(tree, text)
    return tree


def parse_query(
    text: str, dialect: Dialect, names: Collection[str] = (), allowed_functions: Collection[str] = ()
) -> exp.Expr:
    """The tree of an expression of a query, holding nothing but listed nodes.

    Raises `parse_error`, `forbidden`, `window_function`.
    """
    tree = _parse(text, dialect, names, comments=False)
    check_query_tree(tree, text, allowed_functions, dialect.kept_aggregates)
    return tree


def column_parts(node: exp.Expr) -> list[exp.Identifier]:
    """The names of a column or dotted chain, outermost first: node, column, struct fields."""
    if isinstance(node, exp.Dot):
        return [*column_parts(node.this), node.expression]
    if isinstance(node, exp.Column):
        return [
            part for key in ("catalog", "db", "table", "this") if isinstance(part := node.args.get(key), exp.Identifier)
        ]
    return []


def columns(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Every outermost column reference, struct chains whole; of subqueries only their `outer_columns`."""
    stack: list[exp.Expr] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Query):
            yield from (column for column, _ in outer_columns(node))
            continue
        if isinstance(node, exp.Column) or (isinstance(node, exp.Dot) and column_parts(node)):
            yield node
            continue
        stack.extend(reversed(list(node.iter_expressions())))


def correlate(query: exp.Expr, meaning: Callable[[Sequence[exp.Identifier]], exp.Expr | None]) -> exp.Expr:
    """Swap, in place, the columns of a subquery that belong to the row around it for what they mean there.

    Such a column is qualified, and no FROM between it and the outside bears its qualifier. Where `meaning` returns
    None it stays as written. The swapped ones are the subquery's `outer_columns`.
    """
    for column in [c for c in query.find_all(exp.Column) if c.table]:
        whole: exp.Expr = column
        while isinstance(whole.parent, exp.Dot) and whole.arg_key == "this":
            whole = whole.parent
        parts = column_parts(whole)
        if not _ranges(column, query).isdisjoint(part.name for part in parts[:-1]):
            continue
        outer = meaning(parts)
        if outer is not None:
            outer.meta[_OUTER] = True
            whole.replace(outer)
    return query


def outer_columns(query: exp.Expr) -> list[tuple[exp.Expr, set[str]]]:
    """The columns that `correlate` swapped, each with the names of tables that would hide its qualifier."""
    return [(node, _ranges(node, query)) for node in query.walk() if _OUTER in node.meta]


def _ranges(node: exp.Expr, top: exp.Expr) -> set[str]:
    """The names of all FROM clauses that `node` stands under, up to `top`."""
    names: set[str] = set()
    while node is not top:
        assert node.parent is not None
        node = node.parent
        if isinstance(node, exp.Select):
            for clause in (node.args.get("from_"), *node.args.get("joins", ()), *node.args.get("laterals", ())):
                if clause is not None:
                    names.update(table.alias_or_name for table in _tables(clause))
    return names


def _tables(clause: exp.Expr) -> Iterator[exp.Expr]:
    """What a FROM, JOIN or LATERAL brings under a name, joins in brackets included."""
    if isinstance(clause, exp.From | exp.Join | exp.Paren):
        yield from _tables(clause.this)
    else:
        yield clause
    for join in clause.args.get("joins") or ():
        yield from _tables(join)


def replace(tree: exp.Expr, swap: Callable[[exp.Expr], exp.Expr | None]) -> exp.Expr:
    """`tree` with every node for which `swap` returns a tree replaced by it, not looking inside."""
    swapped = swap(tree)
    if swapped is not None:
        if tree.parent:
            tree.replace(swapped)
        return swapped
    for child in list(tree.iter_expressions()):
        replace(child, swap)
    return tree


def replaced(tree: exp.Expr, swap: Callable[[exp.Expr], exp.Expr | None]) -> exp.Expr:
    """`replace`, for a tree that may itself be swapped; detaches and consumes `tree`."""
    bracket = replace(exp.Paren(this=tree), swap)
    inner: exp.Expr = bracket.this
    inner.pop()
    return inner


def field_parts(text: str, dialect: Dialect) -> list[exp.Identifier] | None:
    """The names in a dotted field such as `orders."unit price"`, or None if it is anything else."""
    try:
        tokens = _name_tokens(_tokens(text, dialect), (), False)
    except InvalidQuery:
        return None
    parts: list[exp.Identifier] = []
    for i, token in enumerate(tokens):
        if i % 2:
            if token.token_type is not TokenType.DOT:
                return None
        elif token.token_type is TokenType.IDENTIFIER:
            parts.append(exp.to_identifier(token.text, quoted=True))
        elif _WORD.match(token.text):
            parts.append(exp.to_identifier(token.text, quoted=False))
        else:
            return None
    return parts if len(tokens) % 2 else None


def readable(tree: exp.Expr) -> exp.Expr:
    """Node names without the quotes that only keep their case, and own functions by their public names."""
    tree = tree.copy()
    for node in tree.walk():
        if isinstance(node, exp.Anonymous) and node.name in OWN_FUNCTIONS:
            node.set("this", OWN_FUNCTIONS[node.name])
        elif isinstance(node, exp.Column):
            for part in column_parts(node)[:-1]:
                if part.name.isidentifier():
                    part.set("quoted", False)
    return tree


def paren(tree: exp.Expr) -> exp.Expr:
    """`tree` safe to stand as an operand of anything."""
    atoms = exp.Column | exp.Literal | exp.Paren | exp.Func | exp.Placeholder | exp.Boolean | exp.Null | exp.Case
    if isinstance(tree, atoms) and not isinstance(tree, exp.Binary | exp.And | exp.Or):
        return tree
    return exp.Paren(this=tree)


def unparen(tree: exp.Expr) -> exp.Expr:
    """`tree` without the brackets around it."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree


def conjuncts(tree: exp.Expr) -> list[exp.Expr]:
    """The clauses of a chain of ANDs, brackets around chains ignored."""
    bare = unparen(tree)
    if isinstance(bare, exp.And):
        return [*conjuncts(bare.this), *conjuncts(bare.expression)]
    return [bare]


def conjunction(clauses: Iterable[exp.Expr]) -> exp.Expr:
    """All clauses, bracketed, joined by AND; there is at least one."""
    out: exp.Expr | None = None
    for clause in clauses:
        operand = exp.Paren(this=clause) if isinstance(clause, exp.Or | exp.Not | exp.Xor) else clause
        out = operand if out is None else exp.And(this=out, expression=operand)
    assert out is not None
    return out


_NEVER_BOOLEAN = (
    exp.Literal
    | exp.Add
    | exp.Sub
    | exp.Mul
    | exp.Div
    | exp.IntDiv
    | exp.Mod
    | exp.Neg
    | exp.DPipe
    | exp.Interval
    | exp.Null
    | exp.Tuple
    | exp.AggFunc
)
_STRING_FUNCTIONS = frozenset(
    """
    Concat ConcatWs Lower Upper Trim Substring Left Right Replace Length Initcap Reverse Repeat Pad SplitPart Format
    RegexpExtract RegexpReplace StrPosition String Chr Ascii TimeToStr ToChar Abs Round Ceil Floor Sqrt Exp Ln Log
    Sign DateTrunc TimestampTrunc Extract Year Month Day CurrentDate CurrentTimestamp DateAdd DateSub DateDiff
    """.split()  # noqa: SIM905
)


def is_boolean(tree: exp.Expr, column_is_boolean: Callable[[exp.Expr], bool]) -> bool:
    """Whether `tree` can stand as a condition; untold functions get the benefit of the doubt."""
    bare = unparen(tree)
    if isinstance(bare, exp.Boolean):
        return True
    if isinstance(bare, exp.Column) or (isinstance(bare, exp.Dot) and column_parts(bare)):
        return column_is_boolean(bare)
    if isinstance(bare, exp.Cast):
        return bool(bare.to.this == exp.DataType.Type.BOOLEAN)
    if isinstance(bare, exp.And | exp.Or):
        return is_boolean(bare.this, column_is_boolean) and is_boolean(bare.expression, column_is_boolean)
    if isinstance(bare, exp.Not):
        return is_boolean(bare.this, column_is_boolean)
    if isinstance(bare, exp.LogicalAnd | exp.LogicalOr):
        return True
    return not isinstance(bare, _NEVER_BOOLEAN) and type(bare).__name__ not in _STRING_FUNCTIONS
