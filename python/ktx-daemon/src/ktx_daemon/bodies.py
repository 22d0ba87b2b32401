"""Reading the body of a POST: content type first, then size while it arrives, within a time limit."""

from __future__ import annotations

import asyncio
import contextlib

from ktx_daemon.asgi import ClientGone, Message, Request
from ktx_daemon.errors import DaemonError, LimitExceeded
from ktx_daemon.limits import Limits

__all__ = ["drain", "read_json_body"]

_DRAIN_SECONDS = 30.0
_TOO_LARGE = "the request body is larger than {} bytes; send less at once"


async def read_json_body(request: Request, limits: Limits) -> bytes:
    """The body of a request that declares `application/json`.

    Raises `DaemonError` `unsupported_media_type`, `request_timeout`, `limit_exceeded` (413), and
    `ClientGone`. A declared length over the limit is refused before a byte is read.
    """
    _check_content_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_body_bytes:
        raise LimitExceeded(_TOO_LARGE.format(limits.max_body_bytes), status=413)
    try:
        async with asyncio.timeout(limits.body_read_seconds):
            return await _read(request, limits.max_body_bytes)
    except TimeoutError:
        raise DaemonError("request_timeout", f"the body did not arrive within {limits.body_read_seconds:g} s") from None


async def drain(request: Request) -> None:
    """Discard what the client still sends, so that it can read an early answer instead of a reset connection."""
    if "expect" in request.headers:  # it waits for our word before sending
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while True:
                message: Message = await request.receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message: Message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise LimitExceeded(_TOO_LARGE.format(limit), status=413)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _check_content_type(request: Request) -> None:
    types = request.headers.getlist("content-type")
    encodings = request.headers.getlist("content-encoding")
    if len(types) != 1 or not _is_json(types[0]) or any(value.strip().lower() != "identity" for value in encodings):
        raise DaemonError(
            "unsupported_media_type", "send the body as Content-Type: application/json in UTF-8, without encoding"
        )


def _is_json(content_type: str) -> bool:
    media_type, *parameters = content_type.split(";")
    if media_type.strip().lower() != "application/json":
        return False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            return False
    return True
