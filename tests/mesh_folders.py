"""Small folders of objects in the layouts of the data sets."""

from pathlib import Path

import numpy as np
from PIL import Image

RED_TOP = np.zeros((8, 8, 3), dtype=np.uint8)
RED_TOP[:4, :, 0], RED_TOP[4:, :, 1] = 255, 255
"""A texture with an upper half in red and a lower half in green."""

_CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
_SIDES = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]


def box_obj(*, size: tuple[float, float, float] = (1, 1, 1), mtl: str | None = "model.mtl", uv: bool = True) -> str:
    """Text of an OBJ file: a closed box; the upper half of the texture lies on the half with the larger second
    coordinate."""
    lines = [f"mtllib {mtl}", "usemtl material_0"] if mtl else []
    lines += [f"v {x * size[0] / 2} {y * size[1] / 2} {z * size[2] / 2}" for x, y, z in _CORNERS]
    if uv:
        lines += [f"vt {(z + 1) / 2} {(y + 1) / 2}" for _, y, z in _CORNERS]
    corner = "{0}/{0}" if uv else "{0}"
    for a, b, c, d in _SIDES:
        lines += ["f " + " ".join(corner.format(k) for k in face) for face in ((a, b, c), (a, c, d))]
    return "\n".join(lines) + "\n"


def write_texture(path: Path) -> None:
    """The red and green texture as a picture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RED_TOP).save(path)


def write_scanned(folder: Path, name: str = "ACE_Coffee_Mug", *, texture: bool = True) -> Path:
    """An object as Google Scanned Objects come: the material names a texture that lies in another folder."""
    meshes = folder / name / "meshes"
    meshes.mkdir(parents=True)
    (meshes / "model.obj").write_text(box_obj(size=(1, 0.5, 2)))
    (meshes / "model.mtl").write_text("newmtl material_0\nKd 1 1 1\nmap_Kd texture.png\n")
    if texture:
        write_texture(folder / name / "materials" / "textures" / "texture.png")
    (folder / name / "thumbnails").mkdir()
    write_texture(folder / name / "thumbnails" / "0.jpg")
    (folder / name / "model.config").write_text("<model/>")
    return meshes / "model.obj"


def write_omni(folder: Path, name: str = "anise_001") -> Path:
    """An object as OmniObject3D comes."""
    scan = folder / name.rsplit("_", 1)[0] / name / "Scan"
    scan.mkdir(parents=True)
    (scan / "Scan.obj").write_text(box_obj(size=(40, 80, 20), mtl="Scan.mtl"))
    (scan / "Scan.mtl").write_text("newmtl material_0\nKd 0.8 0.8 0.8\nmap_Kd Scan.jpg\n")
    Image.fromarray(RED_TOP.repeat(16, 0).repeat(16, 1)).save(scan / "Scan.jpg", quality=95)
    return scan / "Scan.obj"
