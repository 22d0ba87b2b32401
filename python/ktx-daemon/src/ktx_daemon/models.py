"""Base models of the wire.

Requests ignore unknown keys unless the capability says otherwise, and their errors never quote input.

Responses follow one rule, which the encoder and the OpenAPI document both use: **a field without a default
is always sent (null included); a field with a default is sent only if the handler set it.** So `x?` of the
contract is `x: T | None = None`, and a nullable one that must appear is `x: T | None`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Request", "Response"]


class Request(BaseModel):
    """The body of one capability's request."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, protected_namespaces=())


class Response(BaseModel):
    """The body of one capability's answer, or a part of it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)
