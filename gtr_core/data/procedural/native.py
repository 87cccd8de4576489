"""The compiled tracer for CPUs: kernel/cpu.cpp through whatever C++ compiler the computer has, kept for next time."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtr_core.data.procedural.kernel_source import kernel_cache, kernel_source
from gtr_core.data.procedural.layout import Record
from gtr_core.data.procedural.tracer import Hits, Points

# Signs of zero and the order of sums do not matter here; infinities and NaN keep their rules.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-shared", "-fPIC")
_COMPILERS = ("g++", "clang++", "c++")
_CHUNK = 16_384
"""Rays or points that one thread takes at a time."""


class NativeTracer:
    """Tracer on the CPU.

    Args:
        threads: how many processor threads to use; 0 = as many as torch uses.
    """

    name = "native"

    def __init__(self, threads: int = 0) -> None:
        self._library = _library()
        self._threads = threads

    def __reduce__(self) -> tuple[type[NativeTracer], tuple[int]]:
        """Another process compiles, or finds what was compiled, for itself."""
        return NativeTracer, (self._threads,)

    def distance(self, tables: Record, points: Tensor) -> Tensor:
        """Signed distances (S, N) at points (S, N, 3): see ``Tracer``."""
        points = _dense(points)
        out = torch.empty(points.shape[:2])
        self._run(self._library.gtr_distance, tables, [points], [out], points.shape[1])
        return out

    def object_distance(self, table: Record, points: Points) -> Points:
        """Signed distances (N,) of one object in its own space at float64 points (N, 3)."""
        points = np.ascontiguousarray(points, dtype=np.float64)
        out = np.empty(len(points))
        self._library.gtr_object_distance(
            _address(table), _address(points), ctypes.c_long(len(points)), _address(out)
        )  # fmt: skip
        return out

    def surface(self, tables: Record, points: Tensor) -> tuple[Tensor, Tensor]:
        """Normals and colours (S, N, 3) at points of the surface (S, N, 3): see ``Tracer``."""
        points = _dense(points)
        normals, colors = torch.empty_like(points), torch.empty_like(points)
        self._run(self._library.gtr_surface, tables, [points], [normals, colors], points.shape[1])
        return normals, colors

    def trace(self, tables: Record, origins: Tensor, directions: Tensor, *, colors: bool = True) -> Hits:
        """Where rays (S, N, 3) meet the objects: see ``Tracer``."""
        origins, directions = _dense(origins), _dense(directions)
        distance = torch.empty(origins.shape[:2])
        normal = torch.empty_like(origins)
        color = torch.empty_like(origins) if colors else None
        self._run(self._library.gtr_trace, tables, [origins, directions], [distance, normal, color], origins.shape[1])
        return Hits(distance, normal, color)

    def _run(
        self, function: Any, tables: Record, inputs: list[Tensor], outputs: list[Tensor | None], count: int
    ) -> None:
        """Call the library on blocks of each object's entries, on several threads (ctypes lets go of the GIL)."""

        def block(scene: int, start: int) -> None:
            number = min(_CHUNK, count - start)
            parts = [_entry(tensor, scene, start) for tensor in inputs]
            results = [_entry(tensor, scene, start) for tensor in outputs]
            function(_address(tables[scene : scene + 1]), ctypes.c_long(1), *parts, ctypes.c_long(number), *results)

        blocks = [(scene, start) for scene in range(len(tables)) for start in range(0, count, _CHUNK)]
        threads = min(self._threads or torch.get_num_threads(), len(blocks))
        if threads <= 1:
            for scene, start in blocks:
                block(scene, start)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda one: block(*one), blocks))


@cache
def find_compiler() -> str | None:
    """Path of the C++ compiler: ``$CXX``, else g++, clang++ or c++ on the path; None when there is none."""
    wanted = os.environ.get("CXX")
    for name in (wanted, *_COMPILERS) if wanted else _COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    return None


@cache
def _library() -> ctypes.CDLL:
    compiler = find_compiler()
    if compiler is None:
        raise FileNotFoundError("no C++ compiler")
    source = kernel_source("cpu")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256("\0".join((source, version, *_FLAGS, _processor())).encode()).hexdigest()[:16]
    path = kernel_cache() / f"procedural-{key}.so"
    if not path.exists():
        _compile(compiler, source, path)
    return ctypes.CDLL(str(path))


def _compile(compiler: str, source: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may compile the same: each writes its own file, and the last one takes the name.
    part = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.so")
    try:
        command = [compiler, *_FLAGS, "-x", "c++", "-", "-o", str(part)]
        subprocess.run(command, input=source, text=True, capture_output=True, check=True)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _processor() -> str:
    """What the compiled code may depend on: the same folder may be mounted on several computers."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {flags}"


def _dense(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32).contiguous()


def _entry(tensor: Tensor | None, scene: int, start: int) -> ctypes.c_void_p:
    if tensor is None:
        return ctypes.c_void_p()
    offset = (scene * tensor.stride(0) + start * tensor.stride(1)) * tensor.element_size()
    return ctypes.c_void_p(tensor.data_ptr() + offset)


def _address(array: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
