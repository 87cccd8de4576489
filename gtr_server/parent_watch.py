"""The worker must not outlive its server, not even inside a C call that holds the interpreter's lock."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG, SIGKILL = 1, 9
WATCHDOG_SECONDS = 8.0
"""Longest time a C call may hold the interpreter's lock where the kernel cannot tell us of the parent's death."""


def die_with_parent(parent: int) -> None:
    """Arrange for the kernel's signal (Linux) or a watchdog in C (elsewhere).

    Linux delivers the signal when the *thread* that started this process ends: start it from one that stays.

    Args:
        parent: expected process id of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        _be_the_first_to_go()
    else:
        watchdog(parent, WATCHDOG_SECONDS)


def watchdog(parent: int, seconds: float) -> None:
    """End this process ``seconds`` after the parent is gone, or after a C call has held the lock that long.

    A timer thread of C, which needs no interpreter lock, is wound up every second as long as the parent lives.
    """

    def wind() -> None:
        while os.getppid() == parent:
            faulthandler.dump_traceback_later(seconds, exit=True)
            time.sleep(min(1.0, seconds / 4))
        os._exit(1)

    threading.Thread(target=wind, name="watchdog", daemon=True).start()


def _be_the_first_to_go() -> None:
    # When memory runs out the kernel should end this process, not the user's Blender.
    try:
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError:
        return
