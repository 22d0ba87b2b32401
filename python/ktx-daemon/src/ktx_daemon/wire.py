"""JSON in, JSON out: strict RFC 8259 objects, compact answers.

Strict means UTF-8 without BOM or lone surrogates, no `NaN` or `Infinity`, a bounded depth, and an object at
the root. Used for standard input and HTTP bodies alike, so both refuse the same bytes in the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from ktx_daemon.errors import DaemonError, Detail, LimitExceeded, RequestInvalid
from ktx_daemon.limits import MAX_JSON_DEPTH, MAX_RESPONSE_BYTES
from ktx_daemon.redaction import clean

__all__ = ["encode", "parse_object", "validate", "validation_details"]

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SQUARE = bytes.maketrans(b"{}", b"[]")
_MAX_DETAILS = 100


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises `DaemonError("invalid_json")` in the words of the standard decoder, `LimitExceeded` (422) for
    nesting, `RequestInvalid` if the root is not an object.
    """
    if _deeper_than(body, MAX_JSON_DEPTH):
        raise LimitExceeded(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels", status=422)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise DaemonError("invalid_json", _standard_complaint(body)) from None
    if not isinstance(value, dict):
        detail = {"type": "dict_type", "loc": ["body"], "msg": "Input should be an object"}
        raise RequestInvalid("the request must be a JSON object", [detail])
    return value


def validate[Model: BaseModel](model: type[Model], value: Mapping[str, Any]) -> Model:
    """`value` as `model`; raises `RequestInvalid` with every fault, or what a validator raised on purpose."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        details = validation_details(exc, prefix=("body",))
        raise RequestInvalid(_sentence(details), details) from None


def validation_details(error: ValidationError, prefix: tuple[str, ...] = ()) -> list[Detail]:
    """pydantic's errors as `{type, loc, msg}`, without the input values."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {
            "type": fault["type"],
            "loc": [*prefix, *(part if isinstance(part, int) else clean(part) for part in fault["loc"])],
            "msg": clean(fault["msg"]),
        }
        for fault in faults[:_MAX_DETAILS]
    ]


def encode(response: object) -> bytes:
    """`response` (a model by the rule of `models`, or a mapping) as compact UTF-8; non-finite numbers are null.

    Raises `LimitExceeded` if it is larger than an answer may be.
    """
    if isinstance(response, BaseModel):
        body = response.__pydantic_serializer__.to_json(response, exclude_unset=True, by_alias=True)
    else:
        body = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    if len(body) > MAX_RESPONSE_BYTES:
        raise LimitExceeded(f"the answer is larger than {MAX_RESPONSE_BYTES} bytes; ask for less at once")
    return body


def _deeper_than(body: bytes, depth: int) -> bool:
    """Whether brackets outside strings nest deeper, found without recursion or a Python loop per byte."""
    if max(body.count(b"["), body.count(b"{")) == 0:
        return False
    brackets = _STRING.sub(b"", body).translate(_SQUARE, _NOT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    # What is left is nested deeper, or unbalanced: the decoder has better words for the latter.
    return b"[]" in brackets or brackets.count(b"[") > depth


def _standard_complaint(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
        json.loads(text, parse_constant=_refuse_constant)
    except ValueError as exc:  # JSONDecodeError, UnicodeDecodeError
        return clean(str(exc))
    # orjson refuses what the standard decoder lets through: lone surrogates and numbers beyond a double.
    return "Invalid JSON: a lone surrogate in a string, or a number out of range"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON (RFC 8259)")


def _sentence(details: list[Detail]) -> str:
    shown = []
    for detail in details[:5]:
        loc = detail["loc"]
        assert isinstance(loc, list)
        where = ".".join(str(part) for part in loc[1:]) or "request"
        shown.append(f"{where}: {detail['msg']}")
    rest = f"; and {len(details) - 5} more" if len(details) > 5 else ""
    return "; ".join(shown) + rest
