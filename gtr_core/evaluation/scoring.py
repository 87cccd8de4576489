"""From what a system gave to the figures of its row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.alignment import align, transformed
from gtr_core.evaluation.drawing import Drawing
from gtr_core.evaluation.ground_truth import GroundTruth
from gtr_core.evaluation.light_mesh import LightMesh
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.shape_figures import shape_figures
from gtr_core.evaluation.system import SystemResult
from gtr_core.fields.output import RenderOutput
from gtr_core.geometry.mesh import Mesh
from gtr_core.metrics.image import mask_iou, normal_angle, psnr, see_through
from gtr_core.metrics.ssim import ssim
from gtr_core.metrics.watertight import is_closed
from gtr_core.progress import Progress, no_progress

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""LPIPS: (V, H, W, 3) pictures and their truth -> (V,)."""
NO_SURFACE = "There is no surface."
NO_WEIGHTS = "no weights"
_SHAPE_FIGURES = ("cd", "f_score", "iou", "mask_iou", "see_through", "normal_angle", "watertight")


@dataclass
class Figures:
    """Values of a row by their names, and why others are missing."""

    values: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def put(self, name: str, value: float | str, otherwise: str = "It could not be computed.") -> None:
        """Keep a figure; a sentence in its place says why there is none, ``otherwise`` why it is not finite."""
        if isinstance(value, str):
            self.missing[name] = value
        elif not math.isfinite(value):
            self.missing[name] = otherwise
        else:
            self.values[name] = value


@dataclass(frozen=True)
class Judgement:
    """A result with its figures and what a report shows of it.

    Args:
        figures: of the row.
        images: (V, H, W, 3) the novel views, on the CPU.
        centre: depth, normals and mask of the novel views; None without a surface.
        mesh: GLB for the 3D view; None without a surface.
    """

    figures: Figures
    images: Tensor
    centre: RenderOutput | None
    mesh: bytes | None


@dataclass(frozen=True)
class _Shape:
    """Everything that the variants of one reconstruction share.

    Args:
        source: the mesh as the system gave it.
        placed: in the frame in which it is drawn.
        drawing: of it.
        light: of it.
        figures: of the shape.
    """

    source: Mesh
    placed: Mesh
    drawing: Drawing
    light: LightMesh
    figures: Figures

    def is_of(self, mesh: Mesh) -> bool:
        return self.source.vertices is mesh.vertices and self.source.faces is mesh.faces


class Judge:
    """Compares the results of a system with the truth of one object.

    Args:
        truth: the object and its views.
        protocol: the conventions.
        external: whether meshes have to be aligned before they are drawn.
        perceptual: LPIPS; None without weights.
        progress: stage ``draw``.
    """

    def __init__(
        self,
        truth: GroundTruth,
        protocol: Protocol,
        *,
        external: bool,
        perceptual: Perceptual | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._truth, self._protocol, self._external = truth, protocol, external
        self._perceptual, self._progress = perceptual, progress
        self._true_images = truth.novel.composite(protocol.background)
        self._shape: _Shape | None = None

    def judge(self, result: SystemResult) -> Judgement:
        """Score one result.

        Raises:
            GtrError: ``empty_reconstruction`` when the mesh cannot be judged.
        """
        shape = None if result.mesh is None else self._shape_of(result.mesh)
        images = self._images(result, shape)
        figures = self._image_figures(images)
        if result.mesh is None or shape is None:
            figures.missing.update(dict.fromkeys(_SHAPE_FIGURES, NO_SURFACE))
            return Judgement(figures, images, None, None)
        figures.values.update(shape.figures.values)
        figures.missing.update(shape.figures.missing)
        figures.notes = shape.figures.notes
        colored = replace(result.mesh, vertices=shape.placed.vertices)
        return Judgement(figures, images, _on_cpu(shape.drawing.centre), shape.light.glb(colored, result.field))

    def _images(self, result: SystemResult, shape: _Shape | None) -> Tensor:
        if result.images is not None:
            return result.images.cpu()
        if result.mesh is None or shape is None:
            raise ValueError("a result without a surface brings its own pictures")
        placed = replace(result.mesh, vertices=shape.placed.vertices)
        return shape.drawing.colors(placed, result.field, self._progress).cpu()

    def _image_figures(self, images: Tensor) -> Figures:
        truth, figures = self._true_images, Figures()
        figures.put("psnr", float(psnr(images, truth).mean()), "The pictures are equal to the true ones.")
        figures.put("ssim", float(ssim(images, truth).mean()))
        if self._perceptual is None:
            figures.missing["lpips"] = NO_WEIGHTS
        else:
            with torch.no_grad():
                figures.put("lpips", float(self._perceptual(images, truth).mean()))
        return figures

    def _shape_of(self, mesh: Mesh) -> _Shape:
        if self._shape is None or not self._shape.is_of(mesh):
            self._shape = self._new_shape(mesh)
        return self._shape

    def _new_shape(self, mesh: Mesh) -> _Shape:
        if not len(mesh.faces):
            raise _unusable("The mesh has no faces.")
        if not bool(torch.isfinite(mesh.vertices).all()):
            raise _unusable("The mesh has vertices that are not finite numbers.")
        protocol, true_mesh, bare = self._protocol, self._truth.object.mesh, Mesh(mesh.vertices, mesh.faces).to("cpu")
        # Colours tell the turns of a symmetric shape apart; where the frame is known they shall not matter.
        alignment = align(mesh.to("cpu") if self._external else bare, true_mesh, protocol, axes=self._external)
        figures, placed = Figures(), mesh
        if self._external:
            placed = transformed(mesh, alignment.matrix)
            figures.notes = (f"Aligned by {alignment.method}; what is left is {alignment.rms:.4f} (root mean square).",)
        shapes = shape_figures(bare, true_mesh, alignment, protocol)
        figures.put("cd", shapes.chamfer)
        figures.put("f_score", shapes.f_score)
        figures.put("iou", shapes.iou)
        drawing = Drawing(
            placed,
            self._truth.novel.cameras.to(mesh.vertices.device),
            supersample=protocol.supersample,
            background=protocol.background,
            progress=self._progress,
        )
        self._compare_views(_on_cpu(drawing.centre), figures)
        figures.values.update(watertight=is_closed(bare), vertices=len(mesh.vertices), faces=len(mesh.faces))
        return _Shape(mesh, placed, drawing, LightMesh(placed), figures)

    def _compare_views(self, centre: RenderOutput, figures: Figures) -> None:
        novel = self._truth.novel
        if novel.depth is None or novel.normal is None:
            raise ValueError("the novel views of the truth have depth and normals")
        figures.put("mask_iou", float(mask_iou(centre.mask, (novel.depth > 0).float()).mean()))
        figures.put("see_through", 100 * float(see_through(centre.depth, novel.depth).mean()))
        angles = normal_angle(centre.normal, novel.normal)
        figures.put("normal_angle", float(angles.nanmean()), "The outlines do not overlap.")


def _on_cpu(output: RenderOutput) -> RenderOutput:
    return RenderOutput(output.rgb.cpu(), output.mask.cpu(), output.depth.cpu(), output.normal.cpu())


def _unusable(message: str) -> GtrError:
    return GtrError(ErrorCode.EMPTY_RECONSTRUCTION, message)
