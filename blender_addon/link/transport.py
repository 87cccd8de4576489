"""HTTP requests that always end: bounded in time and size, no proxies, no redirects, breakable from outside."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from ..errors import ClientError, Interrupted
from ..packages import requests

CONNECT_SECONDS, READ_SECONDS = 2.0, 30.0
"""Time-outs of a connect and of one read; the read is longer than the longest poll (20 s)."""
FAREWELL_SECONDS = 5.0
"""Longest call once Blender shuts down."""
OVERDUE_SECONDS = 0.5
"""A call is cut off when it has been seen to be late for so long: a process that stood still reads its answer first."""
JSON_LIMIT = 4 * 1024 * 1024
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Reply:
    """An answer, completely read.

    Args:
        status: HTTP status.
        headers: by lower-case name.
        body: at most as long as the request's limit.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class BrokenReply(ClientError):  # noqa: N818 - what it carries
    """The answer stopped in the middle; ``reply`` is what had come."""

    def __init__(self, error: ClientError, reply: Reply) -> None:
        super().__init__(error.code, error.text, error.details, status=reply.status)
        self.reply = reply


class NotProved(Exception):  # noqa: N818 - a state, not a fault: prove, then go on
    """The call would have opened a new connection, on which nobody has proved who he is yet."""


class Transport:
    """One ``requests.Session`` for one worker thread.

    A secret may only travel over a connection on which the server has proved its identity: calls with
    ``connect=False`` reuse that connection or raise :class:`NotProved`.

    ``break_call``, ``break_poll`` and ``break_overdue_call`` may be called from other threads: they close the
    socket, so that the worker's blocked read returns at once.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._session: Any = None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._deadline: float | None = None
        self._late_since: float | None = None
        self._polling = False
        self._wake = False
        self._cut = False
        self._may_connect = True
        self._connect_refused = False

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = JSON_LIMIT,
        seconds: float = READ_SECONDS,
        polling: bool = False,
        connect: bool = True,
    ) -> Reply:
        """Send one request and read its whole answer.

        Args:
            method: HTTP method.
            url: absolute URL.
            headers: request headers.
            body: request body.
            limit: largest answer, bytes.
            seconds: time for the whole call, however slowly the bytes drip.
            polling: ``break_poll`` may end this call.
            connect: a new connection may be opened.

        Raises:
            ClientError: ``server_off`` (no connection), ``no_response`` (time-out), ``bad_reply`` (too large,
                redirect, encoded); :class:`BrokenReply` when part of the answer had come.
            NotProved: a new connection is needed and ``connect`` is off.
            Interrupted: Blender shuts down, or ``break_poll`` was called.
        """
        self._may_connect, self._connect_refused = connect, False
        self._begin(seconds, polling=polling)
        try:
            response = self._request(method, url, headers, body)
            data = bytearray()
            try:
                _refuse_tricks(response, limit)
                self._read(response, data, limit)
                if self._cut:
                    # An answer that we cut off ourselves can look complete: its end is the end of the connection.
                    raise ConnectionError("the answer was cut off")
            except (OSError, HTTPException) as error:
                raise self._broken(error, _reply(response, data)) from error
            finally:
                _give_back(response)
            return _reply(response, data)
        except (requests().RequestException, OSError, ValueError) as error:
            raise self._explain(error) from error
        finally:
            self._end()

    def break_call(self) -> None:
        """End the call that is under way, whatever it is; an idle connection stays, for the farewell."""
        with self._lock:
            if self._deadline is not None:
                self._shut()

    def break_poll(self) -> None:
        """End the long poll that is under way, or else the next one, so that its caller looks around."""
        with self._lock:
            self._wake = True
            if self._polling:
                self._shut()

    def break_overdue_call(self) -> None:
        """End the call that is under way if it takes longer than it may (a server that drips its headers)."""
        with self._lock:
            moment = time.monotonic()
            if self._deadline is None or moment <= self._deadline:
                return
            self._late_since = moment if self._late_since is None else self._late_since
            if moment - self._late_since >= OVERDUE_SECONDS:
                self._shut()

    def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    # --- inside -----------------------------------------------------------------------------------------------------

    def _begin(self, seconds: float, *, polling: bool) -> None:
        if self._stop.is_set():
            seconds = min(seconds, FAREWELL_SECONDS)  # a lease to release, nothing to wait for
        with self._lock:
            self._deadline, self._late_since = time.monotonic() + seconds, None
            if polling and self._wake:
                self._wake = False
                raise Interrupted
            self._polling, self._cut = polling, False

    def _end(self) -> None:
        with self._lock:
            self._deadline, self._polling = None, False

    def _shut(self) -> None:
        self._cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _request(self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None) -> Any:
        if self._session is None:
            self._session = self._new_session()
        read = min(READ_SECONDS, max(0.1, (self._deadline or 0) - time.monotonic()))
        return self._session.request(
            method,
            url,
            data=body,
            headers={"Accept-Encoding": "identity", **(headers or {})},
            timeout=(CONNECT_SECONDS, read),
            allow_redirects=False,
            stream=True,
        )

    def _new_session(self) -> Any:
        session = requests().Session()
        # HTTP_PROXY must not see loopback traffic, let alone the key.
        session.trust_env = False
        for scheme in ("http", "https"):
            manager = session.get_adapter(f"{scheme}://").poolmanager
            pool_class = manager.pool_classes_by_scheme[scheme]
            connection_class = type("WatchedConnection", (_watched(self), pool_class.ConnectionCls), {})
            pool = type("WatchedPool", (pool_class,), {"ConnectionCls": connection_class})
            manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, scheme: pool}
        return session

    def _check_connect(self) -> None:
        if not self._may_connect:
            self._connect_refused = True
            raise ConnectionError("a new connection is not proved")

    def _watch(self, connected: socket.socket) -> None:
        with self._lock:
            self._socket = connected

    def _read(self, response: Any, data: bytearray, limit: int) -> None:
        # read1 returns what one receive brought: a dripping server cannot hide behind a large read.
        source = response.raw._original_response
        declared = response.headers.get("Content-Length", "")
        expected = int(declared) if declared.isdigit() and response.request.method != "HEAD" else 0
        while True:
            chunk = source.read1(_CHUNK) if not source.isclosed() else b""
            if not chunk:
                break
            data += chunk
            if len(data) > limit:
                raise ClientError("bad_reply", values={"reason": f"it is larger than {limit} bytes"})
            late = self._deadline is not None and time.monotonic() > self._deadline
            if late and (not expected or len(data) < expected):
                raise TimeoutError("the answer drips in too slowly")
        if len(data) < expected:
            raise ConnectionError("the answer was cut off")

    def _broken(self, error: Exception, reply: Reply) -> Exception:
        explained = self._explain(error)
        return BrokenReply(explained, reply) if isinstance(explained, ClientError) else explained

    def _explain(self, error: Exception) -> Exception:
        with self._lock:
            woken = self._polling and self._wake
            self._wake = self._wake and not woken
        if self._connect_refused:
            return NotProved()
        if self._stop.is_set() or woken:
            return Interrupted()
        overdue = self._deadline is not None and time.monotonic() > self._deadline
        library = requests()
        if overdue or isinstance(error, (library.Timeout, TimeoutError)):
            connecting = isinstance(error, library.ConnectTimeout)
            return ClientError("server_off" if connecting else "no_response", details=str(error))
        if isinstance(error, (library.ConnectionError, OSError)):
            return ClientError("server_off", details=str(error))
        return ClientError("bad_reply", details=str(error), values={"reason": "it is not HTTP"})


def _watched(transport: Transport) -> type:
    class Watched:
        """Mix-in for the library's connection: tells the transport its socket."""

        sock: socket.socket

        def connect(self) -> None:
            transport._check_connect()
            super().connect()  # type: ignore[misc]
            transport._watch(self.sock)

    return Watched


def _reply(response: Any, data: bytearray) -> Reply:
    return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(data))


def _refuse_tricks(response: Any, limit: int) -> None:
    if 300 <= response.status_code < 400 and response.status_code != 304:
        raise ClientError("bad_reply", values={"reason": "it redirects to another place"}, status=response.status_code)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ClientError("bad_reply", values={"reason": "it is compressed although we did not ask for it"})
    declared = response.headers.get("Content-Length", "0")
    if declared.isdigit() and int(declared) > limit and response.request.method != "HEAD":
        raise ClientError("bad_reply", values={"reason": f"it is larger than {limit} bytes"})


def _give_back(response: Any) -> None:
    # Completely read: the connection can serve the next request. Otherwise it must go.
    source = response.raw._original_response
    if source.length == 0:
        source.close()  # up to Python 3.11 read1 does not notice that the last byte was read
    if source.isclosed():
        response.raw.release_conn()
    else:
        response.close()
