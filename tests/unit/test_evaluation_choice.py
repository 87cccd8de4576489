"""Which systems a command line names, and what is said of names and files that are wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluation_systems import SMALL, evaluation
from fake_lpips import write_fake_weights

from gtr_core.data.meshes import load_textured_mesh
from gtr_core.errors import GtrError
from gtr_core.evaluation.choice import SystemChoice, chosen_systems
from gtr_core.evaluation.external import external_meshes
from gtr_core.evaluation.lpips_choice import parse_lpips
from gtr_core.evaluation.pair import PairTask, run_pair
from gtr_core.evaluation.snapshots import Milestones
from gtr_core.io.mesh_files import write_mesh
from gtr_core.metrics.lpips_backbones import BACKBONES

STEPS = Milestones((2,), (1.0,))


def names(choice: SystemChoice) -> list[str]:
    return [system.name for system in chosen_systems(choice)]


def test_fit_is_judged_when_nothing_is_named() -> None:
    (fit,) = chosen_systems(SystemChoice(milestones=STEPS))
    assert fit.variants == ("", "+2 steps", "+1 s")
    assert not fit.external


def test_weights_are_systems_by_their_labels(tiny_weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other.safetensors"
    copy.write_bytes(tiny_weights.read_bytes())
    choice = SystemChoice(("fit",), (f"gtr-tiny@nerf={tiny_weights}", f"gtr-tiny@mesh={copy}"), ("white", "hull"))
    assert names(choice) == ["white", "hull", "fit", "gtr-tiny@nerf", "gtr-tiny@mesh"]
    ablation = replace(choice, ablations=("geometry", "refinement"), milestones=STEPS)
    by_name = {system.name: system for system in chosen_systems(ablation)}
    assert by_name["gtr-tiny@nerf"].variants == ("", "neural rendering", "+2 steps", "+1 s")
    assert by_name["gtr-tiny@mesh"].variants == ("", "+2 steps", "+1 s")
    assert by_name["fit@refinement"].variants == (
        "", "+2 steps, colour model only", "+2 steps, triplane only", "+2 steps, both",
    )  # fmt: skip
    assert by_name["gtr-tiny@nerf"].digest("a") != by_name["gtr-tiny@mesh"].digest("a")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (SystemChoice(("nothing",)), "There is no preset named nothing."),
        (SystemChoice(weights=("gtr-tiny",)), "gtr-tiny lacks a name or a path."),
        (SystemChoice(weights=("gtr-tiny=nowhere",)), "There is no file nowhere with weights of gtr-tiny."),
        (SystemChoice(("gtr-tiny",)), "There are no weights of gtr-tiny"),
        (SystemChoice(baselines=("black",)), "There is no baseline black."),
        (SystemChoice(external=("x=/nowhere",)), "There is no folder /nowhere with meshes of x."),
        (SystemChoice(external=("a/b=.",)), "'a/b' cannot be the name of a system."),
        (SystemChoice(external=("truth=.",)), "'truth' cannot be the name of a system."),
        (SystemChoice(external=("x=.", "x=.")), "Two systems are called x."),
        (SystemChoice(ablations=("geometry",)), "lacks weights with the label nerf."),
        (SystemChoice(ablations=("refinement",)), "The ablation of the refinement needs a preset and steps."),
    ],
)
def test_wrong_names_are_said_in_one_sentence(choice: SystemChoice, said: str) -> None:
    with pytest.raises(GtrError) as caught:
        chosen_systems(choice)
    assert said in caught.value.message


@pytest.mark.parametrize("text", ["none", "vgg=", "none=a.pth", "vgg=a,b,c"])
def test_lpips_that_cannot_be(text: str) -> None:
    with pytest.raises(GtrError, match="does not name weights of LPIPS"):
        parse_lpips(text)


def test_lpips_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(GtrError, match="No weights of LPIPS with squeeze were found"):
        parse_lpips("squeeze")
    (tmp_path / "checkpoints").mkdir()
    backbone, linear = write_fake_weights("squeeze", tmp_path)
    backbone = backbone.rename(tmp_path / "checkpoints" / BACKBONES["squeeze"].cached_as[0])
    linear = linear.rename(tmp_path / "checkpoints" / "squeeze.pth")
    assert parse_lpips("squeeze") == parse_lpips(f"squeeze={backbone},{linear}")


def test_lpips_without_its_file() -> None:
    with pytest.raises(GtrError, match="There is no file nowhere"):
        parse_lpips("vgg=nowhere.pth")


def test_meshes_of_another_program_are_brought_into_the_frame(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [], "ab", replace(SMALL, alignment="icp"))
    folder = tmp_path / "meshes"
    folder.mkdir()
    mesh = load_textured_mesh(plan.objects[0].path)
    turned = replace(mesh, vertices=mesh.vertices[:, [1, 2, 0]] * 40 + 7)
    write_mesh(turned, folder / "a.glb")
    system = external_meshes("other", folder)
    (row,) = run_pair(PairTask(plan.objects[0], system, system.digest("a"), plan.settings)).rows
    assert row.status == "ok"
    assert row.mask_iou > 0.9
    assert row.psnr > 20
    assert row.f_score > 70
    assert row.missing["seconds"] == "It is not known."
    assert any(note.startswith("Aligned by closest points") for note in row.notes)
    before = system.digest("a")
    write_mesh(mesh, folder / "a.glb")
    assert system.digest("a") != before
    (row,) = run_pair(PairTask(plan.objects[1], system, system.digest("b"), plan.settings)).rows
    assert row.reason == f"There is no mesh of b in {folder} (.glb, .obj, .ply)."


def test_an_obj_changes_with_its_texture(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd -s 1 1 1 a.png\n")
    system, digests = external_meshes("other", tmp_path), set()
    for content in (b"1", b"2"):
        (tmp_path / "a.png").write_bytes(content)
        digests.add(system.digest("a"))
    assert len(digests) == 2
