"""The HTTP server: waitress with limits, and a deadline for receiving a request."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.wasyncore import close_all, loop

from gtr_server.limits import MAX_BLOB_BYTES, THREADS
from gtr_server.state_file import HOST

RECEIVE_SECONDS = 20.0
"""Longest time from the first byte of a request to its last; together with the clean-up interval below 30 s."""
CLEANUP_SECONDS = 5
STANDSTILL_SECONDS = 10.0
"""Two clean-ups so far apart: this process stood still meanwhile and could receive nothing."""
CONNECTIONS = 480
"""Windows' ``select`` holds 512 sockets."""


def bind(port: int) -> socket.socket:
    """A socket on the loopback address.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # On Windows SO_REUSEADDR would let another program take the port from us.
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that gives the spool file of a half-received body back at once when it breaks off."""

    def handle_close(self) -> None:
        """Close the connection and what it has received."""
        if self.request is not None:
            self.request.close()
        super().handle_close()


class HttpServer(TcpWSGIServer):  # type: ignore[misc]
    """waitress on an already bound socket; closes connections that dribble their request.

    Args:
        application: WSGI application.
        listener: bound socket.
        receive_seconds: see ``RECEIVE_SECONDS``.
    """

    channel_class = Channel

    def __init__(
        self, application: Callable[..., Any], listener: socket.socket, receive_seconds: float = RECEIVE_SECONDS
    ) -> None:
        self.receive_seconds = receive_seconds
        self._receiving: dict[Any, float] = {}
        self._maintained = time.monotonic()
        adjustments = Adjustments(
            sockets=[listener],
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=30,
            cleanup_interval=min(CLEANUP_SECONDS, max(1, int(receive_seconds / 2))),
            max_request_body_size=MAX_BLOB_BYTES,
            ident=None,
            asyncore_use_poll=os.name == "posix",
            clear_untrusted_proxy_headers=False,
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(adjustments.threads)
        info = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(application, {}, True, listener, dispatcher, adjustments, info, bind_socket=False)

    def maintenance(self, now: float) -> None:
        """waitress's own rule closes silent connections; ours closes those that never complete a request."""
        super().maintenance(now)
        moment = time.monotonic()
        pause, self._maintained = moment - self._maintained, moment
        late = pause if pause > STANDSTILL_SECONDS else 0.0
        receiving: dict[Any, float] = {}
        for key, channel in self.active_channels.items():
            if channel.requests or channel.request is None:
                continue
            receiving[key] = min(moment, self._receiving.get(key, moment) + late)
            if moment - receiving[key] > self.receive_seconds:
                channel.will_close = True
        self._receiving = receiving

    def run_until(self, stopping: threading.Event) -> None:
        """Serve until the event is set; look at it at least once a second."""
        while not stopping.is_set():
            loop(timeout=1.0, use_poll=self.adj.asyncore_use_poll, map=self._map, count=1)

    def shut(self, seconds: float) -> None:
        """Let running handlers end for a moment, then close everything."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(
            channel.requests or channel.total_outbufs_len for channel in list(self.active_channels.values())
        ):
            loop(timeout=0.05, use_poll=self.adj.asyncore_use_poll, map=self._map, count=1)
        self.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        close_all(self._map)
