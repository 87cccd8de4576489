"""Rasterisation of triangle meshes: three operators, one file per backend."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.rasterize.interface import MAX_FACES, Rasterizer

__all__ = ["MAX_FACES", "Rasterizer", "get_rasterizer"]


def get_rasterizer(device: torch.device | str = "cpu", *, backend: str = "auto") -> Rasterizer:
    """The rasteriser for tensors on ``device``.

    Args:
        device: where the meshes lie.
        backend: ``torch`` (the reference, runs everywhere), ``nvdiffrast`` (CUDA only), or ``auto``: nvdiffrast when
            it is installed and ``device`` is CUDA, torch otherwise.

    Raises:
        GtrError: ``backend_unavailable`` when nvdiffrast is asked for by name and cannot be used.
        ValueError: for an unknown backend.
    """
    device = torch.device(device)
    if backend == "auto":
        backend = "nvdiffrast" if device.type == "cuda" and find_spec("nvdiffrast") is not None else "torch"
    if backend == "torch":
        from gtr_core.geometry.rasterize.torch_backend import TorchRasterizer

        return TorchRasterizer()
    if backend != "nvdiffrast":
        raise ValueError(f"unknown rasteriser backend {backend!r}; choose auto, torch or nvdiffrast")
    if device.type != "cuda":
        raise GtrError(
            ErrorCode.BACKEND_UNAVAILABLE,
            f"The rasteriser nvdiffrast draws on an NVIDIA GPU only, and the device is {device.type}.",
            "Choose the backend torch.",
        )
    from gtr_core.geometry.rasterize.nvdiffrast_backend import NvdiffrastRasterizer

    return NvdiffrastRasterizer(device)
