"""A pipe between two processes: that of multiprocessing, without its hold on Blender's main module. No bpy."""

from __future__ import annotations

import sys
from multiprocessing import Pipe, connection

# multiprocessing keeps the main module under a second name, for a way of starting processes that is not used here.
# Blender frees the main module of a script when the script ends, and crashes at its own end over what is left of it.
sys.modules.pop("__mp_main__", None)

__all__ = ["Connection", "open_end", "pipe"]

Connection = connection.Connection


def pipe() -> tuple[Connection, Connection]:
    """Two ends; each sends and receives."""
    return Pipe()


def open_end(handle: int) -> Connection:
    """An end that this process inherited: a file descriptor, on Windows a handle."""
    if sys.platform == "win32":
        return connection.PipeConnection(handle)
    return connection.Connection(handle)
