"""The API as an OpenAPI 3.1 document, made from the routes and the pydantic models."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask
from pydantic import BaseModel

from gtr_core import __version__
from gtr_server.problems import ProblemCode
from gtr_server.schemas import (
    EmptyRequest,
    MasksRequest,
    RecolourRequest,
    ReconstructRequest,
    RefineRequest,
    ShutdownRequest,
)

BODIES: dict[str, type[BaseModel]] = {
    "reconstruct": ReconstructRequest,
    "refine": RefineRequest,
    "recolour": RecolourRequest,
    "masks": MasksRequest,
    "shutdown": ShutdownRequest,
    "cancel": EmptyRequest,
    "finish": EmptyRequest,
    "unload": EmptyRequest,
    "restart_worker": EmptyRequest,
}
SUBMITTING = {"reconstruct", "refine", "recolour", "masks"}
SUCCESS = {
    "has_blob": [200], "put_blob": [200, 201], "reconstruct": [202], "refine": [202], "recolour": [202], "masks": [202],
    "delete_job": [204], "preview": [200, 204, 304], "artifact": [200, 206, 304], "cancel": [200, 202],
    "finish": [200, 202], "renew_lease": [204], "release_lease": [204], "unload": [202], "restart_worker": [202],
    "shutdown": [202],
}  # fmt: skip
"""Statuses of success; 200 for endpoints that are not listed."""
PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "instance", "request_id", "retryable", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": [str(code) for code in ProblemCode]},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def document(app: Flask, api: str) -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {"Problem": PROBLEM_SCHEMA}
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix(api))
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(app, rule.endpoint, method, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "GTR model server", "version": __version__},
        "servers": [{"url": api}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(app: Flask, endpoint: str, method: str, path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    text = (app.view_functions[endpoint].__doc__ or endpoint.replace("_", " ")).strip().splitlines()[0]
    statuses = SUCCESS.get(endpoint, [200])
    failed = {"description": "problem", "content": _content("Problem", "application/problem+json")}
    operation: dict[str, Any] = {
        "operationId": endpoint if method != "HEAD" else f"{endpoint}_head",
        "summary": text,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ],
        "responses": {**{str(status): {"description": "success"} for status in statuses}, "default": failed},
    }
    if endpoint in SUBMITTING:
        key = {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}}
        operation["parameters"].append(key)
    if endpoint == "health":
        operation["security"] = []
    if endpoint == "put_blob":
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": binary}}
    if endpoint in BODIES:
        model = BODIES[endpoint]
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
        operation["requestBody"] = {"content": _content(model.__name__, "application/json")}
    return operation


def _content(name: str, media_type: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
