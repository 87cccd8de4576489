"""A Blender mesh from arrays, at the speed of a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy

from ..packages import numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def fill_mesh(mesh: bpy.types.Mesh, points: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    """Give an empty mesh its shape, smooth shaded.

    ``validate`` may drop faces that name a vertex twice or appear twice; vertices keep their number and order.

    Args:
        mesh: without vertices.
        points: (N,3) in Blender's axes.
        faces: (M,3) vertex indices.
    """
    np = numpy()
    # Exactly these types: Blender converts anything else value by value.
    points = np.ascontiguousarray(points, dtype=np.float32)
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    count = len(corners)
    mesh.vertices.add(len(points))
    mesh.vertices.foreach_set("co", points.ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", corners.ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    mesh.polygons.foreach_set("loop_total", np.full(count, 3, np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(count, bool))
    mesh.update(calc_edges=True)
    mesh.validate()
