"""Random models with rows, and random queries over them.

Everything follows from a `random.Random`, so one seed names one case. Values are chosen so that equal numbers print
equal on every database: whole numbers, multiples of a quarter, ASCII text, whole seconds.
"""

from .queries import Query, random_query
from .worlds import Shape, World, random_world

__all__ = ["Query", "Shape", "World", "random_query", "random_world"]
