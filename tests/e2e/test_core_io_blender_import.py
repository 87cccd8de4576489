"""Meshes of ``write_mesh`` in Blender: colours to the bit, axes as glTF and the importers have them."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import trimesh

from gtr_core.geometry.mesh import Mesh
from gtr_core.io.mesh_files import write_mesh

pytestmark = pytest.mark.skipif(find_spec("bpy") is None, reason="Blender as a module (bpy) is not installed")

SCRIPT = """
import bpy, json, sys
found = {}
for path in sys.argv[1:]:
    bpy.ops.wm.read_homefile(use_empty=True)
    if path.endswith("glb"):
        bpy.ops.import_scene.gltf(filepath=path)
    elif path.endswith("ply"):
        bpy.ops.wm.ply_import(filepath=path, forward_axis="NEGATIVE_Z", up_axis="Y")
    else:
        bpy.ops.wm.obj_import(filepath=path)
    [body] = [o for o in bpy.data.objects if o.type == "MESH"]
    colors = [[round(255 * c) for c in item.color_srgb[:3]] for item in body.data.color_attributes[0].data]
    corners = [body.matrix_world @ v.co for v in body.data.vertices]
    found[path[-3:]] = {
        "colors": sorted(set(map(tuple, colors))),
        "low": [min(c[k] for c in corners) for k in range(3)],
        "high": [max(c[k] for c in corners) for k in range(3)],
        "metallic": [
            node.inputs["Metallic"].default_value
            for material in body.data.materials if material and material.node_tree
            for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"
        ],
    }
print("FOUND" + json.dumps(found))
"""


def test_blender_reads_colours_and_axes(tmp_path: Path) -> None:
    shape = trimesh.creation.box((0.4, 1.0, 1.8))
    vertices = torch.tensor(shape.vertices).float() + torch.tensor([0.1, 0.2, 0.3])
    mesh = Mesh(vertices, torch.tensor(shape.faces), (torch.tensor([200, 100, 50]) / 255).repeat(8, 1))
    paths = [tmp_path / f"body.{suffix}" for suffix in ("glb", "ply", "obj")]
    for path in paths:
        write_mesh(mesh, path)
    command = [sys.executable, "-c", SCRIPT, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    assert lines, done.stdout + done.stderr
    found = json.loads(lines[0].removeprefix("FOUND"))
    for name, body in found.items():
        assert body["colors"] == [[200, 100, 50]], name
        # Y up becomes Z up: (x, y, z) -> (x, -z, y).
        assert body["low"] == pytest.approx([-0.1, -1.2, -0.3], abs=1e-6), name
        assert body["high"] == pytest.approx([0.3, 0.6, 0.7], abs=1e-6), name
    assert found["glb"]["metallic"] == [0.0]
