"""The presets of this project as judged systems, before and after texture refinement."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.ground_truth import GroundTruth
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.snapshots import Milestones, Stopwatch, refinement_snapshots
from gtr_core.evaluation.system import SelfContained, SystemResult
from gtr_core.fields.nerf import render_volume
from gtr_core.model.weights_parts import hash_weights
from gtr_core.pipeline import Pipeline, Reconstruction
from gtr_core.presets import get_preset
from gtr_core.progress import Progress
from gtr_core.stages.texture_config import Learns

NEURAL = "neural rendering"
"""Variant whose pictures come from the volume, not from the mesh."""
_PARTS: dict[Learns, str] = {"color_mlp": "colour model only", "planes": "triplane only", "both": "both"}
"""What the refinement learns (paper, Table 3), and its name in a report."""


@dataclass(frozen=True)
class PresetSystem(SelfContained):
    """Implements :class:`gtr_core.evaluation.system.System` for a preset; its weights have to be on every machine.

    Args:
        name: unique in the run.
        preset: which one.
        milestones: of the refinement; empty for none.
        weights: of a learned preset.
        weights_digest: SHA-256 of that file.
        device: where to run: ``auto``, ``cpu``, ``cuda`` ...
        exact: refine with all pixels in every step, as published.
        parts: refine the colour model only, the triplane only and both, each up to every milestone.
        neural: also draw the novel views by volume rendering.
    """

    name: str
    preset: str
    milestones: Milestones
    weights: Path | None = None
    weights_digest: str = ""
    device: str = "auto"
    exact: bool = False
    parts: bool = False
    neural: bool = False

    @property
    def title(self) -> str:
        """The name."""
        return self.name

    @property
    def key(self) -> str:
        """Preset, weights and refinement."""
        values = {
            "preset": self.preset, "weights": self.weights_digest, "steps": self.milestones.steps,
            "seconds": self.milestones.seconds, "exact": self.exact, "parts": self.parts, "neural": self.neural,
        }  # fmt: skip
        return json.dumps(values, sort_keys=True)

    @property
    def variants(self) -> tuple[str, ...]:
        """As the network gives it, by volume rendering, then refined."""
        refined = self.milestones.variants
        if self.parts:
            refined = tuple(f"{variant}, {part}" for part in _PARTS.values() for variant in refined)
        return ("", *((NEURAL,) if self.neural else ()), *refined)

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        """Reconstruct once, then refine on and on."""
        pipeline = _pipeline(self.preset, self.device, self.weights, self.weights_digest)
        watch = Stopwatch(pipeline.device)
        watch.start()
        reconstruction = pipeline.reconstruct(truth.inputs, progress=progress)
        watch.pause()
        yield self._result("", reconstruction, watch.seconds, watch.cpu_seconds)
        if self.neural:
            yield self._neural(reconstruction, protocol, watch)
        yield from self._refined(pipeline, reconstruction, watch, progress)

    def _refined(
        self, pipeline: Pipeline, reconstruction: Reconstruction, watch: Stopwatch, progress: Progress
    ) -> Iterator[SystemResult]:
        whole: dict[Learns, str] = {"both": ""}
        for learns, part in (_PARTS if self.parts else whole).items():
            for shot in refinement_snapshots(
                pipeline, reconstruction, self.milestones, exact=self.exact, learns=learns, progress=progress
            ):
                variant = f"{shot.variant}, {part}" if part else shot.variant
                seconds, cpu_seconds = watch.seconds + shot.seconds, watch.cpu_seconds + shot.cpu_seconds
                yield self._result(variant, shot.reconstruction, seconds, cpu_seconds, steps=shot.steps)

    def _result(
        self, variant: str, reconstruction: Reconstruction, seconds: float, cpu_seconds: float, *, steps: int = 0
    ) -> SystemResult:
        config = get_preset(self.preset).refinement(exact=self.exact).config
        state = reconstruction.refinement
        notes = reconstruction.notes
        if steps and variant.split(",")[0].endswith(" s"):
            notes = (*notes, f"{steps} steps of refinement.")
        if state is not None and config.held_out and state.best_step == 0:
            notes = (*notes, "The refinement found nothing better on the pixels held out, so it kept the texture.")
        return SystemResult(
            variant,
            reconstruction.mesh,
            # What a viewer shows of a texture that was refined for the vertices is the colours of the vertices.
            reconstruction.field if config.colors_at == "points" else None,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            notes=notes,
        )

    def _neural(self, reconstruction: Reconstruction, protocol: Protocol, watch: Stopwatch) -> SystemResult:
        drawing = Stopwatch(watch.device)
        drawing.start()
        cameras = protocol.novel_cameras.to(watch.device)
        with torch.no_grad():
            images = render_volume(reconstruction.field, cameras, background=protocol.background).rgb
        drawing.pause()
        seconds, cpu_seconds = watch.seconds + drawing.seconds, watch.cpu_seconds + drawing.cpu_seconds
        return SystemResult(
            NEURAL, reconstruction.mesh, None, images.cpu(), seconds, cpu_seconds,
            (*reconstruction.notes, "The seconds include the drawing of the novel views."),
        )  # fmt: skip


@lru_cache(maxsize=1)
def _pipeline(preset: str, device: str, weights: Path | None, checksum: str) -> Pipeline:
    """The preset, ready; a process keeps the last one.

    Raises:
        GtrError: ``model_unavailable`` when this machine has other weights than the run began with, or none.
    """
    if weights is not None and hash_weights(weights) != checksum:
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{weights} on {platform.node()} is not the file that this evaluation began with.",
            "Put the same file on every machine.",
        )
    return Pipeline.load(preset, device=device, weights=weights)
