"""Fewer triangles for the same shape."""

from __future__ import annotations

import fast_simplification
import numpy as np
import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.mesh import Mesh

MIN_FACES = 4
"""Faces of a tetrahedron, the smallest closed mesh."""


def decimate(mesh: Mesh, face_limit: int) -> Mesh:
    """Collapse edges by quadric error (Garland and Heckbert 1997) until at most ``face_limit`` faces are left.

    Args:
        mesh: any; one that is small enough is returned unchanged.
        face_limit: largest number of faces, at least 4.

    Returns:
        A mesh without colours and texture: its vertices are new ones. More faces than the limit stay when no further
        edge can go without folding the surface. A closed mesh stays closed, but where it is thin two sheets may come to
        touch along an edge.

    Raises:
        GtrError: ``bad_input`` for a limit below 4.
    """
    if face_limit < MIN_FACES:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"A face limit of {face_limit} is too small.", f"Give at least {MIN_FACES}."
        )
    if len(mesh.faces) <= face_limit:
        return mesh
    vertices, faces = fast_simplification.simplify(
        np.ascontiguousarray(mesh.vertices.detach().cpu().numpy(), dtype=np.float32),
        np.ascontiguousarray(mesh.faces.cpu().numpy(), dtype=np.int32),
        target_count=face_limit,
    )
    device = mesh.vertices.device
    return Mesh(
        torch.from_numpy(np.array(vertices, dtype=np.float32)).to(device),
        torch.from_numpy(np.array(faces, dtype=np.int64)).to(device),
    )
