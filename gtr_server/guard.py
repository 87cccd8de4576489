"""One gate for every request, before any byte of a body is touched: route, host, origin, token, version, size, type."""

from __future__ import annotations

import hmac
import re

from flask import Request
from werkzeug.exceptions import HTTPException

from gtr_server.limits import MAX_BLOB_BYTES, MAX_JSON_BYTES
from gtr_server.problems import Problem, ProblemCode
from gtr_server.services import Services

OPEN_ENDPOINT = "health"
"""The one route that needs no token."""
SIGN_OF_LIFE = {"health", "server", "list_models", "renew_lease", "release_lease", "shutdown", "unload", "openapi"}
"""Routes whose use does not count as work."""
VERSION = re.compile(r"/api/v([0-9]{1,6})(/|$)")


class Guard:
    """Checks in a fixed order; each raises a :class:`Problem`."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def check(self, request: Request) -> None:
        """Let the request pass, or raise."""
        self._route(request)
        self._host(request)
        self._origin(request)
        if request.endpoint != OPEN_ENDPOINT:
            self._token(request)
        self._version(request)
        self._stopping()
        self._body(request)
        if request.endpoint not in SIGN_OF_LIFE:
            self.services.lifetime.work()

    def _route(self, request: Request) -> None:
        if request.method == "OPTIONS":
            raise Problem(ProblemCode.FORBIDDEN_ORIGIN, "This server answers no preflight requests.")
        error = request.routing_exception
        if isinstance(error, HTTPException) and error.code == 405:
            raise Problem(ProblemCode.METHOD_NOT_ALLOWED, "This address does not know this method.")
        if error is not None and not VERSION.match(request.path):
            raise Problem(ProblemCode.NOT_FOUND, "There is nothing at this address.")

    def _host(self, request: Request) -> None:
        # Behind DNS rebinding the Host header is the only thing that still names the attacker.
        host = request.environ.get("HTTP_HOST", "")
        if not host or "," in host:
            raise Problem(ProblemCode.BAD_REQUEST, "Exactly one Host header is needed.")
        if host not in (f"127.0.0.1:{self.services.port}", f"localhost:{self.services.port}"):
            raise Problem(ProblemCode.WRONG_HOST, "This server is not the host that was asked for.")
        if "X-Forwarded-Host" in request.headers or "Forwarded" in request.headers:
            raise Problem(ProblemCode.WRONG_HOST, "This server does not work behind a proxy.")
        if not request.environ.get("REQUEST_URI", "/").startswith("/"):
            raise Problem(ProblemCode.WRONG_HOST, "Absolute addresses are not accepted.")

    def _origin(self, request: Request) -> None:
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
            raise Problem(ProblemCode.FORBIDDEN_ORIGIN, "Web pages may not use this server.")

    def _token(self, request: Request) -> None:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, b"Bearer " + self.services.token.encode()):
            raise Problem(ProblemCode.AUTH, "The key is missing or wrong.")

    def _version(self, request: Request) -> None:
        version = VERSION.match(request.path)
        if version and version[1] != "1":
            raise Problem(ProblemCode.INCOMPATIBLE, f"This server speaks API 1, not {version[1]}.")
        if request.routing_exception is not None:
            raise Problem(ProblemCode.NOT_FOUND, "There is nothing at this address.")

    def _stopping(self) -> None:
        if self.services.lifetime.stopping.is_set():
            raise Problem(ProblemCode.STOPPING, "The server is stopping.", extra={"product": "gtr"})

    def _body(self, request: Request) -> None:
        length = request.content_length
        if request.method == "PUT" and request.endpoint == "put_blob":
            if length is None:
                raise Problem(ProblemCode.LENGTH_REQUIRED, "Content-Length is needed.")
            _limit(length, MAX_BLOB_BYTES)
            _type(request, "application/octet-stream")
        elif length:
            _limit(length, MAX_JSON_BYTES)
            _type(request, "application/json")


def _limit(length: int, limit: int) -> None:
    if length > limit:
        text = f"The body has {length} bytes; the limit is {limit}."
        raise Problem(ProblemCode.BODY_TOO_LARGE, text, extra={"limit": limit})


def _type(request: Request, wanted: str) -> None:
    if request.mimetype != wanted:
        raise Problem(ProblemCode.MEDIA_TYPE, f"The body must be {wanted}.")
