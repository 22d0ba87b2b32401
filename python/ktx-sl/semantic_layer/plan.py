"""The plan: what will be computed, as a value.

Measure nodes (one per owner: rows, keys and leaves) are joined to a spine (the
union of key sets). A new kind of measure is one more node, or one more field of a
node's rows; the spine and the final SELECT do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from .graph import Edge, Path
from .measures import Leaf
from .timegrain import Bucket

__all__ = ["Dimension", "Exists", "MeasureNode", "Order", "Output", "Plan", "RowFilter", "Rows"]


@dataclass(frozen=True, slots=True, eq=False)
class Dimension:
    """A logical column, cut into time buckets if `bucket` is set. `alias` is its output name."""

    node: str
    column: exp.Expr
    field: str
    alias: str
    bucket: Bucket | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RowFilter:
    """One clause over logical columns of `nodes`, kept if TRUE."""

    text: str
    tree: exp.Expr
    nodes: frozenset[str]
    location: str = "/filters"


@dataclass(frozen=True, slots=True, eq=False)
class Exists:
    """Some row of `root`, linked by `link` (which starts at the tested node), satisfies all clauses."""

    root: str
    link: Path
    clauses: tuple[RowFilter, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of `node` that pass the filters, with what its to-one paths reach."""

    node: str
    paths: tuple[Path, ...]
    filters: tuple[RowFilter, ...] = ()
    exists: tuple[Exists, ...] = ()

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The joins to make, each after the one it hangs on."""
        entered: dict[str, Edge] = {}
        for path in self.paths:
            for edge in path.edges:
                entered.setdefault(edge.head, edge)
        return tuple(entered.values())


@dataclass(frozen=True, slots=True, eq=False)
class MeasureNode:
    """Leaves of one owner, grouped by the dimensions at `keys` (positions in the plan's)."""

    rows: Rows
    keys: tuple[int, ...]
    leaves: tuple[tuple[str, Leaf], ...]
    """(column name, leaf)."""
    in_spine: bool
    """Whether its groups are result rows, or it is only looked up."""


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """A measure column: a tree over leaf placeholders."""

    alias: str
    tree: exp.Expr


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A sort key: an output's alias, or a hidden tree over leaf placeholders."""

    key: str | exp.Expr
    direction: Literal["asc", "desc"] = "asc"
    nulls: Literal["first", "last"] = "last"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that SQL generation needs. `plain` says one SELECT over one `Rows` is provably equal."""

    dimensions: tuple[Dimension, ...]
    nodes: tuple[MeasureNode, ...]
    population: tuple[Rows, ...]
    outputs: tuple[Output, ...]
    having: tuple[exp.Expr, ...]
    order: tuple[Order, ...]
    limit: int
    plain: bool
