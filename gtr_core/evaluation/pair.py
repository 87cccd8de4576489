"""One object and one system: from the object's file to rows, pictures and meshes. Runs in any process anywhere."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from gtr_core.data.objects import ObjectFile, TrueObject, load_object
from gtr_core.devices import resolve_device
from gtr_core.errors import GtrError
from gtr_core.evaluation.ground_truth import GroundTruth, ground_truth
from gtr_core.evaluation.light_mesh import LightMesh
from gtr_core.evaluation.lpips_choice import LpipsChoice
from gtr_core.evaluation.pictures import inputs_picture, result_picture, truth_picture
from gtr_core.evaluation.protocol import Protocol
from gtr_core.evaluation.provenance import commit, device_name
from gtr_core.evaluation.rows import ReportFolder, digest
from gtr_core.evaluation.scores import Row
from gtr_core.evaluation.scoring import Judge, Judgement, Perceptual
from gtr_core.evaluation.system import System, SystemResult
from gtr_core.progress import Progress, no_progress

_KEPT_TRUTHS = 2
"""Objects whose views a process keeps in memory, about 80 MB each."""
_NO_FOLDER = ReportFolder(Path())
"""Paths in the results are relative to the report."""


@dataclass(frozen=True)
class PairSettings:
    """What is the same for all pairs of a run.

    Args:
        protocol: the conventions.
        cache: folder of rendered views, on whatever machine the pair runs; None is that machine's own.
        device: where the systems run.
        commit: state of the code where the run was started; rows have that of the process that made them.
        lpips: weights of LPIPS; None without.
    """

    protocol: Protocol
    cache: Path | None = None
    device: str = "auto"
    commit: str = ""
    lpips: LpipsChoice | None = None

    @property
    def digest(self) -> str:
        """16 hex digits that change with every convention and with the weights of LPIPS."""
        return self.protocol.digest if self.lpips is None else digest(self.protocol.to_json() + self.lpips.key)


@dataclass(frozen=True)
class PairTask:
    """A pair to run.

    Args:
        file: of the object.
        system: to judge.
        system_digest: of the system for this object.
        settings: of the run.
        with_truth: whether the pictures of the truth are wanted as well.
        known_object: digest of the object for which there are rows already that may be kept; "" when there are none.
    """

    file: ObjectFile
    system: System
    system_digest: str
    settings: PairSettings
    with_truth: bool = False
    known_object: str = ""

    @property
    def name(self) -> str:
        """Object and system, for people."""
        return f"{self.system.name} on {self.file.name}"


@dataclass(frozen=True)
class PairOutcome:
    """What a pair gave.

    Args:
        rows: of all variants; empty when the rows that are there hold on.
        files: contents by path in the report's folder.
    """

    rows: tuple[Row, ...]
    files: tuple[tuple[str, bytes], ...] = ()


Loader = Callable[[ObjectFile], TrueObject]


def run_pair(task: PairTask, load: Loader | None = None, progress: Progress = no_progress) -> PairOutcome:
    """Judge a system on an object. What can go wrong with either is in the rows.

    Args:
        task: the pair.
        load: reads the object; None reads its file.
        progress: stages of the system, and ``draw``.

    Raises:
        Cancelled: when ``progress`` raises it.
    """
    blank = replace(
        Row(task.file.name, task.system.name),
        commit=commit(),
        system_digest=task.system_digest,
        protocol_digest=task.settings.digest,
    )
    try:
        blank = replace(blank, device=device_name(resolve_device(task.settings.device)))
        true_object = (load or _load)(task.file)
    except GtrError as error:
        return PairOutcome(failed_rows(task, str(error), blank))
    if task.known_object == true_object.digest:
        return PairOutcome(())
    return _judged(task, true_object, replace(blank, object_digest=true_object.digest), progress)


def failed_rows(task: PairTask, reason: str, blank: Row | None = None, done: Iterable[str] = ()) -> tuple[Row, ...]:
    """Rows of the variants that are not ``done``, all for the same reason."""
    blank = blank or Row(
        task.file.name,
        task.system.name,
        commit=task.settings.commit,
        system_digest=task.system_digest,
        protocol_digest=task.settings.digest,
    )
    left = [variant for variant in task.system.variants if variant not in set(done)]
    return tuple(replace(blank, variant=variant, status="failed", reason=reason) for variant in left)


def _judged(task: PairTask, true_object: TrueObject, blank: Row, progress: Progress) -> PairOutcome:
    protocol, rows, files = task.settings.protocol, list[Row](), dict[str, bytes]()
    try:
        truth = _TRUTHS.get(true_object, task.settings, progress)
        if task.with_truth:
            files.update(_truth_files(truth, protocol))
        perceptual = _perceptual(task.settings.lpips)
        judge = Judge(truth, protocol, external=task.system.external, perceptual=perceptual, progress=progress)
        for result in task.system.results(truth, protocol, progress):
            judgement = judge.judge(result)
            rows.append(_row(blank, result, judgement, true_object))
            files.update(_result_files(task, result, judgement, truth))
    except GtrError as error:
        rows += failed_rows(task, str(error), blank, [row.variant for row in rows])
    order = list(task.system.variants)
    return PairOutcome(tuple(sorted(rows, key=lambda row: order.index(row.variant))), tuple(files.items()))


def _row(blank: Row, result: SystemResult, judgement: Judgement, true_object: TrueObject) -> Row:
    figures = judgement.figures
    for name in ("seconds", "cpu_seconds"):
        value = getattr(result, name)
        if value is None:
            figures.missing[name] = "It is not known."
        else:
            figures.values[name] = value
    notes = (*true_object.notes, *result.notes, *figures.notes)
    return replace(blank, variant=result.variant, notes=notes, missing=figures.missing, **figures.values)


def _result_files(task: PairTask, result: SystemResult, judgement: Judgement, truth: GroundTruth) -> dict[str, bytes]:
    names = (task.file.name, task.system.name, result.variant)
    picture = result_picture(judgement.images, judgement.centre, truth, task.settings.protocol)
    files = {str(_NO_FOLDER.result_picture(*names)): picture}
    if judgement.mesh is not None:
        files[str(_NO_FOLDER.result_mesh(*names))] = judgement.mesh
    return files


def _truth_files(truth: GroundTruth, protocol: Protocol) -> dict[str, bytes]:
    name, mesh = truth.object.name, truth.object.mesh
    return {
        str(_NO_FOLDER.truth_picture(name)): truth_picture(truth, protocol),
        str(_NO_FOLDER.inputs_picture(name)): inputs_picture(truth, protocol),
        str(_NO_FOLDER.truth_mesh(name)): LightMesh(mesh).glb(mesh, None),
    }


def _load(file: ObjectFile) -> TrueObject:
    try:
        status = file.path.stat()
    except OSError:
        return load_object(file)  # which says it in a sentence
    return _loaded(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=_KEPT_TRUTHS)
def _loaded(file: ObjectFile, size: int, changed: int) -> TrueObject:
    """The object, kept as long as its file is the same."""
    del size, changed
    return load_object(file)


@lru_cache(maxsize=1)
def _perceptual(choice: LpipsChoice | None) -> Perceptual | None:
    return None if choice is None else choice.load()


def _own_cache() -> Path:
    """``evaluation`` in ``$GTR_HOME``, else in ``~/.gtr``."""
    return Path(os.environ.get("GTR_HOME") or Path.home() / ".gtr") / "evaluation"


class _Truths:
    """The true views that this process used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], GroundTruth] = OrderedDict()

    def get(self, true_object: TrueObject, settings: PairSettings, progress: Progress) -> GroundTruth:
        key = (true_object.name, true_object.digest, settings.protocol.digest)
        if key not in self._kept:
            with torch.no_grad():
                self._kept[key] = ground_truth(true_object, settings.protocol, settings.cache or _own_cache(), progress)
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT_TRUTHS:
            self._kept.popitem(last=False)
        return self._kept[key]


_TRUTHS = _Truths()
