"""The Flask application: guard before, problem+json after, the routes in between."""

from __future__ import annotations

import logging
import re
import secrets
import sqlite3
import time

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable

from gtr_server import job_routes, server_routes
from gtr_server.guard import Guard
from gtr_server.problems import Problem, ProblemCode
from gtr_server.services import Services

log = logging.getLogger(__name__)

API = "/api/v1"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HTTP_CODES = {400: ProblemCode.BAD_REQUEST, 404: ProblemCode.NOT_FOUND, 405: ProblemCode.METHOD_NOT_ALLOWED}


def create_app(services: Services) -> Flask:
    """The WSGI application of one server."""
    app = Flask("gtr_server", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.config["MAX_CONTENT_LENGTH"] = None  # the guard and waitress know the limits
    guard = Guard(services)

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        g.began = time.monotonic()
        guard.check(request)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        seconds = time.monotonic() - g.began
        log.log(
            logging.DEBUG if request.method in ("GET", "HEAD") else logging.INFO,
            "%s %s -> %d in %.3f s, request %s",
            request.method, request.endpoint, response.status_code, seconds, g.request_id,
        )  # fmt: skip
        return response

    app.register_error_handler(Problem, answer)
    app.register_error_handler(sqlite3.OperationalError, _storage)
    app.register_error_handler(OSError, _storage)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)
    server_routes.add_to(app, services, API)
    job_routes.add_to(app, services, API)
    return app


def answer(problem: Problem) -> Response:
    """The problem as a response."""
    response = jsonify(problem.document(request.path, g.request_id))
    response.status_code = problem.status
    response.content_type = "application/problem+json"
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    if problem.code is ProblemCode.AUTH:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _storage(error: Exception) -> Response:
    full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(error, "errno", 0) in (28, 122)
    if full:
        return answer(Problem(ProblemCode.DISK_FULL, "Disk is full."))
    return _unexpected(error)


def _http(error: HTTPException) -> Response:
    if isinstance(error, RequestedRangeNotSatisfiable):
        response = answer(Problem(ProblemCode.RANGE, "The file does not have these bytes."))
        if error.length is not None:
            response.headers["Content-Range"] = f"bytes */{error.length}"
        return response
    return answer(Problem(HTTP_CODES.get(error.code or 400, ProblemCode.BAD_REQUEST), "The request cannot be read."))


def _unexpected(error: Exception) -> Response:
    log.error("Request %s failed", g.request_id, exc_info=error)
    return answer(Problem(ProblemCode.INTERNAL, "Something unexpected failed. The server's log says more."))
