"""Objects and systems for tests of an evaluation: all fast, some of them deadly for their process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import trimesh

from gtr_core.data.objects import ObjectFile, find_objects
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.ground_truth import GroundTruth
from gtr_core.evaluation.pair import PairSettings
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.provenance import commit
from gtr_core.evaluation.rows import ReportFolder
from gtr_core.evaluation.run import Evaluation
from gtr_core.evaluation.system import SelfContained, SystemResult
from gtr_core.geometry.mesh import Mesh
from gtr_core.progress import Progress

SMALL = Protocol(input_size=32, novel_size=32, num_novel=6, supersample=1, surface_samples=1500, alignment="bounds")


def write_objects(folder: Path, names: str = "ab") -> list[ObjectFile]:
    """Coloured ellipsoids, one per letter."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        shape = trimesh.creation.icosphere(subdivisions=2)
        shape.apply_scale([1, 0.8 - 0.1 * number, 0.6])
        shape.visual.vertex_colors = [40 + 30 * number, 120, 200, 255]
        shape.export(folder / f"{name}.glb")
    return find_objects(folder)


def evaluation(folder: Path, systems: list, names: str = "ab", protocol: Protocol = SMALL) -> Evaluation:
    """An evaluation of :func:`write_objects` into ``folder/report``."""
    settings = PairSettings(protocol, folder / "cache", "cpu", commit())
    return Evaluation(ReportFolder(folder / "report"), write_objects(folder / "objects", names), systems, settings)


@dataclass(frozen=True)
class Shrunk(SelfContained):
    """The true mesh, shrunk: a system that cheats. Two variants of one shape in different colours.

    Args:
        name: of the system.
        share: of the true size.
        calls: file to which every call adds a letter; None counts nothing.
    """

    name: str = "shrunk"
    share: float = 0.9
    calls: Path | None = None
    variants: tuple[str, ...] = ("", "+2 steps")

    @property
    def title(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        return f'{{"share": {self.share}}}'

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        if self.calls is not None:
            with self.calls.open("a") as file:
                file.write("x")
        mesh = truth.object.mesh
        mesh = replace(mesh, vertices=mesh.vertices * self.share)
        for number, variant in enumerate(self.variants):
            colors = torch.full_like(mesh.vertices, 0.5 + 0.1 * number)
            yield SystemResult(variant, Mesh(mesh.vertices, mesh.faces, colors), seconds=0.5, cpu_seconds=0.25)


@dataclass(frozen=True)
class Faulty(Shrunk):
    """Gives its first variant, then goes wrong on the objects of these names.

    Args:
        how: ``kill``, ``segfault``, ``exit``, ``error``, ``gtr``, ``memory``, ``nan``, ``empty``, ``wait``.
        on: names of objects.
    """

    name: str = "faulty"
    how: str = "gtr"
    on: str = "a"

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        first, second = super().results(truth, protocol, progress)
        yield first
        if truth.object.name in self.on:
            mesh = _go_wrong(self.how, truth.object.mesh)
            second = replace(second, mesh=mesh)
        yield second


def _go_wrong(how: str, mesh: Mesh) -> Mesh:
    if how in ("kill", "segfault"):
        os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSEGV)
    if how == "exit":
        os._exit(3)
    if how == "error":
        raise ZeroDivisionError("it was not\nforeseen")
    if how == "memory":
        raise MemoryError
    if how == "gtr":
        raise GtrError(ErrorCode.EMPTY_RECONSTRUCTION, "No surface was found.")
    if how == "nan":
        return Mesh(mesh.vertices * float("nan"), mesh.faces)
    if how == "empty":
        return Mesh(mesh.vertices, mesh.faces[:0])
    while True:
        time.sleep(0.05)


@dataclass(frozen=True)
class WaitsOnce(Shrunk):
    """Never comes back from its first call; the next ones work.

    Args:
        mark: file that tells whether it was called.
    """

    name: str = "waits"
    mark: Path = Path()

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        if not self.mark.exists():
            self.mark.touch()
            _go_wrong("wait", truth.object.mesh)
        yield from super().results(truth, protocol, progress)
