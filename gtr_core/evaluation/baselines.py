"""What a figure has to be compared with: systems that know nothing, or hardly anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch

from gtr_core.devices import resolve_device
from gtr_core.evaluation.ground_truth import GroundTruth
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.snapshots import Milestones, Stopwatch, refinement_snapshots
from gtr_core.evaluation.system import SelfContained, SystemResult
from gtr_core.evaluation.untrained import untrained_reconstruction
from gtr_core.fields.render_mesh import render_mesh
from gtr_core.fit.blend import ProjectionBlend
from gtr_core.fit.visual_hull import visual_hull
from gtr_core.model.configs import CONFIGS
from gtr_core.pipeline import Pipeline
from gtr_core.presets import get_preset
from gtr_core.progress import Progress

_HULL_RESOLUTION = 256


class _Baseline(SelfContained):
    """What the baselines have in common."""

    name: str

    @property
    def key(self) -> str:
        """The kind of baseline; those with settings say more."""
        return json.dumps({"baseline": self.name})

    @property
    def variants(self) -> tuple[str, ...]:
        """One result."""
        return ("",)


@dataclass(frozen=True)
class WhitePictures(_Baseline):
    """The empty background, whatever is asked for: it has no shape."""

    name: str = "white"
    title: str = "all white"

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        """One picture per novel camera."""
        del truth, progress
        size = (protocol.num_novel, protocol.novel_size, protocol.novel_size, 3)
        yield SystemResult("", None, images=torch.full(size, protocol.background))


@dataclass(frozen=True)
class ProjectedHull(_Baseline):
    """The visual hull of the masks, coloured by projection of the input pictures."""

    name: str = "hull"
    title: str = "visual hull + projected colours"

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        """Depth is not looked at, even where the protocol gives it."""
        del protocol
        views = truth.inputs
        watch = Stopwatch(views.rgba.device)
        watch.start()
        grid = visual_hull(views, _HULL_RESOLUTION, progress)
        mesh = grid.extract()
        drawn = render_mesh(mesh, views.cameras)
        blend = ProjectionBlend.build(views.rgba, views.cameras, drawn.depth, drawn.normal, grid.spacing)
        mesh = mesh.with_colors(blend.color(mesh.vertices, grid.gradient(mesh.vertices)).clamp(0, 1))
        watch.pause()
        yield SystemResult("", mesh, seconds=watch.seconds, cpu_seconds=watch.cpu_seconds)


@dataclass(frozen=True)
class UntrainedNetwork(_Baseline):
    """A network with its starting weights on the visual hull, and what texture refinement makes of it.

    Args:
        milestones: of the refinement.
        preset: whose network and refinement.
        device: where to run.
    """

    milestones: Milestones
    preset: str = "gtr-mini"
    device: str = "auto"
    name: str = "untrained"
    title: str = "untrained network"

    @property
    def key(self) -> str:
        """Shape of the network and milestones."""
        return json.dumps({"baseline": self.name, "preset": self.preset, **asdict(self.milestones)}, sort_keys=True)

    @property
    def variants(self) -> tuple[str, ...]:
        """Unrefined, then refined."""
        return ("", *self.milestones.variants)

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        """Colours of the untrained planes, then refined on and on."""
        del protocol
        preset, device = get_preset(self.preset), resolve_device(self.device)
        watch = Stopwatch(device)
        watch.start()
        views = truth.inputs.to(device)
        start = untrained_reconstruction(views, CONFIGS[self.preset], preset=self.preset, progress=progress)
        watch.pause()
        yield SystemResult("", start.mesh, start.field, None, watch.seconds, watch.cpu_seconds, start.notes)
        for shot in refinement_snapshots(Pipeline(preset, device), start, self.milestones, progress=progress):
            yield SystemResult(
                shot.variant,
                shot.reconstruction.mesh,
                shot.reconstruction.field,
                seconds=watch.seconds + shot.seconds,
                cpu_seconds=watch.cpu_seconds + shot.cpu_seconds,
                notes=shot.reconstruction.notes,
            )
