"""`lkml`'s lexer, made to end: at a single `;` between tokens its own loop never moves on."""

from __future__ import annotations

from lkml.lexer import Lexer
from lkml.tokens import ExpressionBlockToken

__all__ = ["LoneSemicolon", "ProjectLexer"]


class LoneSemicolon(Exception):
    """A `;` that neither ends an expression nor stands in one."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class ProjectLexer(Lexer):
    """Raises `LoneSemicolon`; else what `lkml`'s lexer raises."""

    _in_expression = False

    def scan_expression_block(self) -> ExpressionBlockToken:
        self._in_expression = True
        try:
            return super().scan_expression_block()
        finally:
            self._in_expression = False

    def peek_multiple(self, length: int) -> str:
        found = super().peek_multiple(length)
        if length == 2 and found[0] == ";" and found != ";;" and not self._in_expression:
            raise LoneSemicolon(self.line_number)
        return found
