"""The compiled tracer for GPUs: the same kernel files, launched through the CUDA driver on torch's tensors."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtr_core.data.procedural.cuda_compile import cuda_binary
from gtr_core.data.procedural.layout import Record
from gtr_core.data.procedural.readable import ReadableTracer
from gtr_core.data.procedural.tracer import Hits, Points

_THREADS = 128


class CudaTracer:
    """Tracer on one GPU: tensors live there, work is queued on torch's current stream.

    Args:
        device: the GPU.

    Raises:
        OSError: when the driver, or everything that compiles CUDA, is missing.
        RuntimeError: when the kernels do not compile or load.
    """

    name = "cuda"

    def __init__(self, device: torch.device) -> None:
        self._device = torch.device("cuda", device.index if device.index is not None else torch.cuda.current_device())
        with torch.cuda.device(self._device):
            torch.zeros(1, device=self._device)  # makes torch's context that of this thread
            binary = cuda_binary(torch.cuda.get_device_capability())
            self._module = ctypes.c_void_p()
            _checked(_driver().cuModuleLoadData(ctypes.byref(self._module), binary))
            self._functions = {name: self._function(name) for name in ("gtr_distance", "gtr_surface", "gtr_trace")}

    def distance(self, tables: Record, points: Tensor) -> Tensor:
        """Signed distances (S, N) at points (S, N, 3): see ``Tracer``."""
        points = self._dense(points)
        out = torch.empty(points.shape[:2], device=self._device)
        self._launch("gtr_distance", tables, points.shape[1], [points], [out])
        return out

    def object_distance(self, table: Record, points: Points) -> Points:
        """Signed distances (N,) of one object in its own space, in float64 on the CPU."""
        return ReadableTracer().object_distance(table, points)

    def surface(self, tables: Record, points: Tensor) -> tuple[Tensor, Tensor]:
        """Normals and colours (S, N, 3) at points of the surface (S, N, 3): see ``Tracer``."""
        points = self._dense(points)
        normals, colors = torch.empty_like(points), torch.empty_like(points)
        self._launch("gtr_surface", tables, points.shape[1], [points], [normals, colors])
        return normals, colors

    def trace(self, tables: Record, origins: Tensor, directions: Tensor, *, colors: bool = True) -> Hits:
        """Where rays (S, N, 3) meet the objects: see ``Tracer``."""
        origins, directions = self._dense(origins), self._dense(directions)
        distance = torch.empty(origins.shape[:2], device=self._device)
        normal = torch.empty_like(origins)
        color = torch.empty_like(origins) if colors else None
        self._launch("gtr_trace", tables, origins.shape[1], [origins, directions], [distance, normal, color])
        return Hits(distance, normal, color)

    def _dense(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, torch.float32).contiguous()

    def _function(self, name: str) -> ctypes.c_void_p:
        function = ctypes.c_void_p()
        _checked(_driver().cuModuleGetFunction(ctypes.byref(function), self._module, name.encode()))
        return function

    def _launch(
        self, name: str, tables: Record, count: int, inputs: list[Tensor], outputs: list[Tensor | None]
    ) -> None:
        if not len(tables) or not count:
            return
        with torch.cuda.device(self._device):
            scenes = torch.from_numpy(np.ascontiguousarray(tables).view(np.uint8).reshape(-1)).to(self._device)
            values: list[Any] = [_address(scenes), *map(_address, inputs), ctypes.c_int(count), *map(_address, outputs)]
            pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            blocks = (count + _THREADS - 1) // _THREADS
            _checked(
                _driver().cuLaunchKernel(
                    self._functions[name], blocks, len(tables), 1, _THREADS, 1, 1, 0, stream, pointers, None
                )
            )


@cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _checked(status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeError(f"CUDA driver: {(text.value or b'unknown error').decode()} ({status})")
