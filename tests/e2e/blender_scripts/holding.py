"""Lets the server hold its jobs at a stage until they are let go: what a script wants to see is not over too soon."""

import os
from pathlib import Path


def hold(stage):
    """Jobs that begin this stage from now on wait in it, until they are cancelled or :func:`let_go` is called."""
    Path(os.environ["GTR_FAULT_RELEASE"]).unlink(missing_ok=True)
    _faults().write_text(f"hold@{stage}")


def let_go():
    """Jobs that wait go on, and no other one is held."""
    _faults().write_text("")
    Path(os.environ["GTR_FAULT_RELEASE"]).touch()


def _faults():
    return Path(os.environ["GTR_FAULT"].removeprefix("file:"))
