"""Where tensors live: the names that a user can give, resolved once."""

from __future__ import annotations

import torch

from gtr_core.errors import ErrorCode, GtrError


def resolve_device(name: str) -> torch.device:
    """The device of this name; ``auto`` is the first GPU, or the CPU when there is none.

    Raises:
        GtrError: ``backend_unavailable`` when there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    known += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name not in known:
        raise GtrError(
            ErrorCode.BACKEND_UNAVAILABLE,
            f"There is no device {name} on this computer.",
            f"Choose auto or one of: {', '.join(known)}.",
        )
    return torch.device(name)
