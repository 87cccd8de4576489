"""Which code computed a figure, and on what."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import gtr_core

_ROOT = Path(gtr_core.__file__).resolve().parent.parent


@lru_cache(maxsize=1)
def commit() -> str:
    """Short commit of the checkout, with a + for uncommitted changes of the library; else the installed version.

    It is looked at once in a process, as the code of a process does not change either.
    """
    if (_ROOT / ".git").exists():
        head = _git("rev-parse", "--short", "HEAD")
        if head:
            return head + ("+" if _git("status", "--porcelain", "--", "gtr_core") else "")
    try:
        return version("gtr-for-blender")
    except PackageNotFoundError:
        return "unknown"


def device_name(device: torch.device, threads: int | None = None) -> str:
    """The device for people: a GPU's name, or the processor's with its threads (None: as many as this process uses)."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = threads or torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads != 1)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False, timeout=30
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
