"""Requests to the server are carried by a process of their own, because Blender bears no Python threads. No bpy.

While a script runs an operator, Blender lets go of Python's lock, and where it comes back for the context that the
script has overridden it takes the lock for granted as soon as *any* thread is running Python. A thread of ours beside
it then ends in a crash of Blender. So the thread (:class:`.jobs.JobRunner`) lives in a child process, and Blender's
only thread looks into a pipe.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ClientError
from .job.child import Hello, Told
from .job.desk import JobDesk
from .job.pipe import Connection, pipe
from .link.server_line import ServerLine
from .messages import failure
from .values import Cancelled, Event, Failed, Finished, Handle, ServerSettings

if TYPE_CHECKING:
    from .job.requests import Task

_log = logging.getLogger(__name__)

_PACKAGE = __name__.rpartition(".")[0]
_FOLDER = Path(__file__).resolve().parent
_NO_PYTHON = "Blender's own Python program does not run."


def python_programs() -> list[str]:
    """Python programs that may have Blender's packages, the likeliest first.

    Blender's ``sys.executable`` is its bundled Python; in a build that uses the system's it may be any Python on PATH.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_exec_prefix)
    inside = ["bin/python.exe", "python.exe"] if sys.platform == "win32" else [f"bin/{version}"]
    found = [str(prefix / name) for name in inside]
    found += [sys.executable, f"/usr/bin/{version}", shutil.which(version) or ""]
    # Blender 2.9 and embedded builds name themselves: that would open a second Blender.
    kept = [path for path in found if Path(path).name.startswith("python") and Path(path).is_file()]
    return list(dict.fromkeys(kept))


class JobProcess(JobDesk):
    """What a :class:`.jobs.JobRunner` does, done in another process.

    No call waits for it: it is started with the first order, and ``poll`` takes what has come.

    Args:
        settings: of the preferences.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._programs = python_programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._greeted = False
        self._orders: list[tuple[str, tuple[Any, ...]]] = []
        self._numbers = itertools.count(1)
        self._active: set[Handle] = set()
        self._new: set[Handle] = set()
        self._jobs: dict[Handle, tuple[str, str]] = {}
        self._events: list[Event] = []

    # --- requests ---------------------------------------------------------------------------------------------------

    def _submit(self, task: Task) -> Handle:
        handle = self._name()
        self._order("submit", task, handle)
        return handle

    def resubmit(self, handle: Handle) -> Handle:
        """Run a request again that failed; images that the server has are not sent again.

        Raises:
            KeyError: the request is not kept (only the last few are).
        """
        if not self.can_resubmit(handle):
            raise KeyError(handle)
        again = self._name()
        self._order("resubmit", handle, again)
        return again

    def cancel(self, handle: Handle) -> None:
        """Ask for the end of a request; ``Cancelled`` confirms (or it finishes, if it was already done)."""
        self._order("cancel", handle)

    def finish(self, handle: Handle) -> None:
        """Stop a refinement after its current step: it finishes with the colours that it has."""
        self._order("finish", handle)

    def known_jobs(self) -> dict[Handle, tuple[str, str]]:
        """Of every request that is kept: ids of its succeeded reconstruction and of the job that it follows."""
        return {**dict.fromkeys(self._new, ("", "")), **self._jobs}

    @property
    def active(self) -> frozenset[Handle]:
        """Requests that have not ended, as far as ``poll`` has told."""
        return frozenset(self._active)

    # --- the server: answers come as ServerLine events --------------------------------------------------------------

    def configure(self, settings: ServerSettings) -> None:
        """Use other preferences from the next connection on."""
        self._settings = settings
        self._order("configure", settings)

    def start_server(self) -> None:
        """Start or find the server now, without a request."""
        self._programs = self._programs or python_programs()
        self._order("start_server")

    def stop_server(self) -> None:
        """Stop the server if this session started it; else only let go of it."""
        self._order("stop_server")

    def check_server(self) -> None:
        """Look whether a server is there (never starts one) and refresh its line."""
        self._order("check_server")

    def look_for_job(self, job_id: str) -> None:
        """Ask a running server whether it has such a job: one ``JobSeen``, or none when no server answers."""
        self._order("look_for_job", job_id)

    def unload_model(self) -> None:
        """Free the model's memory."""
        self._order("unload_model")

    def restart_worker(self) -> None:
        """Kill and restart the model process (Force); a cancelling job ends cancelled."""
        self._order("restart_worker")

    # --- events and the end -----------------------------------------------------------------------------------------

    def poll(self) -> list[Event]:
        """All events since the last call, oldest first. Cheap; call it from the main thread's timer."""
        try:
            while self._pipe is not None and self._pipe.poll(0):
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            self._ended()
        events, self._events = self._events, []
        return events

    def shutdown(self, timeout: float = 3.0) -> bool:
        """Release the lease and end the process; jobs go on at the server. False if it had to be killed."""
        process, ours = self._process, self._pipe
        self._process = self._pipe = None
        if process is None or ours is None:
            return True
        ours.close()  # it takes this for the end of Blender
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return True

    # --- inside -----------------------------------------------------------------------------------------------------

    def _name(self) -> Handle:
        handle = f"request_{next(self._numbers)}"
        self._active.add(handle)
        self._new.add(handle)
        return handle

    def _order(self, order: str, *arguments: Any) -> None:
        self._orders.append((order, arguments))
        if self._process is None:
            self._start()
        elif self._greeted:
            self._send_orders()

    def _send_orders(self) -> None:
        orders, self._orders = self._orders, []
        try:
            for order in orders:
                if self._pipe is not None:
                    self._pipe.send(order)
        except OSError:
            self._ended()

    def _take(self, message: Hello | Told) -> None:
        if isinstance(message, Hello):
            self._greeted = True
            if self._pipe is not None:
                self._pipe.send(self._settings)
            self._send_orders()
            return
        self._new -= message.jobs.keys()
        self._jobs = message.jobs
        self._events.extend(message.events)
        ended = (event for event in message.events if isinstance(event, (Finished, Failed, Cancelled)))
        self._active -= {event.handle for event in ended}

    def _start(self) -> None:
        """Start the child with the first program that can be started."""
        while self._programs:
            ours, theirs = pipe()
            try:
                self._process = _spawn(self._programs[0], theirs)
            except OSError as error:
                _log.warning("%s does not start: %s", self._programs.pop(0), error)
                ours.close()
                continue
            finally:
                theirs.close()
            self._pipe, self._greeted = ours, False
            return
        self._give_up(_NO_PYTHON)

    def _ended(self) -> None:
        """The child is gone: try the next program if this one never worked, else tell."""
        worked, process = self._greeted, self._process
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        self._greeted = False
        code = process.wait() if process is not None else None
        if worked:
            self._give_up(f"The process that talks to the server ended (code {code}).")
        elif self._programs:
            _log.warning("%s ended with code %s", self._programs.pop(0), code)
            self._start()

    def _give_up(self, reason: str) -> None:
        message = failure(ClientError("internal", details=reason))
        for handle in sorted(self._active):
            self._events.append(
                Failed(handle, message.code, message.text, message.details, message.button, message.fix,
                       buttons=message.buttons)
            )  # fmt: skip
        self._events.append(ServerLine("failed", message.text, code=message.code, details=message.details))
        self._orders.clear()
        self._active.clear()
        self._new.clear()
        self._jobs = {}


def _spawn(program: str, theirs: Connection) -> subprocess.Popen[bytes]:
    """Start the child with its end of the pipe."""
    handle = theirs.fileno()
    options: dict[str, Any] = {"pass_fds": (handle,), "start_new_session": True}
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        options = {"startupinfo": startup, "creationflags": subprocess.CREATE_NO_WINDOW}
    script = str(_FOLDER / "job" / "start_child.py")
    paths = [path for path in sys.path if path]
    return subprocess.Popen(
        [program, "-I", script, _PACKAGE, str(_FOLDER), str(handle), *paths], stdin=subprocess.DEVNULL, **options
    )
