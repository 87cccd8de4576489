"""From the CUDA source to machine code: with the NVRTC library that CUDA builds of torch carry, or with nvcc."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from gtr_core.data.procedural.kernel_source import kernel_cache, kernel_source
from gtr_core.io.atomic import write_atomic

_NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll")
_PATTERNS = ("libnvrtc.so*", "nvrtc64_*.dll")


def cuda_binary(capability: tuple[int, int]) -> bytes:
    """Machine code (cubin) of the kernels for GPUs of this compute capability, from the cache when it is there.

    Raises:
        OSError: when there is neither NVRTC nor nvcc.
        RuntimeError: when the compilation fails, with the compiler's words.
    """
    source = kernel_source("cuda")
    architecture = f"sm_{capability[0]}{capability[1]}"
    key = hashlib.sha256(f"{architecture}\0{torch.version.cuda}\0{source}".encode()).hexdigest()[:16]
    path = kernel_cache() / f"procedural-{architecture}-{key}.cubin"
    if path.exists():
        return path.read_bytes()
    library = find_nvrtc()
    binary = _compiled(library, source, architecture)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, binary)
    return binary


def _compiled(library: Any, source: str, architecture: str) -> bytes:
    """With NVRTC; with nvcc where that is not there or does not work."""
    if library is None:
        return compile_nvcc(source, architecture)
    try:
        return compile_nvrtc(library, source, architecture)
    except RuntimeError:
        if shutil.which("nvcc") is None:
            raise
        return compile_nvcc(source, architecture)


def find_nvrtc() -> ctypes.CDLL | None:
    """The NVRTC library of torch's CUDA, else that of the system."""
    packages = Path(torch.__file__).parent.parent
    folders = [packages / "torch" / "lib", *packages.glob("nvidia/*/lib"), *packages.glob("nvidia/*/bin")]
    found = [path for folder in folders for pattern in _PATTERNS for path in sorted(folder.glob(pattern))]
    for name in [*map(str, found), *_NAMES]:
        if "builtins" in name or "alt" in Path(name).name:
            continue
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def compile_nvrtc(library: Any, source: str, architecture: str) -> bytes:
    """Compile with NVRTC: no compiler, no headers needed."""
    program = ctypes.c_void_p()
    _checked(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"procedural.cu", 0, None, None))
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"--diag-suppress=177"]
    try:
        failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if failed:
            log = _text(program, library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog)
            raise RuntimeError(f"NVRTC failed:\n{log.decode(errors='replace')}")
        return _text(program, library.nvrtcGetCUBINSize, library.nvrtcGetCUBIN)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def compile_nvcc(source: str, architecture: str) -> bytes:
    """Compile with the CUDA toolkit's nvcc.

    Raises:
        FileNotFoundError: when there is none on the path.
    """
    compiler = shutil.which("nvcc")
    if compiler is None:
        raise FileNotFoundError("neither NVRTC nor nvcc was found")
    folder = kernel_cache()
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(source.encode()).hexdigest()[:8]
    path, result = folder / f"nvcc-{name}.cu", folder / f"nvcc-{name}-{architecture}.cubin"
    write_atomic(path, source.encode())
    command = [
        compiler,
        "-cubin",
        f"-arch={architecture}",
        "-std=c++17",
        "-diag-suppress=177",
        "-o",
        str(result),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"nvcc failed:\n{done.stderr}")
    return result.read_bytes()


def _text(program: ctypes.c_void_p, size_of: Any, read: Any) -> bytes:
    size = ctypes.c_size_t()
    _checked(size_of(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _checked(read(program, buffer))
    return buffer.raw


def _checked(status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC answered with status {status}")
