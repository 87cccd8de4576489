"""Which tracer there is for a device: the compiled one where it can be built, else the readable one."""

from __future__ import annotations

import logging
import subprocess
from functools import cache

import torch

from gtr_core.data.procedural.cuda import CudaTracer
from gtr_core.data.procedural.native import NativeTracer
from gtr_core.data.procedural.readable import ReadableTracer
from gtr_core.data.procedural.tracer import Tracer

_log = logging.getLogger(__name__)


def choose_tracer(device: torch.device | str = "cpu") -> Tracer:
    """The fastest tracer for a device; a warning in the log says why it is the readable one."""
    return _choose(torch.device(device))


@cache
def _choose(device: torch.device) -> Tracer:
    try:
        if device.type == "cpu":
            return NativeTracer()
        if device.type == "cuda":
            return CudaTracer(device)
    except subprocess.CalledProcessError as error:
        _warn(f"the compiler failed:\n{error.stderr}")
    except (OSError, RuntimeError) as error:
        _warn(str(error))
    return ReadableTracer()


def _warn(reason: str) -> None:
    _log.warning("Procedural objects are traced by the readable code, hundreds of times more slowly: %s", reason)
