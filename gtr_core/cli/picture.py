"""One picture of a reconstruction: inputs, new views, normals, and the texture before and after its refinement."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gtr_core.fields.output import RenderOutput
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.geometry.cameras import FOV_DEGREES, Cameras, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import to_pil
from gtr_core.io.posed_image import PosedImage, resized
from gtr_core.views import Views

TILE = 224
"""Side of one picture in pixels."""
COLUMNS = 6
BACKDROP = 0.9
"""Grey value behind the object, so that a white one is seen."""
_GAP, _MARGIN, _LABEL = 8, 16, 26
_ZOOM = 4
"""Enlargement of the tiles that compare the texture before and after."""
_UNCHANGED = 1e-4
"""Weight of a place without any change, so that the object is shown even if nothing changed."""
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def draw_result(views: Views, mesh: Mesh, before: Mesh | None = None, *, caption: str = "") -> Image.Image:
    """Put a reconstruction on one sheet.

    Args:
        views: that it was made from.
        mesh: the result, as its file has it.
        before: the mesh before its texture was refined; None leaves that row out.
        caption: line at the foot.

    Returns:
        An RGB picture, ``COLUMNS`` tiles wide.
    """
    cameras = novel_cameras(mesh)
    after = render_mesh(mesh, cameras, background=BACKDROP, supersample=2)
    rows = [
        (_inputs_title(views), input_tiles(views)),
        ("New views of the mesh", list(after.rgb)),
        ("Normals", list(normal_colors(after, cameras))),
    ]
    if before is not None:
        changed = before.colors is not None and mesh.colors is not None and not torch.equal(before.colors, mesh.colors)
        where = "where it changed most" if changed else "it found nothing better than the start"
        rows.append((f"Input, before and after refinement ({where})", change_tiles(views, before, mesh)))
    return _sheet(rows, caption)


def novel_cameras(mesh: Mesh) -> Cameras:
    """Cameras around the mesh, between the usual input views, from which all of it is seen."""
    radius = float(mesh.vertices.norm(dim=-1).max())
    distance = 1.05 * radius / math.sin(math.radians(FOV_DEGREES / 2))
    azimuths = [15 + 360 / COLUMNS * k for k in range(COLUMNS)]
    elevations = [25.0, -15.0] * (COLUMNS // 2)
    cameras = orbit(azimuths, elevations, height=TILE, width=TILE, distance=distance)
    return cameras.to(mesh.vertices.device)


def normal_colors(output: RenderOutput, cameras: Cameras) -> Tensor:
    """(V, H, W, 3) colours of the normals before the backdrop."""
    return output.normal_colors(cameras, BACKDROP)


def input_tiles(views: Views) -> list[Tensor]:
    """The shown input pictures, fitted into square tiles."""
    return [_tile(views, index) for index in shown_views(views)]


def _tile(views: Views, index: int) -> Tensor:
    fitted = _fitted_cameras(views.cameras)
    source = PosedImage("", views.rgba[index], views.cameras.c2w[index], views.cameras.intrinsics[index])
    small = resized(source, fitted.height, fitted.width).rgba
    tile = small.new_full((TILE, TILE, 3), BACKDROP)
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    alpha = small[..., 3:]
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small[..., :3] * alpha + BACKDROP * (1 - alpha)
    return tile


def change_tiles(views: Views, before: Mesh, after: Mesh) -> list[Tensor]:
    """Input, before and after, enlarged where two of the shown inputs changed most: six square tiles."""
    shown = views[shown_views(views)]
    small = _fitted_cameras(shown.cameras)
    old, new = (render_mesh(mesh, small) for mesh in (before, after))
    window = max(1, min(small.height, small.width) // _ZOOM)
    change = (old.rgb - new.rgb).abs().mean(-1)
    # The mean over a window, as one changed pixel alone is noise; windows full of the object rather than its outline.
    heat, share = (avg_pool2d(image[:, None], window, stride=1)[:, 0] for image in (change, new.mask))
    heat = (heat + _UNCHANGED) * share**8
    order = heat.flatten(1).amax(1).argsort(descending=True)[: COLUMNS // 3].tolist()
    tiles = []
    for view in order:
        top, left = divmod(int(heat[view].argmax()), heat.shape[2])
        tiles += _zoomed(shown, view, before, after, (top, left, window), small)
    return tiles


def _zoomed(
    views: Views, view: int, before: Mesh, after: Mesh, box: tuple[int, int, int], small: Cameras
) -> list[Tensor]:
    """The square ``box`` (top, left, side in pixels of ``small``) of one view: input, before, after."""
    top, left, side = box
    scale = TILE / side
    fx, fy, cx, cy = small.intrinsics[view].tolist()
    focus = small.intrinsics.new_tensor([[fx * scale, fy * scale, (cx - left) * scale, (cy - top) * scale]])
    camera = Cameras(small.c2w[[view]], focus, TILE, TILE)
    height, width = views.cameras.height, views.cameras.width
    rows, columns = (
        ((torch.arange(TILE, device=focus.device) + 0.5) / scale + start) * whole / part
        for start, whole, part in ((top, height, small.height), (left, width, small.width))
    )
    image = views.composite(BACKDROP)[view][rows.long().clamp(max=height - 1)][:, columns.long().clamp(max=width - 1)]
    return [image, *(render_mesh(mesh, camera, background=BACKDROP, supersample=2).rgb[0] for mesh in (before, after))]


def _fitted_cameras(cameras: Cameras) -> Cameras:
    scale = TILE / max(cameras.height, cameras.width)
    return cameras.resized(max(1, round(cameras.height * scale)), max(1, round(cameras.width * scale)))


def shown_views(views: Views) -> list[int]:
    """Indices of at most ``COLUMNS`` views, spread over all."""
    count = min(COLUMNS, len(views))
    return [k * len(views) // count for k in range(count)]


def _inputs_title(views: Views) -> str:
    shown = min(COLUMNS, len(views))
    return "Input views" if shown == len(views) else f"Input views ({shown} of {len(views)})"


def _sheet(rows: Sequence[tuple[str, Sequence[Tensor]]], caption: str) -> Image.Image:
    width = 2 * _MARGIN + COLUMNS * TILE + (COLUMNS - 1) * _GAP
    row_height = _LABEL + TILE + _GAP
    height = 2 * _MARGIN + len(rows) * row_height + (_LABEL if caption else 0)
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(16)
    for number, (title, tiles) in enumerate(rows):
        top = _MARGIN + number * row_height
        draw.text((_MARGIN, top), title, _INK, font)
        for column, tile in enumerate(tiles):
            sheet.paste(to_pil(tile), (_MARGIN + column * (TILE + _GAP), top + _LABEL))
    if caption:
        draw.text((_MARGIN, _MARGIN + len(rows) * row_height), caption, _INK, font)
    return sheet
