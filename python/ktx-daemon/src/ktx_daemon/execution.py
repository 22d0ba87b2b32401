"""Run one capability on one body, and say how it ended. The same path for both forms of the daemon.

`execute` never raises for what a handler does: it returns `Success` with the encoded answer, or `Failure`
with code, status and redacted words.
"""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pydantic

from ktx_daemon import wire
from ktx_daemon.capabilities import Capability
from ktx_daemon.errors import STATUS, DaemonError, Detail, LimitExceeded
from ktx_daemon.redaction import redact, sayable, secrets_of_url

__all__ = ["Failure", "Handler", "Success", "execute", "failure_of", "handler_of", "quieten", "request_model_of"]

type Handler = Callable[..., object]

_MAX_ADVICE = 6_000  # bytes as ASCII JSON: over HTTP it is a header


@dataclass(frozen=True, slots=True)
class Success:
    """The JSON answer."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal or a crash. `kind` is the exception's class when its own words were not written for callers."""

    code: str
    status: int
    message: str
    details: tuple[Detail, ...] | None = None
    kind: str | None = None
    advice: Mapping[str, object] | None = None
    """What to send instead, for programs; see `DaemonError`. It holds nothing that `redact` would alter."""

    @property
    def detail(self) -> object:
        """`detail` of an HTTP error body."""
        if self.details is not None:
            return list(self.details)
        return f"request failed: {self.kind}: {self.message}" if self.kind else self.message

    @property
    def advice_text(self) -> str | None:
        """`advice` as compact ASCII JSON."""
        return None if self.advice is None else _compact(self.advice)

    @property
    def line(self) -> str:
        """The line of the command line on standard error."""
        return f"{self.kind}: {self.message}" if self.kind else self.message


def execute(row: Capability, body: bytes, handler: Handler | None = None) -> Success | Failure:
    """Parse `body`, call the handler of `row` (or the one given) and encode what it returns."""
    secrets: tuple[str, ...] = ()
    try:
        value = wire.parse_object(body)
        secrets = tuple(
            secret for key in row.secrets if isinstance(text := value.get(key), str) for secret in secrets_of_url(text)
        )
        request = wire.validate(request_model_of(row), value)
        del value
        return Success(wire.encode((handler or handler_of(row))(request)))
    except Exception as exc:
        return failure_of(exc, secrets)


def request_model_of(row: Capability) -> type[pydantic.BaseModel]:
    model = getattr(importlib.import_module(row.module), row.request)
    assert isinstance(model, type)
    assert issubclass(model, pydantic.BaseModel)
    return model


def handler_of(row: Capability) -> Handler:
    handler: Handler = getattr(importlib.import_module(row.module), row.handler)
    return handler


def failure_of(exc: BaseException, secrets: Iterable[str] = ()) -> Failure:
    """The code, status and words of an exception; the words are redacted, input values left out."""
    secrets = tuple(secrets)
    if isinstance(exc, DaemonError):
        details = None if exc.details is None else tuple(_redact_detail(detail, secrets) for detail in exc.details)
        advice = None if exc.advice is None else _fitting(exc.advice, secrets)
        return Failure(exc.code, exc.status, redact(exc.message, secrets), details, advice=advice)
    if isinstance(exc, RecursionError | MemoryError):
        return _of(LimitExceeded("the request is nested too deeply or needs too much memory"))
    if isinstance(exc, pydantic.ValidationError):  # raised inside a handler; its text would quote the input
        faults = wire.validation_details(exc)
        message = "; ".join(f"{'.'.join(map(str, _loc(fault)))}: {fault['msg']}" for fault in faults[:5])
        return Failure("rejected", STATUS["rejected"], redact(message, secrets))
    if isinstance(exc, ModuleNotFoundError):
        message = f"the Python package {exc.name!r} is not installed; reinstall the ktx runtime"
        return Failure("missing_dependency", STATUS["missing_dependency"], redact(message, secrets))
    text = redact(str(exc), secrets)
    if type(exc).__module__.startswith("sqlglot."):
        return Failure("invalid_sql", STATUS["invalid_sql"], text)
    if isinstance(exc, ValueError):
        return Failure("rejected", STATUS["rejected"], text or type(exc).__name__)
    return Failure("internal_error", STATUS["internal_error"], text, kind=type(exc).__name__)


def quieten() -> None:
    """Keep libraries from writing request values to standard error: sqlglot logs the SQL it dislikes."""
    warnings.simplefilter("ignore")
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)
    logging.lastResort = None


def _of(error: DaemonError) -> Failure:
    return Failure(error.code, error.status, error.message)


def _fitting(advice: Mapping[str, object], secrets: tuple[str, ...]) -> dict[str, object]:
    """The parts that may be said and that fit, the small ones first; a part is left out whole."""
    kept: dict[str, object] = {}
    for key, value in advice.items():
        if sayable(value, secrets) and len(_compact({**kept, key: value})) <= _MAX_ADVICE:
            kept[key] = value
    return kept


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _loc(fault: Detail) -> Iterable[object]:
    loc = fault["loc"]
    assert isinstance(loc, list)
    return loc


def _redact_detail(detail: Detail, secrets: tuple[str, ...]) -> Detail:
    return {
        key: redact(value, secrets)
        if isinstance(value, str)
        else [redact(part, secrets) if isinstance(part, str) else part for part in value]
        if isinstance(value, list)
        else value
        for key, value in detail.items()
    }
