"""One call to the server: identity proved first, errors typed, retried where it is safe."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ClientError, Interrupted
from ..messages import plain
from ..version import API_VERSION, addon_version
from .transport import JSON_LIMIT, READ_SECONDS, BrokenReply, NotProved, Reply, Transport

if TYPE_CHECKING:
    from ..server_process import Endpoint

RETRIES, RETRY_SECONDS = 5, 60.0
"""A safe call is repeated so often and for so long at most."""
PROOF_SECONDS = 3.0
"""Time for the answer to /health, which needs no work."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0
_LOOK_AROUND = 0.1
_TRANSIENT = frozenset({429, 502, 503})
_FINAL = frozenset({"worker_degraded", "stopping"})
"""Answers with a transient status that no waiting will change."""


class Api:
    """A connection to one server, for one thread.

    Args:
        transport: of that thread.
        endpoint: where; its token is sent only over a connection on which the server has proved itself.
        stop: set when Blender shuts down; ends every waiting.
        is_cancelled: whether the user cancelled what the calls are made for; also ends every waiting.
    """

    def __init__(
        self,
        transport: Transport,
        endpoint: Endpoint,
        stop: threading.Event,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._stop = stop
        self._is_cancelled = is_cancelled
        self._proved = False

    def prove(self) -> None:
        """Make the server prove that it is GTR, speaks our API and knows the token. Sends no secret.

        Raises:
            ClientError: ``server_off``, ``no_response``, ``not_gtr``, ``incompatible`` or ``auth``.
        """
        self._proved = False
        nonce = secrets.token_hex(16)
        values: dict[str, object] = {"port": self.endpoint.port}
        try:
            reply = self._transport.send("GET", f"{self.endpoint.url}/health?nonce={nonce}", seconds=PROOF_SECONDS)
        except BrokenReply:
            raise
        except ClientError as error:
            if error.code == "bad_reply":
                raise ClientError("not_gtr", details=str(error), values={**values, "looks_like": ""}) from error
            raise
        answer = _json_object(reply.body)
        if answer is None or answer.get("product") != "gtr":
            values["looks_like"] = _looks_like(reply)
            raise ClientError("not_gtr", details=f"HTTP {reply.status}", status=reply.status, values=values)
        if reply.status == 503:
            raise ClientError("server_off", details="the server is stopping", status=503)
        _check_api(answer.get("api"))
        expected = hmac.new(self.endpoint.token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(str(answer.get("proof", "")).encode(), expected.encode()):
            raise ClientError("auth", details="the server could not prove that it knows the key")
        self._proved = True

    def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Like :meth:`call`, for answers that are a JSON object."""
        answer = _json_object(self.call(method, path, **options).body)
        if answer is None:
            raise ClientError("bad_reply", values={"reason": "it is not a JSON object"})
        return answer

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
        retry: bool = True,
        limit: int = JSON_LIMIT,
        seconds: float = READ_SECONDS,
        polling: bool = False,
    ) -> Reply:
        """One call; errors of the connection and "try later" are repeated when ``retry`` is on.

        Args:
            method: HTTP method.
            path: below ``/api/v1``.
            body: JSON body.
            data: raw body, instead of ``body``.
            headers: further headers.
            accept: statuses that are answers although they are not 2xx.
            retry: only for calls that may be done twice.
            limit: largest answer, bytes.
            seconds: time for one attempt.
            polling: the call is a long poll (see Transport).

        Raises:
            ClientError: with the server's problem code, or one of Transport's.
        """
        sent = {"Authorization": f"Bearer {self.endpoint.token}", "User-Agent": f"gtr-blender/{addon_version()}"}
        sent.update(headers or {})
        if body is not None:
            data = json.dumps(body, allow_nan=False).encode()
            sent["Content-Type"] = "application/json"
        began = time.monotonic()
        attempt = 0
        while True:
            try:
                reply = self._send_proved(
                    method, path, headers=sent, body=data, limit=limit, seconds=seconds, polling=polling
                )
                if 200 <= reply.status < 300 or reply.status in accept:
                    return reply
                raise problem_error(reply)
            except ClientError as error:
                over = attempt >= RETRIES or time.monotonic() - began > RETRY_SECONDS
                if not retry or over or not _is_transient(error):
                    raise
                self.pause(attempt, error)
            attempt += 1

    def _send_proved(self, method: str, path: str, **options: Any) -> Reply:
        for _ in range(2):
            if not self._proved:
                self.prove()
            try:
                return self._transport.send(method, self.endpoint.url + path, connect=False, **options)
            except NotProved:
                # The server closed the idle connection, or another process has the port by now.
                self._proved = False
        raise ClientError("bad_reply", values={"reason": "the server closes every connection"})

    def pause(self, attempt: int, error: ClientError) -> None:
        """Wait before attempt ``attempt + 1``: as long as the server says, else exponentially with jitter.

        Raises:
            Interrupted: Blender shuts down, or the user cancelled.
        """
        wait = error.retry_after
        if wait is None:
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * random.uniform(0.75, 1.0)
        end = time.monotonic() + min(wait, _LONGEST_WAIT)
        while (left := end - time.monotonic()) > 0:
            if self._stop.wait(min(left, _LOOK_AROUND)) or self._is_cancelled():
                raise Interrupted


def problem_error(reply: Reply) -> ClientError:
    """The typed error of an answer that is not a success (problem+json of RFC 9457, or anything else)."""
    problem = _json_object(reply.body) or {}
    code, detail = problem.get("code"), problem.get("detail")
    if not isinstance(code, str):
        code = {401: "auth", 404: "not_found", 410: "incompatible", 429: "queue_full", 507: "disk_full"}.get(
            reply.status, "internal"
        )
    view, text = _place(problem, code)
    waiting = problem.get("waiting")
    return ClientError(
        code,
        text or (plain(detail) if isinstance(detail, str) else ""),
        f"HTTP {reply.status}, request {plain(str(problem.get('request_id', '?')))}",
        view=view,
        status=reply.status,
        retry_after=_seconds(reply.headers.get("retry-after", "")),
        values={"waiting": waiting} if isinstance(waiting, int) else None,
    )


def _place(problem: Mapping[str, Any], code: str) -> tuple[int | None, str]:
    """Index of the image at fault and the sentence about it, when the server pointed at one."""
    entries = problem.get("errors")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("code") != code:
            continue
        parts = str(entry.get("pointer", "")).split("/")
        if len(parts) > 2 and parts[1] == "images" and parts[2].isdigit():
            return int(parts[2]), plain(str(entry.get("detail", "")))
    return None, ""


def _is_transient(error: ClientError) -> bool:
    if error.code in _FINAL or isinstance(error, Interrupted):
        return False
    return error.code in ("server_off", "no_response") or error.status in _TRANSIENT


def _seconds(text: str) -> float | None:
    return float(text) if text.isdigit() else None


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _looks_like(reply: Reply) -> str:
    text = (reply.headers.get("server", "") + " " + reply.body[:4096].decode("latin-1")).lower()
    for name in ("gradio", "comfyui", "jupyter", "airtunes", "ollama", "stable diffusion"):
        if name in text:
            return f" (looks like {name.replace('airtunes', 'AirPlay')})"
    return " (a web page)" if "<html" in text else ""


def _check_api(offered: Any) -> None:
    wanted = ".".join(map(str, API_VERSION))
    values: dict[str, object] = {"addon": addon_version(), "wanted": wanted, "server": "?"}
    try:
        low, high = (tuple(int(part) for part in offered[end].split(".")) for end in ("min", "max"))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ClientError("incompatible", values=values) from error
    if not low <= API_VERSION <= high:
        values["server"] = plain(f"{offered['min']} to {offered['max']}")
        raise ClientError("incompatible", values=values)
