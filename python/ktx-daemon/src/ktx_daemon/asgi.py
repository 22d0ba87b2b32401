"""The vocabulary of ASGI, over FastAPI alone: the framework below it is FastAPI's to choose.

Types follow the ASGI specification, "HTTP & WebSocket ASGI message format".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.exceptions import HTTPException
from fastapi.requests import Request
from fastapi.responses import JSONResponse, Response

__all__ = [
    "ASGIApp",
    "ClientGone",
    "JSONResponse",
    "Message",
    "Receive",
    "Request",
    "Response",
    "RoutingError",
    "Scope",
    "Send",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

RoutingError: type[Exception] = HTTPException.__mro__[1]
"""What the router raises for an unknown path or method: `status_code`, `headers`. FastAPI's own is a subclass of it."""


class ClientGone(Exception):
    """The client closed the connection before its body had arrived."""
