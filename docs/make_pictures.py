"""Make the pictures of the README: ``python -m docs.make_pictures`` (needs Debian's blender and xvfb for the panel).

Writes ``docs/pictures/demo.png`` (from demo.py), ``stages.png`` (preset ``fit`` on the demo's tea tin), ``panel.png``
and ``models.png`` (a real Blender window).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from examples.tea_tin import draw_label
from gtr_core.data.render_dataset import render_views
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import Cameras, camera_set, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import to_pil
from gtr_core.io.mesh_files import read_mesh
from gtr_core.pipeline import Pipeline
from gtr_core.views import Views

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
TILE = 256
INPUT = 512


def run_demo() -> None:
    """Run demo.py and take its picture."""
    subprocess.run([sys.executable, str(ROOT / "demo.py")], check=True, stdout=subprocess.DEVNULL)
    with Image.open(ROOT / "out" / "demo.png") as sheet:
        sheet.convert("RGB").quantize(256).save(PICTURES / "demo.png", optimize=True)


def tea_tin() -> Mesh:
    """The demo's result, moved and scaled into the unit box as a capture would."""
    mesh = read_mesh(ROOT / "out" / "demo.glb")
    low, high = mesh.bounds
    centre = (low + high) / 2
    radius = (mesh.vertices - centre).norm(dim=-1).max()
    return Mesh((mesh.vertices - centre) * 0.95 / radius, mesh.faces, mesh.colors)


def picture(mesh: Mesh, camera: Cameras, *, shaded: bool = False) -> Tensor:
    """(TILE, TILE, 3) of the mesh: its colours, or a grey clay lit from the camera."""
    drawn = render_mesh(mesh, camera, supersample=3)
    if not shaded:
        return drawn.rgb[0]
    facing = (drawn.normal[0] @ -camera.c2w[0, :3, 2]).clamp(0, 1)[..., None]
    mask = drawn.mask[0][..., None]
    return ((0.25 + 0.65 * facing) * mask + (1 - mask)).expand(-1, -1, 3)


def stages_row(pipeline: Pipeline, views: Views, camera: Cameras) -> list[tuple[str, Tensor]]:
    """Inputs, hull (if one is made), mesh, normals and colours of one reconstruction."""
    small = torch.nn.functional.avg_pool2d(views.composite()[:4].permute(0, 3, 1, 2), INPUT * 2 // TILE)
    inputs = torch.cat([torch.cat(list(small[k : k + 2]), dim=2) for k in (0, 2)], dim=1).permute(1, 2, 0)
    hulls: list[Mesh] = []
    result = pipeline.reconstruct(views, on_preview=hulls.append)
    kind = "with depth" if views.depth is not None else "masks only"
    row = [(f"{len(views)} views, {kind}", inputs)]
    row += [("visual hull", picture(hull, camera, shaded=True)) for hull in hulls[:1]]
    row += [("mesh", picture(result.mesh, camera, shaded=True)), ("colours", picture(result.mesh, camera))]
    return row


def draw_stages() -> None:
    """Compose ``stages.png``: masks only above, with depth below."""
    mesh, pipeline = tea_tin(), Pipeline.load("fit", device="cpu")
    camera = orbit([62], [24], height=TILE, width=TILE)
    six = render_views(mesh, camera_set("zero123plus", height=INPUT, width=INPUT))
    fourteen = render_views(mesh, camera_set("sphere14", height=INPUT, width=INPUT))
    rows = [stages_row(pipeline, Views(six.rgba, six.cameras), camera), stages_row(pipeline, fourteen, camera)]
    sheet = Image.new("RGB", (TILE * max(map(len, rows)), (TILE + 24) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, (title, tile) in enumerate(row):
            draw.text((c * TILE + 8, r * (TILE + 24) + 4), title, fill=(40, 36, 34), font=ImageFont.load_default(15))
            sheet.paste(to_pil(tile), (c * TILE, r * (TILE + 24) + 24))
    sheet.save(PICTURES / "stages.png", optimize=True)


def photograph_panel() -> None:
    """Play the click test in a real window and take its picture after refinement."""
    sys.path.insert(0, str(ROOT / "tests" / "e2e" / "window"))
    import blender_window

    with tempfile.TemporaryDirectory() as folder:
        draw_label(Path(folder) / "label.png")
        outcome = blender_window.play(ROOT / "docs" / "panel_scene.py", "panel", Path(folder))
        shutil.copy(outcome.folder / "panel.png", PICTURES / "panel.png")


def photograph_models() -> None:
    """``models.png``: the panel with its list of models, and with a model that has no weights."""
    sys.path[:0] = [str(ROOT / "tests" / "e2e" / "window"), str(ROOT / "tests")]
    import blender_window
    from tiny_model import write_tiny_weights

    with tempfile.TemporaryDirectory() as folder:
        write_tiny_weights(Path(folder) / "home" / "models" / "gtr-tiny.safetensors")
        outcome = blender_window.play(ROOT / "docs" / "models_scene.py", "models", Path(folder))
        parts = []
        for name in ("menu", "missing"):
            with Image.open(outcome.folder / f"{name}.png") as window:
                parts.append(window.convert("RGB").crop((window.width - 218, 75, window.width - 30, 590)))
    sheet = Image.new("RGB", (sum(part.width + 8 for part in parts) - 8, parts[0].height), "white")
    for index, part in enumerate(parts):
        sheet.paste(part, (index * (part.width + 8), 0))
    sheet.save(PICTURES / "models.png", optimize=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    run_demo()
    draw_stages()
    photograph_panel()
    photograph_models()
