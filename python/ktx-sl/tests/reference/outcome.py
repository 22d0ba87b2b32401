"""The two ways of not answering."""

from __future__ import annotations


class Refused(Exception):
    """The rules say that this query has no answer."""

    def __init__(self, code: str, why: str = "") -> None:
        super().__init__(code, why)
        self.code, self.why = code, why


class Undetermined(Exception):
    """The rules allow several answers (or none is written down): nothing to compare with."""
