"""Which tracer there is for a device: the compiled one where it can be built, else the readable one."""

from __future__ import annotations

import logging
import subprocess
from functools import cache

import torch

from gtr_core.data.procedural.native import NativeTracer
from gtr_core.data.procedural.readable import ReadableTracer
from gtr_core.data.procedural.tracer import Tracer

_log = logging.getLogger(__name__)


def choose_tracer(device: torch.device | str = "cpu") -> Tracer:
    """The fastest tracer for a device; a warning in the log says why it is the readable one."""
    return _choose(torch.device(device))


@cache
def _choose(device: torch.device) -> Tracer:
    if device.type == "cpu":
        try:
            return NativeTracer()
        except FileNotFoundError:
            _log.warning("No C++ compiler was found: procedural objects are traced about 200 times more slowly.")
        except subprocess.CalledProcessError as error:
            _log.warning("The C++ compiler failed, procedural objects are traced slowly:\n%s", error.stderr)
        except OSError as error:
            _log.warning("The compiled tracer cannot be loaded, procedural objects are traced slowly: %s", error)
    return ReadableTracer()
