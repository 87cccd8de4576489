"""Routes about the server itself: identity, leases, life."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Flask, Response, jsonify, request

from gtr_core import __version__
from gtr_core.model.library import models_folder
from gtr_core.presets import PRESETS
from gtr_server import limits, models
from gtr_server.openapi import document
from gtr_server.parsing import check, parse_json
from gtr_server.problems import Problem, ProblemCode
from gtr_server.schemas import EmptyRequest, ShutdownRequest
from gtr_server.services import Services

API_RANGE = {"min": "1.0", "max": "1.0"}
NONCE = re.compile(r"[0-9a-f]{32}")
Answer = Response | tuple[Any, int] | tuple[Any, int, dict[str, str]]


def read_body(model: type[Any]) -> Any:
    """The JSON body of the current request; an absent one counts as ``{}``."""
    data = request.get_data(cache=False)
    return check(model, parse_json(data) if data else {})


def add_to(app: Flask, services: Services, api: str) -> None:
    """Register the routes."""

    def route(method: str, path: str, handler: Callable[..., Answer]) -> None:
        app.add_url_rule(api + path, handler.__name__, handler, methods=[method], provide_automatic_options=False)

    def health() -> Answer:
        nonce = request.args.get("nonce", "")
        body: dict[str, Any] = {"status": "ok", "product": "gtr", "api": API_RANGE}
        if nonce:
            if not NONCE.fullmatch(nonce):
                raise Problem(ProblemCode.BAD_REQUEST, "The nonce is 32 hexadecimal digits.")
            body["proof"] = hmac.new(services.token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
        return jsonify(body)

    def server() -> Answer:
        supervisor = services.supervisor
        return jsonify(
            product="gtr",
            version=__version__,
            api=API_RANGE,
            instance_id=services.instance_id,
            device=supervisor.device or None,
            worker={"state": supervisor.state, "reason": supervisor.reason},
            limits={
                "images": [min(p.min_views for p in PRESETS.values()), limits.MAX_IMAGES],
                "pixels": limits.MAX_PIXELS,
                "bytes": limits.MAX_BLOB_BYTES,
                "queue": limits.MAX_QUEUED,
            },
            jobs=services.store.active(),
            clients=services.leases.count(),
            models=models.listing(),
            models_folder=str(models_folder()),
        )

    def list_models() -> Answer:
        return jsonify(models.listing())

    def openapi() -> Answer:
        return jsonify(document(app, api))

    def renew_lease(client: UUID) -> Answer:
        if not services.leases.renew(str(client)):
            raise Problem(ProblemCode.BUSY, "Too many clients.")
        return "", 204

    def release_lease(client: UUID) -> Answer:
        services.leases.release(str(client))
        return "", 204

    def unload() -> Answer:
        read_body(EmptyRequest)
        if services.store.active():
            raise Problem(ProblemCode.BUSY, "A job is queued or running.")
        services.supervisor.unload()
        return {}, 202

    def restart_worker() -> Answer:
        read_body(EmptyRequest)
        services.supervisor.restart()
        return {}, 202

    def shutdown() -> Answer:
        body: ShutdownRequest = read_body(ShutdownRequest)
        jobs, clients = services.store.active(), services.leases.count()
        if not body.force and (jobs or clients > 1):
            extra = {"jobs": jobs, "clients": clients}
            raise Problem(ProblemCode.BUSY, "Jobs or other clients still need the server.", extra=extra)
        services.lifetime.stopping.set()
        return {}, 202

    route("GET", "/health", health)
    route("GET", "/server", server)
    route("GET", "/models", list_models)
    route("GET", "/openapi.json", openapi)
    route("PUT", "/clients/<uuid:client>", renew_lease)
    route("DELETE", "/clients/<uuid:client>", release_lease)
    route("POST", "/server/unload", unload)
    route("POST", "/server/restart-worker", restart_worker)
    route("POST", "/server/shutdown", shutdown)
