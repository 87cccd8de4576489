"""Compiled CUDA kernels on their way to the GPU: loaded and launched through the CUDA driver."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any


class CudaKernels:
    """Kernels of one binary, loaded into the CUDA context of the calling thread.

    Args:
        binary: machine code (cubin).
        names: of the kernels in it.
        driver: the CUDA driver's library.

    Raises:
        RuntimeError: when the driver refuses, with its words.
    """

    def __init__(self, binary: bytes, names: Sequence[str], driver: Any) -> None:
        self._driver = driver
        self._module = ctypes.c_void_p()
        self._checked(driver.cuModuleLoadData(ctypes.byref(self._module), ctypes.c_char_p(binary)))
        self._functions = {name: self._function(name) for name in names}

    def launch(self, name: str, blocks: tuple[int, int], threads: int, stream: int, values: Sequence[Any]) -> None:
        """Queue a kernel.

        Args:
            name: of the kernel.
            blocks: of the grid, in x and y.
            threads: of a block.
            stream: handle of the CUDA stream.
            values: the kernel's arguments as ctypes values of their exact types.
        """
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = [ctypes.c_uint(size) for size in (*blocks, 1, threads, 1, 1, 0)]
        self._checked(
            self._driver.cuLaunchKernel(self._functions[name], *sizes, ctypes.c_void_p(stream), pointers, None)
        )

    def _function(self, name: str) -> ctypes.c_void_p:
        function = ctypes.c_void_p()
        self._checked(self._driver.cuModuleGetFunction(ctypes.byref(function), self._module, name.encode()))
        return function

    def _checked(self, status: int) -> None:
        if status:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, ctypes.byref(text))
            raise RuntimeError(f"CUDA driver: {(text.value or b'unknown error').decode()} ({status})")


@cache
def cuda_driver() -> ctypes.CDLL:
    """The CUDA driver's library.

    Raises:
        OSError: when it is not installed.
    """
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
