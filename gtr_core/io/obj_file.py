"""OBJ: vertex colours as ``v x y z r g b`` (sRGB in 0..1, the common extension), or a texture with its material."""

from __future__ import annotations

import io

import numpy as np

from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import encode_png


def encode_obj(mesh: Mesh, stem: str) -> dict[str, bytes]:
    """The mesh, and with a texture also its material and picture.

    Written here and not by trimesh, which keeps fewer digits than float32 has and gives material files fixed names.
    """
    textured = mesh.uv is not None and mesh.texture is not None
    rows = mesh.vertices.detach().cpu().double().numpy()
    if mesh.colors is not None and not textured:
        rows = np.concatenate([rows, mesh.colors.detach().cpu().clamp(0, 1).double().numpy()], axis=1)
    text = io.StringIO()
    if textured:
        text.write(f"mtllib {stem}.mtl\n")
    np.savetxt(text, rows, fmt="v" + " %.9g" * 3 + " %.8f" * (rows.shape[1] - 3))
    faces = mesh.faces.cpu().numpy() + 1
    files = {f"{stem}.obj": b""}
    if textured and mesh.uv is not None and mesh.texture is not None:
        np.savetxt(text, mesh.uv.detach().cpu().double().numpy(), fmt="vt %.9g %.9g")
        text.write("usemtl GTR\n")
        np.savetxt(text, np.repeat(faces, 2, axis=1), fmt="f %d/%d %d/%d %d/%d")
        files[f"{stem}.mtl"] = f"newmtl GTR\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nmap_Kd {stem}_texture.png\n".encode()
        files[f"{stem}_texture.png"] = encode_png(mesh.texture)
    else:
        np.savetxt(text, faces, fmt="f %d %d %d")
    files[f"{stem}.obj"] = text.getvalue().encode()
    return files
