"""Names as a dialect understands them: how bare ones fold, which must be quoted to mean what they say."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect, NormalizationStrategy
from sqlglot.errors import SqlglotError

from ktx_daemon._reserved_words import reserved_words

__all__ = ["case_insensitive", "folded", "folds", "is_bare", "quoted_if_needed", "written"]

_UPPER = (NormalizationStrategy.UPPERCASE, NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE)
_LOWER = (NormalizationStrategy.LOWERCASE, NormalizationStrategy.CASE_INSENSITIVE)
# These fold bare names and then compare case: a mixed-case name must be quoted there.
_FOLDING = (NormalizationStrategy.LOWERCASE, NormalizationStrategy.UPPERCASE)

_LONGEST_NAME = 128  # of any supported database; longer ones are quoted, and kept out of the cache


def folded(name: exp.Expr, dialect: Dialect, *, column: bool = False) -> str:
    """The name as the database stores it: quoted names stay, others follow the dialect.

    BigQuery folds columns only: names of tables and datasets are case-sensitive there.
    """
    text = written(name)
    if isinstance(name, exp.Identifier) and name.quoted:
        return text
    if type(dialect).__name__ == "BigQuery":
        return text.lower() if column else text
    strategy = dialect.normalization_strategy
    if strategy in _UPPER:
        return text.upper()
    return text.lower() if strategy in _LOWER else text


def written(name: exp.Expr) -> str:
    """The name without quotes. sqlglot keeps the marks of T-SQL's temporary tables apart from it."""
    return f"{'##' if name.args.get('global_') else '#' if name.args.get('temporary') else ''}{name.name}"


def case_insensitive(dialect: Dialect) -> bool:
    """Whether two names differing only in case denote one table."""
    return dialect.normalization_strategy in (
        NormalizationStrategy.CASE_INSENSITIVE,
        NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE,
    )


def is_bare(name: str, dialect: str) -> bool:
    """Whether `name` written without quotes denotes the object of exactly this name.

    Not if it holds other characters than letters, digits and `_`, is reserved, or folds to another name.
    """
    return len(name) <= _LONGEST_NAME and _is_bare(name, dialect)


@lru_cache(maxsize=16_384)
def _is_bare(name: str, dialect: str) -> bool:
    if not name.isascii() or not name.isidentifier() or name.upper() in reserved_words(dialect):
        return False
    reader = Dialect.get_or_raise(dialect)
    if name.lower() in reader.generator_class.RESERVED_KEYWORDS or folds(name, dialect):
        return False
    return _reads_as_name(name, reader)


def folds(name: str, dialect: str) -> bool:
    """Whether the database takes `name`, written without quotes, for one in other case."""
    strategy = Dialect.get_or_raise(dialect).normalization_strategy
    return strategy in _FOLDING and name != (name.upper() if strategy in _UPPER else name.lower())


def quoted_if_needed(name: str, dialect: str) -> str:
    """`name` as SQL of the dialect."""
    if is_bare(name, dialect):
        return name
    return exp.to_identifier(name, quoted=True).sql(dialect=dialect)


def _reads_as_name(name: str, reader: Dialect) -> bool:
    try:
        (statement,) = reader.parse(f"SELECT {name} FROM {name}")
    except (SqlglotError, ValueError):
        return False
    if not isinstance(statement, exp.Select) or len(statement.expressions) != 1:
        return False
    column, table = statement.expressions[0], statement.find(exp.Table)
    return isinstance(column, exp.Column) and column.name == name and table is not None and table.name == name
