"""The facade: views in, coloured mesh out, refined as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from gtr_core.devices import resolve_device
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.fields.field import Field
from gtr_core.fit.reconstruct import reconstruct_fit
from gtr_core.geometry.decimate import MIN_FACES, decimate
from gtr_core.geometry.mesh import Mesh
from gtr_core.presets import Preset, choose_preset, get_preset
from gtr_core.progress import Progress, no_progress
from gtr_core.stages.texture import RefinementState, refine_texture
from gtr_core.stages.texture_config import Learns
from gtr_core.views import Views

if TYPE_CHECKING:
    from gtr_core.model.gtr import GTR

GRID_RESOLUTIONS = range(16, 513)
"""Nodes along an edge of the box that can be asked for."""
MAX_REFINE_STEPS = 100_000
MAX_STRENGTH = 10.0
_CHUNK = 65536
"""Points that are coloured at a time: bounds memory and lets a cancel through."""


@dataclass(frozen=True)
class Reconstruction:
    """What came out; a value, so refining it gives a new one.

    Args:
        views: that it was made from.
        field: density and colour everywhere.
        mesh: surface with vertex colours.
        preset: that made it.
        notes: sentences for the user on what the result could not know.
        refinement: how far the texture is refined; None when it is not.
    """

    views: Views
    field: Field
    mesh: Mesh
    preset: str
    notes: tuple[str, ...] = ()
    refinement: RefinementState | None = None


class Pipeline:
    """One preset, ready to work on one device.

    Args:
        preset: how to reconstruct and to refine.
        device: where.
        model: the network of a learned preset, shared by all reconstructions and never changed; None without one, which
            is enough to refine and to recolour what a network made before.
    """

    def __init__(self, preset: Preset, device: torch.device, model: GTR | None = None) -> None:
        self.preset = preset
        self.device = device
        self.model = model

    @classmethod
    def load(cls, preset: str | None = None, *, device: str = "auto", weights: Path | None = None) -> Pipeline:
        """Make a preset ready.

        Args:
            preset: one of :data:`gtr_core.presets.PRESETS`; None is the one that ``weights`` was trained for, or
                ``fit`` without weights.
            device: ``cpu``, ``cuda``, ``cuda:1`` ..., or ``auto``: a GPU when there is one.
            weights: file of a learned preset's network; None looks for it in the models folder.

        Raises:
            GtrError: ``model_unavailable`` for an unknown preset and for weights that are missing, damaged or another
                preset's; ``bad_input`` for weights without use; ``backend_unavailable`` for an absent device.
        """
        chosen = choose_preset(preset, weights)
        where = resolve_device(device)
        if not chosen.learned:
            return cls(chosen, where)
        from gtr_core.model.library import find_weights
        from gtr_core.model.weights import load_model

        model = load_model(weights or find_weights(chosen.name), device=where)
        return cls(chosen, where, model.eval().requires_grad_(False))

    def reconstruct(
        self,
        views: Views,
        *,
        grid_resolution: int = 256,
        face_limit: int = 0,
        seed: int = 0,
        progress: Progress = no_progress,
        on_preview: Callable[[Mesh], None] | None = None,
    ) -> Reconstruction:
        """Reconstruct the object from its views.

        Args:
            views: with the object inside [-1, 1]^3.
            grid_resolution: nodes along an edge of the box, 16 to 512.
            face_limit: largest number of faces, at least 4; 0 keeps all.
            seed: of all randomness.
            progress: told about each step; may raise :class:`gtr_core.progress.Cancelled`.
            on_preview: given a first rough mesh when there is one.

        Returns:
            The field, and its surface with colours.

        Raises:
            GtrError: ``too_few_views``, ``bad_input`` for an option out of range, ``empty_reconstruction``.
        """
        _check_range("resolution", grid_resolution, GRID_RESOLUTIONS)
        if face_limit and face_limit < MIN_FACES:
            raise GtrError(
                ErrorCode.BAD_INPUT,
                f"A face limit of {face_limit} is too small.",
                f"Give 0 for all faces or at least {MIN_FACES}.",
            )
        views.require(self.preset.min_views)
        views = views.to(self.device)
        field, mesh, notes = self._surface(views, grid_resolution, seed, progress, on_preview)
        if not len(mesh.faces):
            raise GtrError(
                ErrorCode.EMPTY_RECONSTRUCTION,
                "No surface was found: pictures and cameras may not match.",
                "Check the camera set and the masks.",
            )
        if face_limit:
            mesh = decimate(mesh, face_limit)
        if mesh.colors is None:
            mesh = mesh.with_colors(_color(field.color, mesh.vertices, progress))
        return Reconstruction(views, field, mesh, self.preset.name, tuple(notes))

    def _surface(
        self,
        views: Views,
        grid_resolution: int,
        seed: int,
        progress: Progress,
        on_preview: Callable[[Mesh], None] | None,
    ) -> tuple[Field, Mesh, tuple[str, ...]]:
        if not self.preset.learned:
            return reconstruct_fit(
                views, grid_resolution=grid_resolution, seed=seed, progress=progress, on_preview=on_preview
            )
        if self.model is None:
            raise ValueError(f"the preset {self.preset.name} needs its network to reconstruct")
        from gtr_core.feed_forward import reconstruct_feed_forward

        usual = self.preset.usual_views
        return reconstruct_feed_forward(
            self.model, views, grid_resolution=grid_resolution, usual_views=usual, progress=progress
        )

    def refine_texture(
        self,
        reconstruction: Reconstruction,
        *,
        steps: int = 20,
        strength: float = 1.0,
        exact: bool = False,
        learns: Learns = "both",
        views: Sequence[int] | None = None,
        seed: int = 0,
        progress: Progress = no_progress,
        on_colors: Callable[[int, Tensor], None] | None = None,
        should_finish: Callable[[], bool] | None = None,
    ) -> Reconstruction:
        """Pull the texture towards the input pictures (paper section 3.3); the shape stays as it is.

        Args:
            reconstruction: any; one that was refined before is refined on from there.
            steps: how many, at least 1.
            strength: factor of the learning rates, in (0, 10].
            exact: with all pixels in every step, as published; slower. Only for learned presets.
            learns: the planes and the colour network (``both``), or only one of them (``planes``, ``color_mlp``), for
                comparison: the paper's Table 3.
            views: indices of the views to follow; None follows all.
            seed: of all randomness.
            progress: told about each step; may raise :class:`gtr_core.progress.Cancelled`.
            on_colors: given (step, vertex colours (N, 3)) at most every half second.
            should_finish: asked after each step; True ends the refinement there, with what is reached.

        Returns:
            A new reconstruction; the given one is not changed.

        Raises:
            GtrError: ``bad_input`` for an option out of range.
        """
        config = get_preset(reconstruction.preset).refinement(exact=exact).config
        if learns not in get_args(Learns):
            raise GtrError(
                ErrorCode.BAD_INPUT, f"{learns!r} cannot be learned alone.", f"Choose {', '.join(get_args(Learns))}."
            )
        if not 1 <= steps <= MAX_REFINE_STEPS:
            raise GtrError(ErrorCode.BAD_INPUT, f"{steps} steps are out of range.", f"Give 1 to {MAX_REFINE_STEPS}.")
        if not 0 < strength <= MAX_STRENGTH:
            raise GtrError(
                ErrorCode.BAD_INPUT, f"A strength of {strength:g} is out of range.", f"Give up to {MAX_STRENGTH:g}."
            )
        field, state, _ = refine_texture(
            reconstruction.field,
            reconstruction.mesh,
            _chosen(reconstruction.views, views),
            replace(config, learns=learns),
            steps=steps,
            state=reconstruction.refinement,
            seed=seed,
            strength=strength,
            progress=progress,
            on_colors=on_colors,
            should_finish=should_finish,
        )
        mesh = reconstruction.mesh.with_colors(_color(field.color, reconstruction.mesh.vertices, progress))
        return replace(reconstruction, field=field, mesh=mesh, refinement=state)

    def recolour(
        self,
        reconstruction: Reconstruction,
        points: Tensor,
        *,
        texels: bool = False,
        progress: Progress = no_progress,
    ) -> Tensor:
        """Colours of any points: vertices of a mesh that was edited, or texels of its texture.

        Args:
            reconstruction: whose field is asked.
            points: (N, 3) in its world.
            texels: the points lie closer together than the vertices. A texture that was refined for the colours that
                a mesh shows between its vertices is left aside then: at the points themselves it overshoots.
            progress: told about each part; may raise :class:`gtr_core.progress.Cancelled`.

        Returns:
            (N, 3) sRGB in [0, 1].

        Raises:
            GtrError: ``bad_input`` when the points are not finite numbers of this shape.
        """
        if points.ndim != 2 or points.shape[1] != 3 or not bool(torch.isfinite(points).all()):
            raise GtrError(
                ErrorCode.BAD_INPUT, f"Points of the shape {tuple(points.shape)} cannot be coloured.", "Give N x 3."
            )
        field = reconstruction.field
        aside = texels and get_preset(reconstruction.preset).refinement().config.colors_at == "vertices"
        return _color(field.base_color if aside else field.color, points.to(self.device).float(), progress)


def _color(color_at: Callable[[Tensor], Tensor | None], points: Tensor, progress: Progress) -> Tensor:
    """(N, 3) colours at the points, part by part."""
    if not len(points):
        return torch.zeros_like(points)
    parts = []
    chunks = torch.split(points, _CHUNK)
    for index, chunk in enumerate(chunks):
        progress("color", index, len(chunks))
        with torch.no_grad():
            colors = color_at(chunk)
        if colors is None:
            raise ValueError("the field knows no colour without its planes")
        parts.append(colors.clamp(0, 1))
    progress("color", len(chunks), len(chunks))
    return torch.cat(parts)


def _check_range(name: str, value: int, allowed: range) -> None:
    if value not in allowed:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"A {name} of {value} is out of range.",
            f"Give {allowed[0]} to {allowed[-1]}.",
        )


def _chosen(views: Views, indices: Sequence[int] | None) -> Views:
    if indices is None:
        return views
    wrong = [index for index in indices if not 0 <= index < len(views)]
    if wrong or not indices:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            f"There is no view {wrong[0] + 1}." if wrong else "No view is chosen to refine with.",
            f"Choose among the {len(views)} views.",
        )
    return views[list(indices)]
