"""The package's refusals.

    SemanticLayerError (ValueError)
    ├── InvalidModel      a source, overlay, join or SQL body cannot be used
    ├── InvalidQuery      the query does not say something computable
    ├── Unsupported       the dialect has no exact form
    └── InternalError     the engine's own output failed its check: a bug

Invariant: every refusal has a stable `code` from `CODES`. Prose may improve,
except for the fragments listed beside a code, which callers match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = [
    "CODES",
    "Candidate",
    "InternalError",
    "InvalidModel",
    "InvalidQuery",
    "SemanticLayerError",
    "Unsupported",
    "edit_distance",
    "nearest",
]

# code -> fragments of the message that callers match.
CODES: Mapping[str, tuple[str, ...]] = {
    "invalid_query": (),
    "empty_query": ("does not reference any source",),
    "no_source": ("does not reference any source",),
    "unknown_source": ("unknown source '",),
    "unknown_column": ("does not exist in source", "Available:"),
    "unknown_segment": ("unknown segment '",),
    "not_dotted": ("dotted",),
    "segment_unused": ("no matching",),
    "ambiguous": ("ambiguous",),
    "hidden_column": ("hidden",),
    "not_a_measure": ("not a pre-defined measure", "no aggregate"),
    "not_aggregated": (),
    "nested_aggregate": ("Nested aggregation is not supported",),
    "window_function": ("Window functions",),
    "circular": ("Circular dependency",),
    "no_owner": ("references multiple independent sources",),
    "fan_out": ("cannot safely reach '",),
    "asymmetric": ("Asymmetric dimension grain",),
    "no_path": ("No join path from '",),
    "ambiguous_path": ("Ambiguous join path",),
    "no_head": (),
    "to_many_filter": ("one_to_many join",),
    "unreachable_filter": ("not reachable via many_to_one",),
    "mixed_filter": ("mixes aggregate and non-aggregate",),
    "not_boolean": (),
    "parse_error": (),
    "forbidden": (),
    "filter_unsupported": (),
    "bad_granularity": (),
    "too_fine": (),
    "not_time": (),
    "bad_order": ("not a recognized measure or dimension",),
    "unsupported": (),
    "unknown_dialect": ("Unknown SQL dialect",),
    "undefined_target": ("is not defined",),
    "invalid_model": (),
    "internal_error": (),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to send instead: `value`, why it fits, and its edit distance from what was sent."""

    value: str
    why: str
    distance: int = 0


class SemanticLayerError(ValueError):
    """A refusal: `code` is stable, `message` is for people.

    `location` is a JSON pointer into the query (`/measures/0`) or a model path
    (`orders.measures.revenue`). `candidates` holds at most ten values that can be
    sent instead, best first. `repair` is None or a whole query, as a dict, that
    the engine has itself planned and printed.
    """

    def __init__(
        self,
        code: str,
        message: str,
        location: str | None = None,
        candidates: Sequence[Candidate] = (),
        repair: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message, location, candidates, repair)  # args mirror the signature: it pickles
        assert code in CODES, code
        self.code = code
        self.message = message
        self.location = location
        self.candidates: tuple[Candidate, ...] = tuple(candidates)[:10]
        self.repair: dict[str, Any] | None = None if repair is None else dict(repair)
        self.subject: str | None = None
        """The name in the query that the candidates can stand for; repairs look for it."""

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...], dict[str, Any]]:
        args = (self.code, self.message, self.location, self.candidates, self.repair)
        return type(self), args, {"subject": self.subject}

    def located(self, location: str) -> Self:
        """This error with `location` filled in where it had none."""
        if self.location is None:
            self.location = location
        return self

    def about(self, subject: str) -> Self:
        """This error with its subject."""
        self.subject = subject
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: code, message, location, candidates, repair."""
        return {
            "code": self.code,
            "message": self.message,
            "location": self.location,
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "repair": self.repair,
        }


class InvalidModel(SemanticLayerError):
    """A source, overlay, join or SQL body cannot be used as it stands."""


class InvalidQuery(SemanticLayerError):
    """The query does not say something computable without a wrong number."""


class Unsupported(SemanticLayerError):
    """The dialect has no form that returns exactly the defined value."""


class InternalError(SemanticLayerError):
    """The engine's output failed its own check. Report it with the query and sources."""


def edit_distance(left: str, right: str) -> int:
    """Edits (insert, delete, replace, swap of neighbours) that turn `left` into `right`, case ignored."""
    a, b = left.casefold(), right.casefold()
    if a == b:
        return 0
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, previous = previous, current
    return previous[-1]


def nearest(word: str, options: Iterable[str], why: str, limit: int = 10) -> tuple[Candidate, ...]:
    """The `limit` options closest to `word`, nearest first, then by name.

    A dotted option is also measured by its last part, so `revnue` finds `orders.revenue`.
    """

    def distance(option: str) -> int:
        whole = edit_distance(word, option)
        return min(whole, edit_distance(word, option.rpartition(".")[2])) if "." not in word else whole

    ranked = sorted({(distance(option), option) for option in options})
    return tuple(Candidate(option, why, measured) for measured, option in ranked[:limit])
