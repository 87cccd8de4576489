"""This session's lease at the server: a sign of life, whatever the worker thread is doing. No bpy."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING

from ..client import GtrClient
from ..errors import ClientError, Interrupted
from .transport import Transport

if TYPE_CHECKING:
    from ..server_process import Endpoint

_log = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
"""Renewal of the lease; the server forgets it after 60 s."""
LATE_SECONDS = 5.0
"""When the worker thread is so late with it, the lease is renewed without it."""


class Lease:
    """Renewed by the worker thread between its calls, and by a thread of its own when the worker is busy for long.

    The worker may lay out a texture, or send a hundred views: on a slow machine that takes longer than a lease lasts,
    and a server whose last lease is over ends.

    Args:
        stop: set when Blender shuts down.
    """

    def __init__(self, stop: threading.Event) -> None:
        self.id = str(uuid.uuid4())
        self._stop = stop
        self._endpoint: Endpoint | None = None
        self._renewed_at = 0.0
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._transport = Transport(stop)
        self._thread: threading.Thread | None = None

    def keep(self, client: GtrClient) -> None:
        """Renew it when that is due; a renewal that fails is due again. For the worker thread.

        Raises:
            ClientError: the server did not take it.
        """
        with self._lock:
            held = self._endpoint == client.endpoint
            due = not held or time.monotonic() - self._renewed_at > LEASE_SECONDS
        if not due:
            return
        client.keep_lease(self.id)
        with self._lock:
            self._endpoint, self._renewed_at = client.endpoint, time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="gtr-lease", daemon=True)
            self._thread.start()

    def forget(self) -> None:
        """Renew it no more: the server is gone, or is about to be told."""
        with self._lock:
            self._endpoint = None

    def release(self, client: GtrClient) -> None:
        """Give it back. For the worker thread.

        Raises:
            ClientError: the server did not hear it; the lease will expire.
            Interrupted: Blender shuts down, and there was no answer in time.
        """
        self.forget()
        self._transport.break_call()
        with self._renewing:  # a renewal that came after the release would take the lease anew
            client.release_lease(self.id)

    # --- its own thread ---------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stop.wait(LATE_SECONDS / 2):
            with self._renewing:
                self._renew_if_late()
        self._transport.close()

    def _renew_if_late(self) -> None:
        with self._lock:
            endpoint = self._endpoint
            if endpoint is None or time.monotonic() - self._renewed_at < LEASE_SECONDS + LATE_SECONDS:
                return
        try:
            GtrClient(self._transport, endpoint, self._stop).keep_lease(self.id)
        except (ClientError, Interrupted) as error:
            _log.info("the lease could not be renewed: %s", error)
            return
        with self._lock:
            if self._endpoint == endpoint:
                self._renewed_at = time.monotonic()
