"""The job process's connection to the server: found or started, leased, lost and found again."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..client import GtrClient
from ..errors import ClientError, Interrupted
from ..messages import failure
from ..packages import MissingPackages
from ..server_process import Endpoint, ServerProcess, is_alive, read_state
from .addresses import is_loopback, normalize_url
from .lease import Lease
from .server_line import ServerLine, ready_line
from .transport import Transport

if TYPE_CHECKING:
    from ..values import Event, ServerSettings

_log = logging.getLogger(__name__)

ANSWER_SECONDS, ASK_AGAIN_SECONDS = 30.0, 0.5
"""A server that is there and silent is asked again for so long: the machine may be under load, or just awake."""
_NO_CONTACT = frozenset({"no_response", "server_off", "auth", "not_gtr", "stopping"})


class ServerLink:
    """Belongs to the worker thread; only the ``break_*`` methods and ``wake`` may be called from others.

    Args:
        settings: of the preferences.
        emit: takes ServerLine events.
        stop: set when Blender shuts down.
    """

    def __init__(self, settings: ServerSettings, emit: Callable[[Event], None], stop: threading.Event) -> None:
        self.stop_event = stop
        self.lease = Lease(stop)
        self.process = ServerProcess(self.lease.id, stop)
        self._settings = settings
        self._emit = emit
        self._transport = Transport(stop)
        self._client: GtrClient | None = None
        self._cancel: threading.Event | None = None
        self._stopped = False
        self._line: ServerLine | None = None
        self.break_call = self._transport.break_call
        self.break_overdue_call = self._transport.break_overdue_call
        self.wake = self._transport.break_poll

    @contextlib.contextmanager
    def cancelled_by(self, cancel: threading.Event) -> Iterator[None]:
        """While inside, this event ends every waiting of the connection."""
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = None

    def is_cancelled(self) -> bool:
        """Whether the work that is going on was cancelled."""
        return self._cancel is not None and self._cancel.is_set()

    # --- for the jobs -----------------------------------------------------------------------------------------------

    def ensure(self) -> GtrClient:
        """A proved client, starting the server if that is our task.

        Raises:
            ClientError: why there is none.
            Interrupted: nobody wants to wait for it any more.
        """
        try:
            return self._ensure()
        except (ClientError, MissingPackages) as error:
            self.report(error)
            raise

    def find_again(self) -> GtrClient | None:
        """After contact was lost: the server of before, or the one that took its place; None when none answers."""
        try:
            client = self._find()
            if client is not None:
                self._adopt(client)
        except ClientError as error:
            if error.code in _NO_CONTACT:
                return None
            raise
        return client

    def is_gone(self) -> bool:
        """Whether the server certainly does not exist any more: its process ended, or we stopped it."""
        if self._stopped:
            return True
        died = self.process.died  # asked first: until then a dead child counts as a living process
        alive = is_alive(self._client.endpoint.pid) if self._client is not None else None
        return died if alive is None else not alive

    def keep_lease(self) -> None:
        """Renew the lease when it is due."""
        if self._client is not None:
            self.lease.keep(self._client)

    # --- for the panel ----------------------------------------------------------------------------------------------

    def configure(self, settings: ServerSettings) -> None:
        """Use other preferences; the connection is made anew when the address changes."""
        if (settings.mode, settings.url, settings.state_file) != (
            self._settings.mode, self._settings.url, self._settings.state_file,
        ):  # fmt: skip
            self._drop()
        self._settings = settings

    def ensure_quietly(self) -> None:
        """Start or find the server; failures go to the server line."""
        try:
            self.ensure()
        except (ClientError, MissingPackages) as error:
            _log.info("no server: %s", error)

    def refresh(self) -> None:
        """Look for a server without starting one, and tell its state and free memory."""
        try:
            client = self._find()
            if client is None:
                self._say_off()
            else:
                self._adopt(client)
        except (ClientError, MissingPackages) as error:
            self.report(error)

    def heartbeat(self) -> None:
        """When idle: renew the lease and notice when the server is gone."""
        if self._client is None:
            return
        try:
            self.keep_lease()
        except ClientError as error:
            if error.code in ("server_off", "auth", "not_gtr"):
                self.refresh()
            else:
                self.report(error)
            return
        unsure = self._line is not None and self._line.state in ("starting", "lost")
        if unsure or self.is_gone():
            self.refresh()

    def stop(self) -> None:
        """Stop the server if we started it; else only release our lease."""
        managed, client, asked = self.process.started_here, self._client, False
        if client is not None:
            try:
                if managed:
                    client.stop_server(force=True)
                    asked = True
                else:
                    self.lease.release(client)
            except ClientError as error:
                _log.info("the server did not take our leave: %s", error)
        self._drop()
        self.process.stop(asked=asked)
        self._stopped = managed
        self._say(ServerLine("stopped" if managed else "off", "Server off"))

    def unload(self) -> None:
        """Free the model's memory and refresh the line."""
        self._ask(GtrClient.unload)

    def restart_worker(self) -> None:
        """Kill and restart the model process."""
        self._ask(GtrClient.restart_worker)

    def report(self, error: ClientError | MissingPackages) -> None:
        """Say on the server line why there is no server."""
        message = failure(error)
        state: Any = {"incompatible": "incompatible", "server_off": "off", "no_response": "lost"}.get(
            message.code, "failed"
        )
        if state != "lost":  # it is there and may answer the next time; until then its lease must not run out
            self._drop()
        self._say(ServerLine(state, message.text, code=message.code, details=message.details))

    def close(self) -> None:
        """Release the lease and let go: the server lives on if others use it."""
        if self._client is not None:
            try:
                self.lease.release(self._client)
            except (ClientError, Interrupted) as error:
                _log.info("lease not released, it will expire: %s", error)
        self._drop()
        self._transport.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _ensure(self) -> GtrClient:
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                client = self._find() or self._start()
                self._adopt(client)
                return client
            except ClientError as error:
                if error.code != "no_response" or time.monotonic() > end:
                    raise
                _log.info("the server does not answer yet: %s", error)
            if self.stop_event.wait(ASK_AGAIN_SECONDS) or self.is_cancelled():
                raise Interrupted

    def _find(self) -> GtrClient | None:
        endpoint = self._endpoint()
        if endpoint is None:
            return None
        client = self._client if self._client is not None and self._client.endpoint == endpoint else None
        client = client or GtrClient(self._transport, endpoint, self.stop_event, self.is_cancelled)
        try:
            client.prove()
        except ClientError as error:
            # Left behind by a server that was killed; nobody listens there, or a stranger does by now. Our own server
            # takes another port, so that is no reason to give up.
            gone = error.code == "no_response" and is_alive(endpoint.pid) is False
            if self._settings.mode == "MANAGED" and (gone or error.code in ("server_off", "not_gtr", "auth")):
                _log.info("the state file is out of date: %s", error)
                return None
            raise
        return client

    def _endpoint(self) -> Endpoint | None:
        own = read_state(self.process.state_file)
        if self._settings.mode == "MANAGED":
            return own
        url = normalize_url(self._settings.url)
        file = Path(self._settings.state_file) if self._settings.state_file else self.process.state_file
        state = read_state(file)
        if state is None:
            raise ClientError("auth", "The server's key was not found.", f"state file: {file}")
        pid = state.pid if is_loopback(url) else 0
        return Endpoint(url, state.token, pid, state.instance_id, urlsplit(url).port or 0)

    def _start(self) -> GtrClient:
        if self._settings.mode == "ATTACHED":
            raise ClientError("server_off")
        self._drop()
        self._say(ServerLine("starting", "Starting…", managed=True))
        found: list[GtrClient] = []

        def is_up(endpoint: Endpoint) -> bool:
            client = GtrClient(self._transport, endpoint, self.stop_event, self.is_cancelled)
            try:
                client.prove()
            except ClientError as error:
                _log.info("not up yet: %s", error)
                if error.code == "incompatible":
                    raise
                return False
            found.append(client)
            return True

        self.process.start(self._settings, is_up, self.is_cancelled)
        return found[-1]

    def _adopt(self, client: GtrClient) -> None:
        if client is not self._client:
            self.lease.forget()
            self._client, self._stopped = client, False
        self.keep_lease()
        info = client.server()
        self._say(ready_line(info, managed=self.process.started_here))

    def _ask(self, question: Callable[[GtrClient], None]) -> None:
        if self._client is None:
            return
        try:
            question(self._client)
            self._adopt(self._client)
        except ClientError as error:
            message = failure(error)
            if self._line is not None and error.code == "busy":
                return
            self._say(ServerLine("failed", message.text, code=message.code, details=message.details))

    def _drop(self) -> None:
        self._client = None
        self.lease.forget()

    def _say_off(self) -> None:
        self._drop()
        self._say(ServerLine("off", "Server off", code="server_off"))

    def _say(self, line: ServerLine) -> None:
        if line != self._line:
            self._line = line
            self._emit(line)
