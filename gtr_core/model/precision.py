"""In which precision the transformer computes fastest on a device without losing what matters."""

from __future__ import annotations

import torch


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies matrices of it in hardware, else float32; never float16."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    if device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        able = torch.cpu.get_capabilities()
        return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32
    return torch.float32
