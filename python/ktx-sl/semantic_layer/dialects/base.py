"""The standard forms, and the hooks a dialect overrides.

Forms are written as SQL in the dialect itself, with `:x`-style holes that are
filled with trees (`Dialect.form`); text is never joined to text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect as SqlglotDialect
from sqlglot.errors import ErrorLevel, UnsupportedError
from sqlglot.generator import Generator

from ..errors import Unsupported

__all__ = ["Dialect", "Kind"]

# What a time column holds: a calendar date, a wall-clock time, a point on the time line, or untold.
Kind = Literal["date", "datetime", "instant", "unknown"]

# Reserved in (nearly) every dialect: unquoted, none of these reads as a column everywhere.
_RESERVED = frozenset(
    """
    all alter analyze and any array as asc authorization between binary both by case cast check collate column
    constraint create cross current_date current_time current_timestamp current_user default delete desc distinct do
    drop else end except exists false fetch for foreign from full grant group having in inner insert intersect into
    is join leading left like limit localtime localtimestamp natural not null offset on only or order outer over
    partition primary qualify references revoke right rollback commit row rows select session_user set some table tablesample then
    to trailing true union unique update user using values when where window with
    """.split()  # noqa: SIM905
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
_INSTANT = re.compile(
    r"timestamp_?tz|timestamp_?ltz|timestamp\s*(\(\d+\))?\s*with\s+(local\s+)?time\s+zone|datetimeoffset"
)


class Dialect:
    """One warehouse's SQL. Instances are immutable and shared."""

    reserved: frozenset[str] = frozenset()
    """Words to quote besides the common ones, lower-case."""
    null_safe_form = ""
    """TRUE if holes `:a` and `:b` are equal or both NULL; "" for the operator sqlglot prints."""
    null_safe_operator = ""
    """The spelling of that operator, where sqlglot's own is not wanted."""
    double_type = "DOUBLE"
    divides_as_double = False
    """Whether `/` on two integers already yields a fraction."""
    has_filter = False
    """Whether aggregates take `FILTER (WHERE ...)`."""
    has_nulls_order = True
    """Whether ORDER BY takes NULLS FIRST/LAST."""
    splits_dotted_names = False
    """Whether a quoted name with a dot reads as two names, so that none may be given."""
    correlates = True
    """Whether EXISTS may refer to the outer row; if not, IN over the link's columns is used."""
    percentile_form: str | None = None
    """With holes `:x` (a double) and `:p`; None where no exact interpolation exists."""
    zone_form: str | None = None
    """Turns instant `:x` into the wall-clock time of zone `:zone`; None to refuse."""
    trunc_forms: Mapping[str, str] = {}
    """Per unit (second minute hour day week month quarter year), from `:x`; week starts Monday."""
    add_days_form = ":x + INTERVAL ':n' DAY"
    subtract_months_form = ""
    """Date `:x` minus an integer expression `:n` of months."""
    month_form = "EXTRACT(MONTH FROM :x)"
    timestamp_type = "TIMESTAMP"
    kept_aggregates: frozenset[str] = frozenset()
    """Aggregates of one value, lower-case, that sqlglot would print as another function."""
    materializes_shared_bodies = False
    """Whether a SELECT body read more than once must be computed once, for the optimizer's sake."""
    settings: Mapping[str, Any] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def sqlglot(self) -> SqlglotDialect:
        """The parser and printer."""
        return SqlglotDialect.get_or_raise(self.name)

    @cached_property
    def _forms(self) -> dict[str, exp.Expr]:
        return {}

    def form(self, sql: str, **holes: exp.Expr) -> exp.Expr:
        """The tree of `sql`, each `:name` replaced by a copy of that tree."""
        tree = self._forms.get(sql)
        if tree is None:
            # Bracketed, since some dialects read a leading `:x` as an alias.
            tree = self._forms[sql] = self.sqlglot.parse(f"SELECT ({sql})")[0].expressions[0].this  # type: ignore[union-attr]

        def fill(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Placeholder) and node.name in holes:
                return holes[node.name].copy()
            return node

        return tree.copy().transform(fill, copy=False)

    def print(self, tree: exp.Expr) -> str:
        """One line of SQL, for people and keys."""
        return self._printer(dialect=self.sqlglot, comments=False, unsupported_level=ErrorLevel.IGNORE).generate(tree)

    def print_exactly(self, tree: exp.Expr) -> str:
        """One line of SQL. Raises `Unsupported` where sqlglot would drop what the dialect cannot say."""
        printer = self._printer(dialect=self.sqlglot, comments=False, unsupported_level=ErrorLevel.RAISE)
        try:
            return printer.generate(tree)
        except UnsupportedError as error:
            raise Unsupported("unsupported", f"{self.name} cannot say this exactly: {error}") from error

    @cached_property
    def _printer(self) -> type[Generator]:
        """sqlglot's generator, with this dialect's own spellings."""
        base: type[Generator] = self.sqlglot.generator_class
        if not self.null_safe_operator:
            return base
        operator = self.null_safe_operator
        transforms = {**base.TRANSFORMS, exp.NullSafeEQ: lambda printer, node: printer.binary(node, operator)}
        return type(f"{base.__name__}Printer", (base,), {"TRANSFORMS": transforms})

    def quotes(self, name: str) -> bool:
        """Whether `name` reads as a name only when quoted."""
        return not _PLAIN.match(name) or name.lower() in _RESERVED or name.lower() in self.reserved

    def kind(self, data_type: str | None) -> Kind:
        """What a column declared with the database type `data_type` holds."""
        if not data_type or not data_type.strip():
            return "unknown"
        text = data_type.strip().lower()
        if text in {"date", "date32"}:
            return "date"
        return "instant" if _INSTANT.match(text) else "datetime"

    def null_safe(self, a: exp.Expr, b: exp.Expr) -> exp.Expr:
        """TRUE if equal or both NULL, else FALSE."""
        if not self.null_safe_form:
            return exp.NullSafeEQ(this=a.copy(), expression=b.copy())
        return self.form(self.null_safe_form, a=a, b=b)

    def double(self, value: exp.Expr) -> exp.Expr:
        """`value` as a double."""
        return exp.Cast(this=value, to=exp.DataType.build(self.double_type, dialect=self.sqlglot))

    def percentile(self, value: exp.Expr, fraction: exp.Expr) -> exp.Expr:
        """Linear interpolation over the non-NULL values. Raises `Unsupported`."""
        if self.percentile_form is None:
            raise self.unsupported("an exact percentile or median", "use avg, min or max, or compute it in the source")
        return self.form(self.percentile_form, x=self.double(value), p=fraction)

    def in_zone(self, value: exp.Expr, zone: str) -> exp.Expr:
        """Instant `value` as wall-clock time in `zone`. Raises `Unsupported`."""
        if self.zone_form is None:
            raise self.unsupported("time zones", "convert in the source, or drop time_zone")
        return self.form(self.zone_form, x=value, zone=exp.Literal.string(zone))

    def trunc(self, unit: str, value: exp.Expr, kind: Kind) -> exp.Expr:
        """The start of `value`'s `unit`; weeks start on Monday. A date from `day` up, else a timestamp."""
        form = self.trunc_forms.get(unit)
        if form is None:
            raise self.unsupported(f"granularity {unit!r}", "use another granularity")
        return self.form(form, x=value)

    def add_days(self, date: exp.Expr, days: int) -> exp.Expr:
        """`date` moved by `days`, as a date. `days` may be negative."""
        return self.form(self.add_days_form, x=date, n=exp.Literal.number(days))

    def subtract_months(self, date: exp.Expr, months: exp.Expr) -> exp.Expr:
        """`date`, a first of a month, moved back by an integer expression of months, as a date."""
        if not self.subtract_months_form:
            raise self.unsupported("fiscal periods", "use month, quarter or year")
        return self.form(self.subtract_months_form, x=date, n=exp.paren(months, copy=False))

    def month(self, date: exp.Expr) -> exp.Expr:
        """Month number of `date`, 1 to 12, as an integer."""
        return self.form(self.month_form, x=date)

    def lower(self, tree: exp.Expr) -> exp.Expr:
        """Last rewriting of an aggregate call before it is printed."""
        return tree

    def unsupported(self, what: str, instead: str) -> Unsupported:
        """The refusal for something this dialect has no exact form of."""
        return Unsupported("unsupported", f"{self.name} has no exact form of {what}; {instead}")
