"""The compiled tracer for GPUs: the same kernel files, launched through the CUDA driver on torch's tensors."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gtr_core.data.procedural.cuda_compile import cuda_binary
from gtr_core.data.procedural.cuda_kernels import CudaKernels, cuda_driver
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
            self._kernels = CudaKernels(binary, ("gtr_distance", "gtr_surface", "gtr_trace"), cuda_driver())

    def __reduce__(self) -> tuple[type[CudaTracer], tuple[torch.device]]:
        """Another process loads the kernels for itself."""
        return CudaTracer, (self._device,)

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

    def _launch(
        self, name: str, tables: Record, count: int, inputs: list[Tensor], outputs: list[Tensor | None]
    ) -> None:
        if not len(tables) or not count:
            return
        with torch.cuda.device(self._device):
            scenes = torch.from_numpy(np.ascontiguousarray(tables).view(np.uint8).reshape(-1)).to(self._device)
            blocks = (count + _THREADS - 1) // _THREADS, len(tables)
            stream = torch.cuda.current_stream().cuda_stream
            self._kernels.launch(name, blocks, _THREADS, stream, kernel_values(scenes, inputs, count, outputs))


def kernel_values(scenes: Tensor, inputs: list[Tensor], count: int, outputs: list[Tensor | None]) -> list[Any]:
    """Arguments in the order of kernel/cuda.cu: records, inputs, entries per record, outputs (absent ones null)."""
    addresses = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (scenes, *inputs)]
    results = [ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in outputs]
    return [*addresses, ctypes.c_int(count), *results]
