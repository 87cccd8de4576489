"""Messages between the front and its worker: JSON bytes over a pipe, never pickles. Arrays travel as files."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class Run:
    """Front -> worker: do this job.

    Args:
        job: its id.
        attempt: from 1.
        task: what to do.
        model: a preset, or the name of a file in the models folder.
        request: the checked request body.
        blobs: folder of the blob store.
        folder: empty folder for the results of this attempt.
        parent: folder of the parent's results.
    """

    job: str
    attempt: int
    task: str
    model: str
    request: dict[str, Any]
    blobs: str
    folder: str
    parent: str | None = None


@dataclass(frozen=True)
class Cancel:
    """Front -> worker: stop this job and throw away what it has."""

    job: str


@dataclass(frozen=True)
class Finish:
    """Front -> worker: end this refinement after its current step and keep what it has."""

    job: str


@dataclass(frozen=True)
class Unload:
    """Front -> worker: give the memory of models and results back."""


@dataclass(frozen=True)
class Stop:
    """Front -> worker: leave."""


@dataclass(frozen=True)
class Ready:
    """Worker -> front: waiting for work on this device (kind, name, free, total bytes)."""

    device: dict[str, Any]


@dataclass(frozen=True)
class StartFailed:
    """Worker -> front: cannot work, in words; the process ends."""

    reason: str


@dataclass(frozen=True)
class Progressed:
    """Worker -> front: where the job is."""

    job: str
    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Previewed:
    """Worker -> front: the preview file (of kind ``mesh`` or ``colors``) was replaced."""

    job: str
    kind: str
    step: int


@dataclass(frozen=True)
class Succeeded:
    """Worker -> front: the results lie in the job's folder (entries: name, sha256, bytes)."""

    job: str
    artifacts: list[dict[str, Any]]
    notes: list[str]
    stats: dict[str, Any]
    device: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """Worker -> front: the job cannot be done; a worker that is ``leaving`` ends itself and wants a successor."""

    job: str
    code: str
    detail: str
    hint: str = ""
    view: int | None = None
    leaving: bool = False


@dataclass(frozen=True)
class Stopped:
    """Worker -> front: the job was cancelled; nothing is left of it."""

    job: str


Message = (
    Run | Cancel | Finish | Unload | Stop | Ready | StartFailed | Progressed | Previewed | Succeeded | Failed | Stopped
)
KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        Run, Cancel, Finish, Unload, Stop, Ready, StartFailed, Progressed, Previewed, Succeeded, Failed, Stopped,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """Message -> JSON bytes."""
    return json.dumps([type(message).__name__, asdict(message)]).encode()


def decode(data: bytes) -> Message:
    """JSON bytes -> message."""
    kind, members = json.loads(data)
    return KINDS[kind](**members)


@dataclass
class Channel:
    """One end of the pipe; any thread may send, one thread receives."""

    connection: Connection
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, message: Message) -> None:
        """Send, or raise OSError when the other end is gone."""
        with self._lock:
            self.connection.send_bytes(encode(message))

    def receive(self) -> Message:
        """Wait for a message; EOFError when the other end is gone."""
        return decode(self.connection.recv_bytes())
