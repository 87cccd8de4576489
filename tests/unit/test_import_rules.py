"""Who may know whom: the arrows of docs/architecture.md, read from the import statements."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAIN = ["geometry", "fields", "model", "fit", "stages", "training", "feed_forward", "pipeline", "evaluation", "cli"]
BESIDE = ["data", "metrics", "parallel"]
"""Rooms that the chain uses from the middle on; they know nothing of its end."""
ADDON_ALLOWED = {"bpy", "bpy_extras", "mathutils", "gpu", "gpu_extras", "blf", "addon_utils", "numpy", "requests"}


def imported_modules(path: Path) -> Iterator[tuple[str, bool]]:
    """Absolute names of the modules a file imports, and whether it does so when it is loaded."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in lazy
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            yield name, id(node) not in lazy
            for alias in node.names:
                yield f"{name}.{alias.name}", id(node) not in lazy


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name, _ in imported_modules(path)}


@pytest.mark.parametrize("path", files("gtr_core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_knows_neither_server_nor_blender(path: Path) -> None:
    assert roots(path).isdisjoint({"gtr_server", "blender_addon", "flask", "waitress", "bpy", "requests"})


@pytest.mark.parametrize("path", files("gtr_core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_of_the_core_never_turn_back(path: Path) -> None:
    own = path.relative_to(ROOT / "gtr_core").with_suffix("").parts[0]
    if own not in CHAIN:
        return
    later = {f"gtr_core.{name}" for name in CHAIN[CHAIN.index(own) + 1 :]}
    used = {".".join(name.split(".")[:2]) for name, _ in imported_modules(path)}
    assert used.isdisjoint(later)


@pytest.mark.parametrize(
    "path", [path for room in BESIDE for path in files(f"gtr_core/{room}")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_rooms_beside_the_chain_do_not_know_its_end(path: Path) -> None:
    used = {".".join(name.split(".")[:2]) for name, _ in imported_modules(path)}
    assert used.isdisjoint({f"gtr_core.{name}" for name in ("training", "pipeline", "evaluation", "cli")})


def test_nvdiffrast_is_named_in_one_file_and_imported_lazily() -> None:
    importers = {
        path.name: at_load
        for package in ("gtr_core", "gtr_server", "blender_addon")
        for path in files(package)
        for name, at_load in imported_modules(path)
        if name.split(".")[0] == "nvdiffrast"
    }
    assert importers == {"nvdiffrast_backend.py": False}


def test_pretrained_networks_come_in_through_the_encoders_alone_and_lazily() -> None:
    importers = {
        (path.stem, name.split(".")[0]): at_load
        for package in ("gtr_core", "gtr_server", "blender_addon")
        for path in files(package)
        for name, at_load in imported_modules(path)
        if name.split(".")[0] in {"diffusers", "transformers", "huggingface_hub"}
    }
    assert importers == {
        ("vae_encoder", "diffusers"): False,
        ("dino_encoder", "transformers"): False,
        ("pretrained", "transformers"): False,
        ("pretrained", "huggingface_hub"): False,
    }


@pytest.mark.parametrize("path", files("gtr_server"), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_tasks_imports_the_facade(path: Path) -> None:
    names = {name for name, _ in imported_modules(path)}
    assert "bpy" not in roots(path)
    if path.name != "tasks.py":
        assert not any(name.startswith("gtr_core.pipeline") for name in names)


def test_front_process_does_not_load_torch() -> None:
    code = (
        "import sys, gtr_server.__main__, gtr_server.app\nfrom gtr_server import models\n"
        "models.listing(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", files("blender_addon"), ids=lambda p: str(p.relative_to(ROOT)))
def test_addon_needs_nothing_but_blender_numpy_and_requests(path: Path) -> None:
    foreign = {
        name
        for name in roots(path)
        if name not in sys.stdlib_module_names and name not in {"", "__future__", "blender_addon"}
    }
    assert foreign <= ADDON_ALLOWED


ADDON = ROOT / "blender_addon"
WORKER_ROOMS = ("link", "job", "formats", "texture")
WORKER_FILES = (
    "client",
    "jobs",
    "job_process",
    "coords",
    "camera_sets",
    "server_process",
    "messages",
    "results",
    "packages",
    "values",
)
BPY_FREE = [
    *(ADDON / f"{name}.py" for name in WORKER_FILES),
    *(p for r in WORKER_ROOMS for p in files(f"blender_addon/{r}")),
]


@pytest.mark.parametrize("path", BPY_FREE, ids=lambda p: str(p.relative_to(ADDON)))
def test_worker_thread_modules_know_no_bpy(path: Path) -> None:
    assert roots(path).isdisjoint({"bpy", "mathutils", "gpu"})
    own = {name.split(".")[1] for name, _ in imported_modules(path) if name.startswith("blender_addon.")}
    assert own <= {*WORKER_ROOMS, *WORKER_FILES, "errors", "version", "faults"}


def test_core_loads_without_its_options() -> None:
    code = """
import sys
options = "nvdiffrast", "diffusers", "transformers", "huggingface_hub", "skimage", "ray", "tensorboard", "playwright"
for name in options: sys.modules[name] = None
import gtr_core.pipeline, gtr_core.geometry.rasterize, gtr_core.cli.main
import gtr_core.evaluation.run, gtr_core.evaluation.ray_executor, gtr_core.evaluation.report_build
import gtr_core.metrics.ssim, gtr_core.training.loop, gtr_core.data.procedural, gtr_core.data.render_folder
import gtr_core.model.weights, gtr_core.model.vae_encoder, gtr_core.model.dino_encoder
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
