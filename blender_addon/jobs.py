"""One worker thread between its process and the server: requests go in, events come out. No bpy here.

The owner calls ``submit_*``, ``cancel``, ``finish`` and ``poll`` from one thread at a time; none of them waits for the
network. In Blender the owner is a process of its own, see :mod:`.job_process`.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import ClientError, Interrupted
from .job import requests as tasks
from .job.desk import JobDesk
from .job.flow import JobFlow
from .job.seen import JobSeen
from .link.server_link import ServerLink
from .messages import failure
from .packages import MissingPackages
from .values import Cancelled, Event, Failed, Finished, Handle

if TYPE_CHECKING:
    from .values import ServerSettings

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2.0
"""The idle thread wakes this often to renew its lease and look after the server."""
KEPT_REQUESTS = 8
"""Requests that ended are kept for ``resubmit``; older ones (and their images) are dropped."""
_RESUMABLE = frozenset({"no_response", "server_stopped", "server_off"})
"""After these the server may still have the job, so a resubmission asks for the same one."""

_OVER_FOR_NOTHING = frozenset({"failed", "cancelling", "cancelled"})
_FORGOTTEN = frozenset({"unknown_job", "purged", "not_found"})

Command = Callable[[], None]


class JobRunner(JobDesk):
    """Runs requests one after the other on a thread of its own.

    Every request ends with exactly one of ``Finished``, ``Failed`` or ``Cancelled``.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._requests: dict[Handle, tasks.Request] = {}
        self._failed_with: dict[Handle, str] = {}
        self._active: set[Handle] = set()
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self._running: tasks.Request | None = None
        self._controls: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._link = ServerLink(settings, self._events.put, self._stop)
        self._flow = JobFlow(self._link, self._events.put, self._run_waiting_controls)
        self._thread: threading.Thread | None = None

    # --- requests: each returns at once -----------------------------------------------------------------------------

    def submit(self, task: tasks.Task, handle: Handle) -> None:
        """Queue a task under a name that nothing else has."""
        self._enqueue(tasks.Request(handle, task))

    def known_jobs(self) -> dict[Handle, tuple[str, str]]:
        """Of every request that is kept: ids of its succeeded reconstruction and of the job that it follows."""
        return {handle: (request.mesh_job, request.job_id) for handle, request in self._requests.items()}

    def resubmit(self, handle: Handle, again: Handle | None = None) -> Handle:
        """Run a request again that failed, under a new name; images that the server has are not sent again.

        Raises:
            KeyError: the request is not kept (only the last few are).
        """
        same_job = self._failed_with.get(handle, "") in _RESUMABLE
        return self._enqueue(self._requests[handle].again(again or self._new_handle(), same_job=same_job))

    def cancel(self, handle: Handle) -> None:
        """Ask for the end of a request; ``Cancelled`` confirms (or it finishes, if it was already done)."""
        if handle in self._requests:
            self._requests[handle].cancel.set()
            self._link.wake()

    def finish(self, handle: Handle) -> None:
        """Stop a refinement after its current step: it finishes with the colours that it has."""
        if handle in self._requests:
            self._requests[handle].finish.set()
            self._link.wake()

    @property
    def active(self) -> frozenset[Handle]:
        """Requests that have not ended, as far as ``poll`` has told."""
        return frozenset(self._active)

    # --- the server: answers come as ServerLine events --------------------------------------------------------------

    def configure(self, settings: ServerSettings) -> None:
        """Use other preferences from the next connection on."""
        self._control(lambda: self._link.configure(settings))

    def start_server(self) -> None:
        """Start or find the server now, without a request."""
        self._control(self._link.ensure_quietly)

    def stop_server(self) -> None:
        """Stop the server if this session started it; else only let go of it."""
        self._control(self._link.stop)

    def check_server(self) -> None:
        """Look whether a server is there (never starts one) and refresh its line."""
        self._control(self._link.refresh)

    def look_for_job(self, job_id: str) -> None:
        """Ask a running server whether it has such a job: one ``JobSeen``, or none when no server answers."""
        self._control(lambda: self._look_for_job(job_id))

    def unload_model(self) -> None:
        """Free the model's memory."""
        self._control(self._link.unload)

    def restart_worker(self) -> None:
        """Kill and restart the model process (Force); a cancelling job ends cancelled."""
        self._control(self._link.restart_worker)

    # --- events and the end -----------------------------------------------------------------------------------------

    def poll(self) -> list[Event]:
        """All events since the last call, oldest first. Cheap; call it from the main thread's timer."""
        self._link.break_overdue_call()
        events: list[Event] = []
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return events
            if isinstance(event, (Finished, Failed, Cancelled)):
                self._settle(event)
            events.append(event)

    def shutdown(self, timeout: float = 2.0) -> bool:
        """Release the lease and end the thread; jobs go on at the server. False if the thread did not end in time."""
        self._stop.set()
        self._link.break_call()
        self._commands.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _submit(self, task: tasks.Task) -> Handle:
        handle = self._new_handle()
        self.submit(task, handle)
        return handle

    def _new_handle(self) -> Handle:
        return f"request_{next(self._numbers)}"

    def _enqueue(self, request: tasks.Request) -> Handle:
        self._requests[request.handle] = request
        self._active.add(request.handle)
        self._command(lambda: self._run_request(request))
        return request.handle

    def _control(self, command: Command) -> None:
        # Controls overtake waiting requests: they run between two polls of the job that is running.
        self._controls.put(command)
        self._command(self._run_waiting_controls)
        self._link.wake()

    def _command(self, command: Command) -> None:
        if self._stop.is_set():
            raise RuntimeError("the job runner was shut down")
        self._commands.put(command)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="gtr-client", daemon=True)
            self._thread.start()

    def _look_for_job(self, job_id: str) -> None:
        try:
            client = self._link.find_again()
            if client is None:
                return
            job = client.job(job_id)
            known = job.get("task") in ("reconstruct", "refine") and job.get("state") not in _OVER_FOR_NOTHING
        except (ClientError, Interrupted) as error:
            if not isinstance(error, ClientError) or error.code not in _FORGOTTEN:
                _log.info("no answer about job %s: %s", job_id, error)
                return
            known = False
        self._events.put(JobSeen(job_id, known))

    def _settle(self, event: Finished | Failed | Cancelled) -> None:
        self._active.discard(event.handle)
        if isinstance(event, Failed):
            self._failed_with[event.handle] = event.code
        else:
            self._failed_with.pop(event.handle, None)
        ended = [handle for handle in self._requests if handle not in self._active]
        for handle in ended[:-KEPT_REQUESTS]:
            del self._requests[handle]
            self._failed_with.pop(handle, None)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                command = self._commands.get(timeout=HEARTBEAT_SECONDS)
            except queue.Empty:
                command = self._link.heartbeat
            if command is not None:
                self._guarded(command)
        self._guarded(self._link.close)

    def _run_waiting_controls(self) -> None:
        while True:
            try:
                command = self._controls.get_nowait()
            except queue.Empty:
                return
            command()

    def _guarded(self, command: Command) -> None:
        # The thread's boundary: whatever goes wrong must reach the panel, and the thread must live on.
        try:
            command()
        except Exception:
            _log.exception("the worker thread met an unexpected error")
            error = ClientError("internal", details=traceback.format_exc())
            if self._running is None:
                self._link.report(error)
            else:
                self._events.put(self._failed(self._running, error))
        self._running = None

    def _run_request(self, request: tasks.Request) -> None:
        self._running = request
        try:
            self._flow.run(request)
        except Interrupted:
            self._events.put(Cancelled(request.handle))
        except (ClientError, MissingPackages) as error:
            self._events.put(self._failed(request, error))

    def _failed(self, request: tasks.Request, error: ClientError | MissingPackages) -> Failed:
        message = failure(error)
        return Failed(
            request.handle,
            message.code,
            message.text,
            message.details,
            message.button,
            message.fix,
            buttons=message.buttons,
            view=error.view if isinstance(error, ClientError) else None,
            mesh_kept=bool(request.mesh_job),
            job_id=request.job_id,
        )
