"""Failures with a stable code, and the one table from code to HTTP status. Standard library only.

    DaemonError                 any expected failure; `code` is a key of STATUS
    ├── RequestInvalid          invalid_request with `details` [{type, loc, msg}]
    ├── LimitExceeded           limit_exceeded; 400, or the 413 and 422 of body and JSON depth
    └── Timeout                 timeout

The text of an error never holds a value out of the request that may be secret: capabilities choose their
words, `redaction` guards them once more where they leave the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

__all__ = ["STATUS", "DaemonError", "Detail", "LimitExceeded", "RequestInvalid", "Timeout"]

type Detail = Mapping[str, object]

STATUS: Mapping[str, int] = MappingProxyType(
    {
        "invalid_source": 400,
        "invalid_query": 400,
        "invalid_sql": 400,
        "unknown_dialect": 400,
        "unsupported_driver": 400,
        "invalid_connection": 400,
        "invalid_texts": 400,
        "rejected": 400,
        "limit_exceeded": 400,
        "unauthorized": 401,
        "forbidden_host": 403,
        "forbidden_origin": 403,
        "not_found": 404,
        "method_not_allowed": 405,
        "request_timeout": 408,
        "unsupported_media_type": 415,
        "invalid_json": 422,
        "invalid_request": 422,
        "internal_error": 500,
        "provider_mismatch": 500,
        "connection_failed": 502,
        "busy": 503,
        "missing_extra": 503,
        "missing_dependency": 503,
        "model_unavailable": 503,
        "timeout": 504,
    }
)


class DaemonError(ValueError):
    """An expected failure: one sentence of what is wrong, where, and what to do.

    `advice` is the same for programs, of a refused query: `reason` (the engine's own code), `location`,
    `candidates` [{value, why}] and `repair` (a whole query that is answered), each where there is one.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Sequence[Detail] | None = None,
        advice: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = None if details is None else tuple(details)
        self.advice = advice

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def __str__(self) -> str:
        return self.message


class RequestInvalid(DaemonError):
    """The body is JSON but not the request model; `details` are pydantic's, without input values."""

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__("invalid_request", message, details=details)


class LimitExceeded(DaemonError):
    """A bound of `limits` is passed. `status` is 400 unless the body (413) or JSON depth (422) is meant."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__("limit_exceeded", message)
        self._status = status

    @property
    def status(self) -> int:
        return self._status


class Timeout(DaemonError):
    """The capability's deadline passed; its work was stopped."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout", f"the request took longer than {seconds:g} s and was stopped; send less at once")
