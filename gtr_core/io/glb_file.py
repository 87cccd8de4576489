"""GLB (binary glTF 2.0): vertex colours or a texture, a material without gloss."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh

from gtr_core.geometry.mesh import Mesh
from gtr_core.io.images import to_pil
from gtr_core.io.srgb import linear_from_srgb

_COLOR = "_COLOR"
_VISUAL: Any = trimesh.visual  # without annotations


def encode_glb(mesh: Mesh, stem: str) -> dict[str, bytes]:
    """One file. ``COLOR_0`` is linear, as glTF defines it, in 16 bits: 8 would show bands in the darks."""
    textured = mesh.uv is not None and mesh.texture is not None
    material = _VISUAL.material.PBRMaterial(
        name="GTR",
        metallicFactor=0.0,
        roughnessFactor=1.0,
        baseColorFactor=[1.0, 1.0, 1.0, 1.0],
        baseColorTexture=to_pil(mesh.texture) if mesh.texture is not None and textured else None,
    )
    uv = mesh.uv.cpu().double().numpy() if mesh.uv is not None and textured else None
    attributes = {}
    # glTF multiplies vertex colours and texture, so there is only one of them.
    if mesh.colors is not None and not textured:
        linear = linear_from_srgb(mesh.colors.detach().cpu().clamp(0, 1).numpy())
        rgba = np.concatenate([linear, np.ones((len(linear), 1))], axis=1)
        attributes[_COLOR] = np.round(rgba * 65535).astype(np.uint16)
    body = trimesh.Trimesh(
        mesh.vertices.detach().cpu().numpy(),
        mesh.faces.cpu().numpy(),
        visual=_VISUAL.TextureVisuals(uv=uv, material=material),
        vertex_attributes=attributes,
        process=False,
    )
    scene: Any = trimesh.Scene()
    scene.add_geometry(body, geom_name=stem, node_name=stem)
    data = scene.export(file_type="glb", tree_postprocessor=_declare_colors)
    return {f"{stem}.glb": bytes(data)}


def _declare_colors(tree: dict[str, Any]) -> None:
    """The exporter knows only 8-bit colours; the 16-bit ones go as an attribute that gets its right name here."""
    for part in tree.get("meshes", []):
        for primitive in part["primitives"]:
            accessor = primitive["attributes"].pop(_COLOR, None)
            if accessor is not None:
                primitive["attributes"]["COLOR_0"] = accessor
                tree["accessors"][accessor]["normalized"] = True
