"""Faults on demand, for tests only: ``GTR_FAULT=kind@stage[:attempt],...`` with ``GTR_TESTING=1``.

``GTR_FAULT=file:PATH`` reads the list from a file each time, so that one server can be tried with many faults.

Kinds: ``kill`` and ``segv`` end the process; ``raise`` is an unknown error; ``memory`` is an out-of-memory error;
``cuda`` a poisoned device; ``hang`` never returns, ``lock`` neither and holds the interpreter's lock; ``deaf`` does not
stop when cancelled, but reports progress; ``hold`` waits until the job is cancelled or ``GTR_FAULT_RELEASE``
exists. The stage ``boot`` comes before the libraries are loaded.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def inject(
    stage: str,
    attempt: int = 1,
    check_cancel: Callable[[], None] = lambda: None,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Do what the environment asks for at this stage; nothing outside tests."""
    if os.environ.get("GTR_TESTING") != "1":
        return
    wanted = os.environ.get("GTR_FAULT", "")
    if wanted.startswith("file:"):
        file = Path(wanted.removeprefix("file:"))
        wanted = file.read_text() if file.exists() else ""
    for fault in wanted.strip().split(","):
        kind, _, place = fault.partition("@")
        where, _, which = place.partition(":")
        if where == stage and which in ("", str(attempt)):
            _happen(kind, check_cancel, alive)


def _happen(kind: str, check_cancel: Callable[[], None], alive: Callable[[], None]) -> None:
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "segv":
        ctypes.string_at(0)
    elif kind == "raise":
        raise RuntimeError("/home/somebody/secret.py broke")
    elif kind == "memory":
        raise MemoryError
    elif kind == "cuda":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    elif kind == "hang":
        time.sleep(3600)
    elif kind == "lock":
        ctypes.PyDLL(None).sleep(3600)
    elif kind == "deaf":
        while True:
            alive()
            time.sleep(0.2)
    elif kind == "hold":
        release = Path(os.environ["GTR_FAULT_RELEASE"])
        while not release.exists():
            check_cancel()
            time.sleep(0.01)
