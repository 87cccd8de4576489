"""The two packages that Blender brings along (Debian's does not): imported at first use, never at registration."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

NEEDED = ("numpy", "requests")
INSTALL_COMMAND = "sudo apt install python3-numpy python3-requests"
"""What makes Debian's Blender complete; other builds have both."""


class MissingPackages(ImportError):  # noqa: N818 - named after the code of messages.py
    """Blender's Python lacks numpy or requests (code ``missing_packages``)."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"Blender's Python lacks {' and '.join(names)}.")
        self.names = names


def missing() -> list[str]:
    """Names of the needed packages that cannot be imported, without importing them."""
    return [name for name in NEEDED if not _is_there(name)]


def numpy() -> ModuleType:
    """The numpy module.

    Raises:
        MissingPackages: it is not installed.
    """
    return _load("numpy")


def requests() -> ModuleType:
    """The requests module.

    Raises:
        MissingPackages: it is not installed.
    """
    return _load("requests")


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackages(missing() or [name]) from error


def _is_there(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
