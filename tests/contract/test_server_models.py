"""Models through the server: which there are, which a job may name, and one network in the worker's memory."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from server_under_test import ROOT, Client, problem
from sphere_request import plain_request, sphere_request

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.progress import Cancelled
from gtr_server.__main__ import _know_checksums
from gtr_server.blobs import BlobStore
from gtr_server.reporter import Reporter
from gtr_server.services import Services
from gtr_server.tasks import STATE, Tasks
from gtr_server.wire import Message, Run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("GTR_MODELS", str(path))
    return path


def models_of(client: Client) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in client.get("/models").json()}


# --- what the front says --------------------------------------------------------------------------------------------


def test_missing_weights_are_said_with_a_way_out(shared: tuple[Client, Services], folder: Path) -> None:
    client = shared[0]
    mini = models_of(client)["gtr-mini"]
    assert (mini["state"], mini["code"], mini["sha256"], mini["bytes"]) == ("absent", "missing_weights", None, 0)
    document = problem(client.post("/jobs", {**plain_request(client), "model": "gtr-mini"}), 409, "model_unavailable")
    assert document["detail"] == mini["detail"]
    assert "gtr-mini" in mini["detail"]
    assert "models folder" in mini["detail"]
    assert "fit" in mini["detail"]
    assert str(folder) not in document["detail"]
    assert models_of(client)["fit"] == {
        "id": "fit", "preset": "fit", "sha256": None, "bytes": 0, "state": "ready", "code": None, "detail": "",
        "license": "Apache-2.0",
    }  # fmt: skip


def test_a_file_of_weights_becomes_a_model(shared: tuple[Client, Services], folder: Path, tiny_weights: Path) -> None:
    client = shared[0]
    for name in ("gtr-tiny", "my.model_2"):
        shutil.copy(tiny_weights, folder / f"{name}.safetensors")
    found = models_of(client)
    for name in ("gtr-tiny", "my.model_2"):
        model = found[name]
        assert (model["state"], model["preset"], model["code"], model["detail"]) == ("ready", "gtr-tiny", None, "")
        assert (model["bytes"], model["license"]) == (tiny_weights.stat().st_size, "Apache-2.0")
        assert client.post("/jobs", {**plain_request(client), "model": name}).status_code == 202
    assert client.get("/server").json()["models_folder"] == str(folder)
    assert client.get("/server").json()["models"] == client.get("/models").json()
    few = {**plain_request(client), "model": "gtr-tiny", "images": []}
    assert problem(client.post("/jobs", few), 422, "too_few_views")["detail"] == "2 views are needed, 0 loaded."


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("kind", ["pickle", "cut short", "empty", "without configuration", "unknown preset"])
def test_unusable_files_are_listed_as_such(
    shared: tuple[Client, Services], folder: Path, tiny_weights: Path, kind: str
) -> None:
    from safetensors.torch import save

    from gtr_core.model.config import ModelConfig

    config = {"gtr_config": ModelConfig().to_json(), "licence": "", "source": ""}
    data = {
        "pickle": lambda: pickle.dumps(Evil()),
        "cut short": lambda: tiny_weights.read_bytes()[:-10],
        "empty": lambda: b"",
        "without configuration": lambda: save({"x": torch.zeros(3)}),
        "unknown preset": lambda: save({"x": torch.zeros(3)}, config | {"preset": "gtr-huge"}),
    }[kind]()
    (folder / "gtr-mini.safetensors").write_bytes(data)
    client = shared[0]
    model = models_of(client)["gtr-mini"]
    assert (model["state"], model["code"]) == ("invalid", "checkpoint_invalid")
    document = problem(client.post("/jobs", {**plain_request(client), "model": "gtr-mini"}), 409, "model_unavailable")
    assert document["detail"] == model["detail"]
    assert "gtr-mini" in model["detail"]
    assert str(folder) not in str(model)
    assert document["state"] == "invalid"


def test_housekeeping_learns_the_checksums(shared: tuple[Client, Services], folder: Path, tiny_weights: Path) -> None:
    shutil.copy(tiny_weights, folder / "gtr-tiny.safetensors")
    stopping = threading.Event()
    stopping.set()
    _know_checksums(stopping)  # leaves at once
    assert models_of(shared[0])["gtr-tiny"]["sha256"] is None
    stopping.clear()
    _know_checksums(stopping)
    assert models_of(shared[0])["gtr-tiny"]["sha256"] == hashlib.sha256(tiny_weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["../gtr-tiny", "a/b", "gtr-tiny.safetensors", ".hidden", "GTR-TINY", "x" * 100])
def test_names_reach_no_other_file(
    shared: tuple[Client, Services], folder: Path, tiny_weights: Path, name: str
) -> None:
    shutil.copy(tiny_weights, folder.parent / "gtr-tiny.safetensors")
    shutil.copy(tiny_weights, folder / ".hidden.safetensors")
    shutil.copy(tiny_weights, folder / "gtr-tiny.safetensors")
    client = shared[0]
    problem(client.post("/jobs", {**plain_request(client), "model": name}), 404, "unknown_model")


def test_the_front_lists_models_without_torch(folder: Path, tiny_weights: Path) -> None:
    shutil.copy(tiny_weights, folder / "gtr-tiny.safetensors")
    code = "import sys\nfrom gtr_server import models\nmodels.require('gtr-tiny', 4)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- what the worker does -------------------------------------------------------------------------------------------


class Bench:
    """Tasks in this process, with jobs that are asked for directly."""

    def __init__(self, client: Client, services: Services, folder: Path) -> None:
        self.request = sphere_request(client, depth=False, grid_resolution=32)
        self.blobs, self.folder = services.settings.blobs, folder
        assert isinstance(services.blobs, BlobStore)
        self.tasks, self.sent, self.count = Tasks("cpu"), list[Message](), 0

    def run(self, task: str, model: str, request: dict[str, Any], parent: Path | None = None) -> Path:
        """Do a job; returns the folder of its results."""
        self.count += 1
        folder = self.folder / f"job{self.count}"
        folder.mkdir()
        run = Run(
            f"job{self.count}", 1, task, model, request, str(self.blobs), str(folder), str(parent) if parent else None
        )
        self.reporter = Reporter(run.job, 1, folder, self.sent.append)
        self.artifacts, self.notes, self.stats = self.tasks.do(run, self.reporter)
        return folder

    def reconstruct(self, model: str) -> Path:
        from gtr_server.schemas import ReconstructRequest

        body = ReconstructRequest.model_validate({**self.request, "model": model}, strict=True)
        return self.run("reconstruct", model, body.model_dump())

    def refine(self, parent: Path, steps: int = 2) -> Path:
        return self.run("refine", "gone", {"steps": steps, "strength": 1.0, "views": None, "seed": 0}, parent)


@pytest.fixture
def bench(served: tuple[Client, Services], folder: Path, tiny_weights: Path, tmp_path: Path) -> Bench:
    shutil.copy(tiny_weights, folder / "gtr-tiny.safetensors")
    (tmp_path / "results").mkdir()
    return Bench(*served, tmp_path / "results")


def test_a_learned_job_runs_and_says_where(bench: Bench) -> None:
    folder = bench.reconstruct("gtr-tiny")
    assert {"mesh.npz", "mesh.glb", "colors.npz"} <= {artifact["name"] for artifact in bench.artifacts}
    assert bench.stats["vertices"] > 100
    assert "CPU thread" in bench.stats["device"]
    assert {"load", "encode", "extract", "color", "save"} <= bench.stats["seconds"].keys()
    stored = sum(path.stat().st_size for path in (folder / STATE).iterdir())
    assert stored < 500_000, "the network must not be stored with each job"


def test_one_network_at_a_time_stays_in_memory(bench: Bench, folder: Path, tiny_weights: Path) -> None:
    bench.reconstruct("gtr-tiny")
    first = bench.tasks._loaded[1]
    bench.reconstruct("gtr-tiny")
    assert bench.tasks._loaded[1] is first
    network = weakref.ref(first.model)
    del first
    shutil.copy(tiny_weights, folder / "other.safetensors")
    bench.reconstruct("other")
    gc.collect()
    assert network() is None, "the former network is still in memory"
    network = weakref.ref(bench.tasks._loaded[1].model)
    bench.tasks.unload()
    gc.collect()
    assert network() is None, "unloading did not free the network"


def test_a_replaced_file_is_loaded_anew(bench: Bench, folder: Path) -> None:
    bench.reconstruct("gtr-tiny")
    first = bench.tasks._loaded[1]
    os.utime(folder / "gtr-tiny.safetensors", (1, 1))
    bench.reconstruct("gtr-tiny")
    assert bench.tasks._loaded[1] is not first


def test_children_need_neither_the_network_nor_the_parents_folder(bench: Bench, folder: Path) -> None:
    parent = bench.reconstruct("gtr-tiny")
    weights = folder / "gtr-tiny.safetensors"
    weights.unlink()
    bench.tasks.unload()
    child = bench.refine(parent)
    assert bench.stats["steps"] == 2
    shutil.rmtree(parent)
    bench.tasks.unload()
    grandchild = bench.refine(child)
    assert bench.stats["steps"] == 4
    bases = [(job / STATE / "base.safetensors").stat() for job in (child, grandchild)]
    assert bases[0].st_ino == bases[1].st_ino, "what refining leaves alone is stored twice"
    with pytest.raises(GtrError) as caught:
        bench.reconstruct("gtr-tiny")
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert "fit" in str(caught.value)


@pytest.mark.parametrize("stage", ["encode", "extract", "color"])
def test_cancel_reaches_the_network(bench: Bench, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = Reporter.__call__

    def stop(self: Reporter, name: str, done: int, total: int) -> None:
        if name == stage:
            self.cancel()
        tell(self, name, done, total)

    monkeypatch.setattr(Reporter, "__call__", stop)
    with pytest.raises(Cancelled):
        bench.reconstruct("gtr-tiny")
    assert bench.tasks._last is None
