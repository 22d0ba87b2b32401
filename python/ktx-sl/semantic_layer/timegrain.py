"""Time buckets.

Invariant: a bucket is named by its start: a date from `day` up, else a timestamp.
Nothing follows a session's settings: week start, fiscal year and zone come from
the options. To add a grain, add one row to `GRAINS`: its rank (the length it sorts
by, in seconds) and how its start is made of the dialect's `trunc`, `add_days`,
`month` and `subtract_months`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlglot import exp

from .dialects import Dialect, Kind
from .errors import Candidate, InvalidQuery, nearest
from .models import SourceColumn

__all__ = ["GRAINS", "WEEKDAYS", "Bucket", "Grain", "check_granularity"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Bucket:
    """How to cut one column. `zone` is set for instants that are shifted first."""

    granularity: str
    kind: Kind
    zone: str | None = None
    week_start: int = 0
    """Days after Monday."""
    fiscal_start: int = 1
    """Month number, 1 to 12."""

    def start(self, value: exp.Expr, dialect: Dialect) -> exp.Expr:
        """The start of `value`'s bucket. Raises `unsupported`."""
        if self.zone is not None:
            shifted = dialect.in_zone(value, self.zone)
            return GRAINS[self.granularity].start(
                Bucket(self.granularity, "datetime", None, self.week_start, self.fiscal_start), shifted, dialect
            )
        return GRAINS[self.granularity].start(self, value, dialect)


@dataclass(frozen=True, slots=True)
class Grain:
    """`rank` is the bucket's length in seconds, about; `start` makes its start."""

    rank: int
    start: Callable[[Bucket, exp.Expr, Dialect], exp.Expr]


def _unit(unit: str, bucket: Bucket, value: exp.Expr, dialect: Dialect) -> exp.Expr:
    return dialect.trunc(unit, value, bucket.kind)


def _week(bucket: Bucket, value: exp.Expr, dialect: Dialect) -> exp.Expr:
    """A week starting k days after Monday is the Monday week of k days before, moved on by k."""
    if not bucket.week_start:
        return dialect.trunc("week", value, bucket.kind)
    day = dialect.trunc("day", value, bucket.kind)
    monday = dialect.trunc("week", dialect.add_days(day, -bucket.week_start), "date")
    return dialect.add_days(monday, bucket.week_start)


def _fiscal(months: int, bucket: Bucket, value: exp.Expr, dialect: Dialect) -> exp.Expr:
    """The month's start, less the months since a multiple of `months` from the fiscal start."""
    start = dialect.trunc("month", value, bucket.kind)
    since = exp.Paren(this=exp.Add(this=dialect.month(start), expression=exp.Literal.number(12 - bucket.fiscal_start)))
    return dialect.subtract_months(start, exp.Mod(this=since, expression=exp.Literal.number(months)))


_DAY = 86_400

GRAINS: dict[str, Grain] = {
    "second": Grain(1, partial(_unit, "second")),
    "minute": Grain(60, partial(_unit, "minute")),
    "hour": Grain(3_600, partial(_unit, "hour")),
    "day": Grain(_DAY, partial(_unit, "day")),
    "week": Grain(7 * _DAY, _week),
    "month": Grain(30 * _DAY, partial(_unit, "month")),
    "quarter": Grain(91 * _DAY, partial(_unit, "quarter")),
    "fiscal_quarter": Grain(91 * _DAY, partial(_fiscal, 3)),
    "year": Grain(365 * _DAY, partial(_unit, "year")),
    "fiscal_year": Grain(365 * _DAY, partial(_fiscal, 12)),
}


def check_granularity(written: str, column: SourceColumn, ref: str, kind: Kind) -> str:
    """The grain's name. Raises `bad_granularity`, `not_time`, `too_fine`."""
    name = written.strip().lower()
    if name not in GRAINS:
        raise InvalidQuery(
            "bad_granularity",
            f"granularity {written!r} of {ref!r} is unknown; use one of {', '.join(GRAINS)}",
            candidates=nearest(written, GRAINS, "a granularity"),
        )
    if column.type != "time" and column.role != "time":
        raise InvalidQuery(
            "not_time",
            f"column {ref!r} is of type {column.type}, not time; drop granularity {name!r}",
            candidates=[Candidate(ref, "the column as it is")],
        )
    floor = GRAINS.get((column.natural_granularity or "").strip().lower())
    finest = max(floor.rank if floor else 0, _DAY if kind == "date" else 0)
    if GRAINS[name].rank < finest:
        usable = [grain for grain in GRAINS if GRAINS[grain].rank >= finest]
        held = column.natural_granularity or "day"
        raise InvalidQuery(
            "too_fine",
            f"granularity {name!r} is finer than {ref!r} holds ({held}); use {usable[0]} or coarser",
            candidates=[Candidate(grain, "coarse enough") for grain in usable],
        )
    return name
