"""Every bound on what a caller may send or receive, in one place. Standard library only.

Sizes are bytes, times are seconds. A request over one of these is refused with `limit_exceeded`
(time: `timeout`), never truncated.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "MAX_FILES",
    "MAX_ITEMS",
    "MAX_JSON_DEPTH",
    "MAX_RESPONSE_BYTES",
    "MAX_SOURCES",
    "MAX_SQL_BYTES",
    "MAX_SQL_NESTING",
    "MAX_STDIN_BYTES",
    "MAX_TABLES",
    "SQL_ITEM_SECONDS",
    "Limits",
]

MEBIBYTE = 1024 * 1024

MAX_STDIN_BYTES = 64 * MEBIBYTE
MAX_RESPONSE_BYTES = 64 * MEBIBYTE
MAX_JSON_DEPTH = 64  # the root counts as 1
MAX_SQL_BYTES = MEBIBYTE
MAX_SQL_NESTING = 200
MAX_ITEMS = 50_000
MAX_TABLES = 50_000
MAX_FILES = 20_000
MAX_SOURCES = 5_000
SQL_ITEM_SECONDS = 5.0  # one item of a batch


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the HTTP server that its operator may move."""

    max_body_bytes: int = 16 * MEBIBYTE
    max_concurrency: int = 32
    body_read_seconds: float = 30.0
    header_read_seconds: float = 30.0
