"""An independent evaluator of the semantic layer: rows in, rows out.

It reads models and queries as plain mappings and tables as lists of mappings, walks them row by row and knows no SQL
engine. It imports nothing of `semantic_layer`: what both get wrong, they must get wrong separately. Where the rules
leave a result open it raises `Undetermined`, so that a comparison never rests on a guess.
"""

from .evaluate import Answer, evaluate
from .outcome import Refused, Undetermined

__all__ = ["Answer", "Refused", "Undetermined", "evaluate"]
