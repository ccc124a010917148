"""JSON documents are the project's own types as msgspec writes them, and a Python client reads the same types back.

`described` puts a type's schema into the OpenAPI document, beside those of request bodies.
"""

from __future__ import annotations

import json
import math
from pkgutil import resolve_name
from typing import Any

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

_SCHEMA = "#/components/schemas/{name}"
_encode = msgspec.json.Encoder().encode


def document(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(_encode(value), status, headers, "application/json")


def echoed(value: Any, *, headers: dict[str, str] | None = None) -> Response:
    """What a client sent, with more beside it. Its numbers may be of any size; NaN and infinity, no JSON, are null."""
    return Response(json.dumps(_finite(value)), 200, headers, "application/json")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def described(type_: type, what: str, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: what it answers with. The type is resolved when the OpenAPI document is made."""
    # By its name: FastAPI checks the document as JSON.
    name = f"{type_.__module__}:{type_.__qualname__}"
    return {status: {"description": what, "content": {"application/json": {"schema": {"x-type": name}}}}}


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made when it is first asked for."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        _resolve_types(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _resolve_types(schema: dict[str, Any]) -> None:
    places: list[dict[str, Any]] = []
    _collect(schema["paths"], places)
    types = [resolve_name(place.pop("x-type")) for place in places]
    schemas, components = msgspec.json.schema_components(types, ref_template=_SCHEMA)
    for place, resolved in zip(places, schemas, strict=True):
        place.update(resolved)
    schema.setdefault("components", {}).setdefault("schemas", {}).update(components)


def _collect(node: Any, places: list[dict[str, Any]]) -> None:
    if isinstance(node, dict):
        if "x-type" in node:
            places.append(node)
        else:
            for value in node.values():
                _collect(value, places)
    elif isinstance(node, list):
        for value in node:
            _collect(value, places)
