"""Report what this machine has, after a few steps of both stages of training on it.

Prints one line ``report: {...}``. What was imported by then and is neither the project's nor Python's own is what
``gtr train`` needs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("torch", "numpy", "scipy", "pillow", "safetensors", "trimesh", "fast-simplification", "filelock", "psutil"),
    *("scikit-image", "tensorboard", "nvdiffrast", "pydantic", "flask", "waitress"),
)
"""The first five are those of training; the evaluation needs the next four, too."""


def train(folder: Path, device: str) -> None:
    """A few steps of both stages with the smallest network."""
    from gtr_core.cli.main import OK, main

    few = ["--preset", "gtr-tiny", "--steps", "2", "--batch", "2", "--log-steps", "1", "--device", device]
    few += ["--processes", "1"] if device.startswith("cuda") else []
    for stage, start in (("nerf", []), ("mesh", ["--from", str(folder / "nerf")])):
        if main(["train", stage, *few, *start, "-o", str(folder / stage)]) != OK:
            raise SystemExit(f"the stage {stage} does not run on {device}")


def imported() -> list[str]:
    """Top names of all modules that came from installed packages."""
    files = {name.partition(".")[0]: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    return sorted(name for name, file in files.items() if "site-packages" in file or "dist-packages" in file)


def installed(name: str) -> str | None:
    """Version of a package; None when it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def report(folder: Path, device: str) -> dict[str, Any]:
    """All that may matter later."""
    import torch

    from gtr_core.data.procedural.tracers import choose_tracer

    gpu = device.startswith("cuda")
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in PACKAGES},
        "imported_by_training": imported(),
        "device": torch.cuda.get_device_name(device) if gpu else platform.processor() or platform.machine(),
        "device_memory": torch.cuda.get_device_properties(device).total_memory if gpu else 0,
        "cuda": torch.version.cuda,
        "cores": len(os.sched_getaffinity(0)),
        "free_memory": memory,
        "free_disk": shutil.disk_usage(folder).free,
        "compilers": {name: shutil.which(name) for name in ("nvcc", "g++", "ninja", "git")},
        "tracer": choose_tracer(device).name,
    }


def main() -> None:
    """Train, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    train(options.folder, options.device)
    print("report: " + json.dumps(report(options.folder, options.device)))


if __name__ == "__main__":
    main()
