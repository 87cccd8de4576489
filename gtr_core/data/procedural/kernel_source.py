"""The one source of the compiled kernels, put together from the files of ``kernel/`` and the tables of this package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Literal

from gtr_core.data.procedural import font, layout

_SHARED = ("shape.h", "texture.h", "surface.h", "march.h")


def kernel_source(target: Literal["cpu", "cuda"]) -> str:
    """One complete C++ (``cpu``) or CUDA (``cuda``) translation unit without further includes of ours."""
    first, last = {"cpu": ("lanes.h", "cpu.cpp"), "cuda": ("scalar.h", "cuda.cu")}[target]
    shared = "".join(_file(name) for name in _SHARED)
    return _file(first) + layout.c_structs() + font.c_table() + shared + _file(last)


def kernel_cache() -> Path:
    """Folder of compiled kernels: ``$GTR_KERNELS``, else ``kernels`` in ``$GTR_HOME``, else ``~/.gtr/kernels``."""
    given = os.environ.get("GTR_KERNELS")
    if given:
        return Path(given)
    return Path(os.environ.get("GTR_HOME") or Path.home() / ".gtr") / "kernels"


def _file(name: str) -> str:
    text = (files(__package__) / "kernel" / name).read_text(encoding="utf-8")
    return text.replace("#pragma once\n", "") + "\n"
