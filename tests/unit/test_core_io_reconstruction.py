"""Stored reconstructions: what a refinement shares with its origin, and fields of the learned presets."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh

from gtr_core.fields.decoder import ColorMlp, DensityMlp
from gtr_core.fields.density_head import DensityHead
from gtr_core.fields.triplane_field import TriplaneField
from gtr_core.geometry.cameras import camera_set
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.reconstruction_files import (
    BASE_FILE,
    JSON_FILE,
    TEXTURE_FILE,
    load_reconstruction,
    save_reconstruction,
)
from gtr_core.model.shared_decoder import shared_decoders
from gtr_core.pipeline import Pipeline, Reconstruction
from gtr_core.presets import get_preset
from gtr_core.views import Views

CHANNELS, RESOLUTION, WIDTH = 4, 16, 8


def learned(*, shared: bool = False, head: DensityHead | None = None) -> Reconstruction:
    """A ball with a random texture, as a network would leave it."""
    generator = torch.Generator().manual_seed(0)
    planes = torch.randn(3, CHANNELS, RESOLUTION, RESOLUTION, generator=generator)
    if shared:
        density, color = shared_decoders(3 * CHANNELS, WIDTH, generator=generator)
    else:
        density = DensityMlp(3 * CHANNELS, WIDTH, generator=generator)
        color = ColorMlp(3 * CHANNELS, WIDTH, generator=generator)
    field = TriplaneField(planes, density, color, density_head=head or DensityHead(20.0, 10.0))
    ball = trimesh.creation.icosphere(2, 0.7)
    mesh = Mesh(torch.tensor(ball.vertices).float(), torch.tensor(ball.faces))
    views = Views(torch.ones(2, 32, 32, 4), camera_set("orthogonal", height=32, width=32)[[0, 1]])
    with torch.no_grad():
        return Reconstruction(views, field, mesh.with_colors(field.color(mesh.vertices)), "gtr-tiny")


def refine(reconstruction: Reconstruction, steps: int = 2) -> Reconstruction:
    """Refining needs no network."""
    pipeline = Pipeline(get_preset(reconstruction.preset), torch.device("cpu"))
    return pipeline.refine_texture(reconstruction, steps=steps)


def points() -> torch.Tensor:
    return torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("shared", [False, True], ids=["two decoders", "one decoder"])
@pytest.mark.parametrize("refined", [False, True], ids=["as made", "refined"])
def test_a_learned_field_comes_back_to_the_bit(tmp_path: Path, shared: bool, refined: bool) -> None:
    value = learned(shared=shared)
    value = refine(value) if refined else value
    save_reconstruction(value, tmp_path)
    again = load_reconstruction(tmp_path)
    with torch.no_grad():
        assert torch.equal(again.field.density(points()), value.field.density(points()))
        assert torch.equal(again.field.color(points()), value.field.color(points()))
    assert again.field.density_head == value.field.density_head == DensityHead(20.0, 10.0)
    assert (again.field.geometry_planes is None) == (not refined)
    more, stayed = refine(again), refine(value)
    assert torch.equal(more.mesh.colors, stayed.mesh.colors)


def test_unrefined_planes_are_stored_once(tmp_path: Path) -> None:
    value = learned()
    save_reconstruction(value, tmp_path)
    planes = value.field.planes.numel() * 4
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * planes + 40_000
    assert (tmp_path / TEXTURE_FILE).stat().st_size < planes


def test_a_refinement_links_what_it_leaves_alone(tmp_path: Path) -> None:
    first = learned()
    second = refine(first)
    third = refine(second)
    for name, value, origin in (("1", first, None), ("2", second, "1"), ("3", third, "2")):
        save_reconstruction(value, tmp_path / name, origin=None if origin is None else tmp_path / origin)
    inodes = {(tmp_path / name / BASE_FILE).stat().st_ino for name in "123"}
    assert len(inodes) == 1
    shutil.rmtree(tmp_path / "1")
    shutil.rmtree(tmp_path / "2")
    again = load_reconstruction(tmp_path / "3")
    assert again.refinement.steps == third.refinement.steps == 4
    assert torch.equal(again.mesh.colors, third.mesh.colors)


def test_another_origin_is_not_linked(tmp_path: Path) -> None:
    value = learned()
    moved = replace(value, mesh=replace(value.mesh, vertices=value.mesh.vertices * 0.5))
    save_reconstruction(moved, tmp_path / "1")
    save_reconstruction(refine(value), tmp_path / "2", origin=tmp_path / "1")
    assert (tmp_path / "2" / BASE_FILE).stat().st_nlink == 1
    assert torch.equal(load_reconstruction(tmp_path / "2").mesh.vertices, value.mesh.vertices)


@pytest.mark.parametrize("harm", ["gone", "no description", "cut short", "no links"])
def test_without_a_sound_origin_it_is_written_whole(tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = learned()
    origin = tmp_path / "1"
    save_reconstruction(value, origin)
    if harm == "gone":
        shutil.rmtree(origin)
    elif harm == "no description":
        (origin / JSON_FILE).write_text("[]")
    elif harm == "cut short":
        (origin / BASE_FILE).write_bytes((origin / BASE_FILE).read_bytes()[:-1])
    else:

        def refuse(*_paths: object) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    refined = refine(value)
    save_reconstruction(refined, tmp_path / "2", origin=origin)
    assert torch.equal(load_reconstruction(tmp_path / "2").mesh.colors, refined.mesh.colors)
    assert (tmp_path / "2" / BASE_FILE).stat().st_nlink == 1


def test_saving_again_over_a_link_leaves_the_origin_alone(tmp_path: Path) -> None:
    value = learned()
    save_reconstruction(value, tmp_path / "1")
    save_reconstruction(refine(value), tmp_path / "2", origin=tmp_path / "1")
    other = replace(value, mesh=replace(value.mesh, vertices=value.mesh.vertices * 0.5))
    save_reconstruction(other, tmp_path / "2")
    assert torch.equal(load_reconstruction(tmp_path / "1").mesh.vertices, value.mesh.vertices)
    assert torch.equal(load_reconstruction(tmp_path / "2").mesh.vertices, other.mesh.vertices)
