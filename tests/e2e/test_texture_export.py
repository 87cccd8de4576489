"""A texture shows print that vertex colours cannot: the whole way through add-on, server, file and a renderer."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image, ImageDraw, ImageFont

from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import Cameras, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import read_mesh

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "blender_scripts" / "texture_way.py"
SECONDS = 1800


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texture")


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    """What the script measured; every test looks at its own part."""
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the module bpy is not installed")
    environment = {
        **os.environ,
        "BLENDER_USER_SCRIPTS": str(folder / "scripts"),
        "BLENDER_USER_CONFIG": str(folder / "config"),
        "GTR_HOME": str(folder / "home"),
        "GTR_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        "GTR_TESTING": "1",
        "GTR_FAULT": f"file:{folder / 'fault'}",
        "GTR_FAULT_RELEASE": str(folder / "release"),
    }
    for name in ("scripts/addons", "config", "out"):
        (folder / name).mkdir(parents=True)
    subprocess.run([sys.executable, ROOT / "build_addon.py", "-o", folder], check=True, capture_output=True)
    (addon,) = folder.glob("*.zip")
    printed().save(folder / "print.png")
    done = subprocess.run(
        [sys.executable, SCRIPT, addon, folder / "out", folder / "print.png"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        env=environment,
        check=False,
    )
    report = folder / "out" / "facts.json"
    assert report.exists(), done.stdout[-6000:]
    assert "Traceback" not in done.stdout, done.stdout[-6000:]
    return dict(json.loads(report.read_text(encoding="utf-8")))


def printed() -> Image.Image:
    """Text in two sizes, lines and dots on tiles of many colours; what vertex colours blur."""
    image = Image.new("RGB", (512, 512))
    draw = ImageDraw.Draw(image)
    paper = [(240, 214, 160), (200, 100, 50), (150, 200, 170), (170, 180, 230), (235, 190, 190)]
    for number in range(16):
        x, y = number % 4 * 128, number // 4 * 128
        draw.rectangle((x, y, x + 127, y + 127), fill=paper[number % len(paper)])
        draw.text((x + 8, y + 12), f"SIDE {number}", fill=(20, 20, 60), font=ImageFont.load_default(30))
        draw.text((x + 8, y + 52), "small print", fill=(140, 20, 20), font=ImageFont.load_default(18))
        draw.line((x + 8, y + 94, x + 120, y + 94), fill=(0, 0, 0), width=3)
        draw.ellipse((x + 54, y + 100, x + 74, y + 120), fill=(20, 90, 30))
    return image


@pytest.fixture(scope="module")
def cameras(facts: dict[str, Any], folder: Path) -> Cameras:
    """Views between those that were captured, around the middle of the source."""
    mesh = source(folder)
    low, high = mesh.bounds
    radius = float((mesh.vertices - (low + high) / 2).norm(dim=1).max())
    views = orbit((20, 110, 200, 290), (25, -25, 35, 10), height=512, width=512)
    moved = views.c2w.clone()
    moved[:, :3, 3] = moved[:, :3, 3] * radius / 0.95 + (low + high) / 2
    return Cameras(moved, views.intrinsics, 512, 512)


def source(folder: Path) -> Mesh:
    """The source in the axes of glTF: (x, z, -y) of the scene."""
    with np.load(folder / "out" / "source.npz") as data:
        points = data["points"][:, (0, 2, 1)] * (1, 1, -1)
        faces, uv = data["faces"], data["uv"]
    image = np.asarray(printed()).astype(np.float32) / 255
    return Mesh(
        torch.from_numpy(points).float(), torch.from_numpy(faces).long(), None, torch.from_numpy(uv).float(),
        torch.from_numpy(image),
    )  # fmt: skip


def psnr(mesh: Mesh, folder: Path, cameras: Cameras, picture: Path | None = None) -> float:
    """Of the colours where both meshes are seen."""
    found, wanted = (render_mesh(m, cameras) for m in (mesh, source(folder)))
    both = (found.mask > 0.99) & (wanted.mask > 0.99)
    if picture is not None:
        rows = [torch.cat(list(output.rgb), dim=1) for output in (wanted, found)]
        Image.fromarray((torch.cat(rows).clamp(0, 1) * 255).byte().numpy()).save(picture)
    return float(-10 * torch.log10(((found.rgb - wanted.rgb)[both] ** 2).mean()))


def only(folder: Path, key: str, suffix: str) -> Path:
    (path,) = (folder / "out" / key).glob(f"*{suffix}")
    return path


def test_texture_shows_more_than_vertex_colors(facts: dict[str, Any], folder: Path, cameras: Cameras) -> None:
    assert facts["reconstruct"] == ["FINISHED"]
    texture = psnr(read_mesh(only(folder, "glb", ".glb")), folder, cameras, folder / "texture.png")
    vertex = psnr(read_mesh(only(folder, "vertex", ".glb")), folder, cameras, folder / "vertex.png")
    print(f"texture {texture:.2f} dB, vertex colours {vertex:.2f} dB, {facts['vertices']} vertices")
    assert texture > vertex + 1.5


def test_obj_shows_the_same_texture(facts: dict[str, Any], folder: Path, cameras: Cameras) -> None:
    assert facts["obj"]["outcome"] == ["FINISHED"], facts["obj"]["error"]
    texture = psnr(read_mesh(only(folder, "glb", ".glb")), folder, cameras)
    read = trimesh.load(only(folder, "obj", ".obj"), process=False)
    picture = torch.from_numpy(np.array(read.visual.material.image.convert("RGB"))).float() / 255
    vertices, faces, uv = (torch.from_numpy(np.array(part)) for part in (read.vertices, read.faces, read.visual.uv))
    mesh = Mesh(vertices.float(), faces.long(), None, uv.float(), picture)
    assert psnr(mesh, folder, cameras) == pytest.approx(texture, abs=0.05)
    (line,) = facts["obj"]["lines"]
    assert "texture 1024 ✔" in line
    assert {path.suffix for path in (folder / "out" / "obj").iterdir()} == {".obj", ".mtl", ".png"}


def test_the_line_tells_what_is_in_the_file(facts: dict[str, Any], folder: Path) -> None:
    (line,) = facts["glb"]["lines"]
    path = only(folder, "glb", ".glb")
    assert line.startswith(f"{path.name} · ")
    assert "texture 1024 ✔" in line
    assert "colours" not in line
    assert facts["glb"]["message"].startswith("Done in ")


def test_several_objects_make_several_files(facts: dict[str, Any], folder: Path) -> None:
    assert len(facts["two"]["lines"]) == 2
    assert all("texture 256 ✔" in line for line in facts["two"]["lines"])
    assert {path.name for path in (folder / "out" / "two").iterdir()} == {"Printed_box_GTR.glb", "Second.glb"}


@pytest.mark.parametrize("key", ["vertex", "glb", "obj", "ply", "two"])
def test_export_leaves_the_scene_alone(facts: dict[str, Any], key: str) -> None:
    assert facts[key]["outcome"] == ["FINISHED"], facts[key]["error"]
    assert facts[key]["untouched"]


def test_ply_says_that_it_has_no_texture(facts: dict[str, Any], folder: Path) -> None:
    (line,) = facts["ply"]["lines"]
    assert "colours ✔" in line
    assert trimesh.load(only(folder, "ply", ".ply")).visual.kind == "vertex"


def test_cancel_leaves_no_file(facts: dict[str, Any], folder: Path) -> None:
    assert facts["cancel"]["message"] == "Cancelled"
    assert facts["cancel"]["lines"] == []
    assert {"unwrap", "color"} <= set(facts["cancel"]["stages"])
    assert facts["cancel"]["rising"]
    cancelled = folder / "out" / "cancelled"
    assert not cancelled.exists() or not list(cancelled.iterdir())


def test_texture_stays_on_a_bent_mesh(facts: dict[str, Any], folder: Path, cameras: Cameras) -> None:
    """The file has the bent shape, the texture that of the unbent one: straightened, it looks as before."""
    assert facts["bent"]["outcome"] == ["FINISHED"], facts["bent"]["error"]
    bent, straight = (read_mesh(only(folder, key, ".glb")) for key in ("bent", "vertex"))
    assert (bent.bounds - straight.bounds).abs().max() > 0.1
    # Vertices are doubled in the order of the charts, so straighten by the files' own faces.
    corners = straight.vertices[straight.faces].reshape(-1, 3)
    flat = Mesh(
        corners, torch.arange(len(corners)).reshape(-1, 3), None, bent.uv[bent.faces].reshape(-1, 2), bent.texture
    )
    assert psnr(flat, folder, cameras) > psnr(straight, folder, cameras) + 1
    assert any("Paint on" in note for note in facts["bent"]["notes"])


def test_only_results_get_a_texture(facts: dict[str, Any]) -> None:
    assert facts["foreign"]["outcome"] == ["CANCELLED"]
    assert facts["foreign"]["code"] == "export_failed"
    assert "was not made by GTR" in facts["foreign"]["error"]
