"""Before any minute is spent: what the machine has, and whether both stages of training run on it at all."""

from __future__ import annotations

import json
import shutil

from job import HERE, Job, Outcome

_MARK = "report: "
_NEEDED_DISK = 8 << 30


def device(name: str) -> str:
    """``auto`` is the GPU when there is one."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def unpack_wheels(job: Job) -> Outcome:
    """Make the packages that were brought along importable."""
    wheels = job.settings.wheels
    if wheels is None:
        return Outcome("absent", "No packages were brought along (--wheels).")
    files = sorted(wheels.glob("*.whl"))
    arguments = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--upgrade", "--target"]
    ended = job.python("packages", [*arguments, job.folder("site"), *files], min(job.left, 120))
    names = ", ".join(path.name.split("-")[0] for path in files)
    if not files or ended.code:
        return Outcome("failed", f"{wheels} was not installed: {ended.last_line}")
    return Outcome("done", f"Installed: {names}.", {"packages": [path.name for path in files]})


def look_around(job: Job) -> Outcome:
    """Versions, memory, disk, compilers; and a few steps of both stages with a tiny network on the device."""
    folder = job.folder("preflight")
    shutil.rmtree(folder)
    arguments = [HERE / "look_around.py", "--device", job.settings.device, "--folder", folder]
    ended = job.python("preflight", arguments, min(job.left - 10, 180))
    if ended.code != 0:
        return Outcome("failed", f"Training does not run here: {ended.last_line}")
    lines = [line for line in ended.log.read_text().splitlines() if line.startswith(_MARK)]
    figures = json.loads(lines[-1].removeprefix(_MARK))
    faults = _faults(figures, tiny=job.settings.tiny, gpu=job.settings.on_gpu)
    if faults:
        return Outcome("failed", " ".join(faults), figures)
    missing = [name for name, version in figures["packages"].items() if version is None]
    told = f"Not installed: {', '.join(missing)}." if missing else "Every package is there."
    return Outcome("done", f"{figures['device']}, torch {figures['packages']['torch']}. {told}", figures)


def _faults(figures: dict[str, object], *, tiny: bool, gpu: bool) -> list[str]:
    faults = []
    if gpu and figures["tracer"] != "cuda":
        faults.append(f"Procedural objects are traced by the {figures['tracer']} code, not by the GPU.")
    # memory is told, not judged: that of a small virtual machine grows as it is used
    free = figures["free_disk"]
    assert isinstance(free, int)
    if not tiny and free < _NEEDED_DISK:
        faults.append(f"Only {free / 2**30:.1f} GiB of the disk are free; {_NEEDED_DISK >> 30} are needed.")
    return faults


def build_nvdiffrast(job: Job) -> Outcome:
    """Build nvdiffrast from its source, into the state."""
    source = job.settings.nvdiffrast
    if source is None:
        return Outcome("absent", "No source of nvdiffrast was given (--nvdiffrast), so nothing is compared with it.")
    if not job.settings.on_gpu:
        return Outcome("absent", "nvdiffrast needs a GPU.")
    copy = job.settings.state / "nvdiffrast"
    if not copy.exists():
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".git"))
    install = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--upgrade"]
    more = {"TORCH_CUDA_ARCH_LIST": _capability(), "MAX_JOBS": "8"}
    ended = job.python("nvdiffrast", [*install, "--target", job.folder("site"), copy], min(job.left - 40, 300), more)
    if ended.code != 0:
        return Outcome("failed", f"nvdiffrast was not built: {ended.last_line}")
    return Outcome("done", "nvdiffrast was built from its source.")


def _capability() -> str:
    import torch

    major, minor = torch.cuda.get_device_capability()
    return f"{major}.{minor}"
