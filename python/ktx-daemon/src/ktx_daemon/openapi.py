"""The OpenAPI document, derived from the capability table and the models behind it.

Responses are described as they are sent: a field without a default is required (see `models`).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import ktx_daemon
from ktx_daemon.capabilities import Capability
from ktx_daemon.errors import STATUS

__all__ = ["document"]

_REF = "#/components/schemas/{model}"
_ALWAYS = (400, 401, 403, 503)
_PER_CALL = (408, 413, 415, 422, 500, 504)
_DETAIL = {
    "type": "object",
    "required": ["type", "loc", "msg"],
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
    },
    "additionalProperties": False,
}
_ERROR = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {
        "detail": {"anyOf": [{"type": "string"}, {"type": "array", "items": _DETAIL}]},
        "code": {"type": "string", "enum": sorted(STATUS)},
    },
    "additionalProperties": False,
}


def document(rows: Sequence[Capability], *, with_token: bool) -> dict[str, Any]:
    """An OpenAPI 3.1 document for the given rows and the server's own routes."""
    models = {row.command: (_model(row, row.request), _model(row, row.response)) for row in rows}
    wanted: list[tuple[type[BaseModel], Any]] = []
    for request, response in models.values():
        wanted += [(request, "validation"), (response, "serialization")]
    refs, definitions = models_json_schema(wanted, ref_template=_REF)
    paths: dict[str, Any] = {
        "/health": {"get": _get("health", "Whether the daemon serves", _HEALTH, security=[])},
        "/info": {"get": _get("info", "What this daemon is", _INFO)},
    }
    for row in rows:
        request, response = models[row.command]
        paths[row.route] = {
            "post": {
                "operationId": row.command.replace("-", "_"),
                "summary": row.summary,
                "requestBody": {"required": True, "content": _json(refs[request, "validation"])},
                "responses": {
                    "200": {"description": "The answer", "content": _json(refs[response, "serialization"])},
                    **_errors(_ALWAYS + _PER_CALL + _extra(row)),
                },
            }
        }
    if with_token:
        paths["/shutdown"] = {"post": _post_shutdown()}
        paths["/openapi.json"] = {"get": _get("openapi", "This document", {"type": "object"})}
    components: dict[str, Any] = {"schemas": {**definitions.get("$defs", {}), "Error": _ERROR}}
    result: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "ktx-daemon", "version": ktx_daemon.VERSION},
        "paths": paths,
        "components": components,
    }
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        result["security"] = [{"token": []}]
    return result


def _model(row: Capability, name: str) -> type[BaseModel]:
    model = getattr(importlib.import_module(row.module), name)
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


def _extra(row: Capability) -> tuple[int, ...]:
    return (502,) if row.secrets else ()


def _get(name: str, summary: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": "The answer", "content": _json(schema)}, **_errors((401, 403, 503))},
        **more,
    }


def _post_shutdown() -> dict[str, Any]:
    stopping = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"const": "stopping"}},
        "additionalProperties": False,
    }
    return {
        "operationId": "shutdown",
        "summary": "End the daemon",
        "responses": {"202": {"description": "It ends", "content": _json(stopping)}, **_errors((401, 403, 503))},
    }


def _errors(statuses: Sequence[int]) -> dict[str, Any]:
    error = {"$ref": _REF.format(model="Error")}
    return {
        str(status): {
            "description": ", ".join(sorted(code for code, value in STATUS.items() if value == status))
            or "limit_exceeded",
            "content": _json(error),
        }
        for status in sorted(set(statuses))
    }


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_HEALTH = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "healthy"}, "version": {"type": "string"}},
    "additionalProperties": False,
}
_INFO = {
    "type": "object",
    "required": [
        "status",
        "nonce",
        "pid",
        "version",
        "cli_version",
        "features",
        "python",
        "uptime_seconds",
        "code_execution",
    ],
    "properties": {
        "status": {"const": "healthy"},
        "nonce": {"type": "string"},
        "pid": {"type": "integer"},
        "version": {"type": "string"},
        "cli_version": {"type": ["string", "null"]},
        "features": {"type": "array", "items": {"enum": ["core", "local-embeddings"]}},
        "python": {"type": "string"},
        "uptime_seconds": {"type": "number"},
        "code_execution": {"type": "boolean"},
    },
    "additionalProperties": False,
}
