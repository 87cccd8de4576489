"""Weights of a training, from its run through a real server to a mesh: of both stages, without any step by hand."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ball_source import BallSource
from server_under_test import Client, read_npz, running
from sphere_request import RADIUS, sphere_request

from gtr_core.cli import train
from gtr_core.cli.main import OK, main
from gtr_core.model.weights_header import read_header

FEW = ["--preset", "gtr-tiny", "--steps", "3", "--batch", "2", "--threads", "0", "--device", "cpu"]
FEW += ["--learning-rate", "1e-5"]  # so that the ball they start from stays one
MODELS = {"gtr-tiny": "nerf", "my-chairs": "mesh"}
"""Names in the models folder, and the stage each is of."""


@pytest.fixture
def folder(tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with the weights of a run of each stage, the second from the first, that from a ball."""
    monkeypatch.setattr(train, "_source", lambda options: BallSource())
    start = tiny_weights
    for stage in MODELS.values():
        run = tmp_path / stage
        assert main(["train", stage, "--from", str(start), "-o", str(run), *FEW]) == OK
        start = run
    models = tmp_path / "models"
    models.mkdir()
    for name, stage in MODELS.items():
        shutil.copy(tmp_path / stage / "weights.safetensors", models / f"{name}.safetensors")
    monkeypatch.setenv("GTR_MODELS", str(models))
    return models


def mesh_of(client: Client, request: dict[str, Any]) -> dict[str, np.ndarray]:
    job = client.submit("/jobs", request)
    end = client.end(job)
    assert end["state"] == "succeeded", end
    mesh = read_npz(client.get(f"/jobs/{job}/artifacts/mesh.npz").content)
    assert (len(mesh["vertices"]), len(mesh["faces"])) == (end["stats"]["vertices"], end["stats"]["faces"])
    return mesh


def test_the_server_lists_them_and_makes_meshes_with_them(folder: Path, tmp_path: Path) -> None:
    with running(tmp_path / "server" / "home") as server:
        client = server.client()
        listed = {model["id"]: model for model in client.get("/models").json()}
        request = sphere_request(client, depth=False)
        meshes = []
        for name, stage in MODELS.items():
            file = folder / f"{name}.safetensors"
            assert (listed[name]["state"], listed[name]["preset"]) == ("ready", "gtr-tiny")
            assert (listed[name]["bytes"], listed[name]["license"]) == (file.stat().st_size, "Apache-2.0")
            assert read_header(file).source.startswith(f"gtr train {stage}: balls, 3 steps, 6 samples")
            meshes.append(mesh_of(client, {**request, "model": name, "images": request["images"][:4]}))
        client.session.close()
    for mesh in meshes:
        assert mesh["faces"].max() < len(mesh["vertices"])
        assert np.median(np.linalg.norm(mesh["vertices"], axis=1)) == pytest.approx(RADIUS, abs=0.1)
    assert not np.array_equal(meshes[0]["vertices"], meshes[1]["vertices"]), "each with its own weights"
