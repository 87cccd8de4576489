"""A data set of rendered views: objects are given out to processes, and what comes back is kept in shards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gtr_core.data.objects import ObjectFile
from gtr_core.data.rendering_task import Rendered, RenderSettings, RenderTask
from gtr_core.data.shards import read_index, write_shard
from gtr_core.io.atomic import making_folder, write_atomic
from gtr_core.parallel.executor import Event, Executor, Failed
from gtr_core.progress import Cancelled, Progress, no_progress

FAILURES = "failures.json"
"""Names of objects that could not be drawn, and why."""
_BEAT = 0.2
"""Seconds between two looks at the processes and at whether to stop."""


@dataclass
class RenderTally:
    """How it went.

    Args:
        objects: of the folder.
        kept: objects that were there already.
        rendered: new objects.
        failures: name -> reason.
        notes: name -> what to know about it.
    """

    objects: int
    kept: int = 0
    rendered: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def render_folder(
    objects: Sequence[ObjectFile],
    out: Path,
    settings: RenderSettings,
    executor: Callable[[], Executor[RenderTask, Rendered]],
    *,
    shard_objects: int = 16,
    progress: Progress = no_progress,
) -> RenderTally:
    """Draw every object that the shards in ``out`` do not hold yet.

    A shard is written when it is full, and at the end; stopping writes what is ready. An object whose file or settings
    have changed is drawn again: the newest shard that holds it counts.

    Args:
        objects: with distinct names.
        out: folder of the shards.
        settings: how to draw.
        executor: makes where to draw; closed at the end, however that comes.
        shard_objects: objects in a shard.
        progress: stage ``draw`` in objects.

    Raises:
        GtrError: ``bad_input`` when the folder cannot be written or holds a damaged shard; ``disk_full``.
        Cancelled: when ``progress`` raises it, with what is kept in words.
    """
    making_folder(out)
    present = newest(out)
    tally = RenderTally(len(objects))
    tasks = []
    for file in objects:
        task = RenderTask(file, settings, settings.digest(file))
        if present.get(file.name) == task.digest:
            tally.kept += 1
        else:
            tasks.append(task)
    writer = _Writer(out, shard_objects)
    try:
        for event in _run(tasks, executor, tally, progress):
            name = event.task.file.name
            if isinstance(event, Failed):
                tally.failures[name] = event.reason
                continue
            tally.rendered += 1
            if event.outcome.notes:
                tally.notes[name] = event.outcome.notes
            writer.add(event.task, event.outcome)
    except Cancelled as stop:
        done = tally.kept + tally.rendered
        raise Cancelled(
            f"Cancelled. {done} of {tally.objects} objects are kept in {out}; the same command goes on from there."
        ) from stop
    finally:
        writer.close()
        write_atomic(out / FAILURES, (json.dumps(tally.failures, indent=1, sort_keys=True) + "\n").encode())
    return tally


def newest(out: Path) -> dict[str, str]:
    """Name -> digest of all objects in the shards of a folder; of several with one name, the one of the last shard.

    Raises:
        GtrError: ``bad_input`` for a damaged shard.
    """
    return {entry.name: entry.digest for path in sorted(out.glob("*.tar")) for entry in read_index(path)}


def _run(
    tasks: list[RenderTask],
    executor: Callable[[], Executor[RenderTask, Rendered]],
    tally: RenderTally,
    progress: Progress,
) -> Iterator[Event[RenderTask, Rendered]]:
    waiting, under_way, done = list(reversed(tasks)), 0, tally.kept
    progress("draw", done, tally.objects)
    if not tasks:
        return
    running = executor()
    try:
        while waiting or under_way:
            while waiting and under_way < running.slots:
                running.submit(waiting.pop())
                under_way += 1
            for event in running.wait(_BEAT):
                under_way, done = under_way - 1, done + 1
                yield event
            progress("draw", done, tally.objects)
    finally:
        running.close()


class _Writer:
    """Collects objects and writes shards of them, numbered on from those that are there."""

    def __init__(self, out: Path, size: int) -> None:
        self._out, self._size = out, size
        self._number = len(list(out.glob("*.tar")))
        self._ready: list[tuple[RenderTask, Rendered]] = []

    def add(self, task: RenderTask, rendered: Rendered) -> None:
        self._ready.append((task, rendered))
        if len(self._ready) >= self._size:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        if not self._ready:
            return
        while (path := self._out / f"shard-{self._number:05d}.tar").exists():
            self._number += 1
        # In the order of the names, not in that in which the processes were ready.
        ready, self._ready = sorted(self._ready, key=lambda pair: pair[0].file.name), []
        write_shard(
            path,
            (
                (f"{self._number:05d}{place:04d}", task.file.name, task.digest, rendered.files)
                for place, (task, rendered) in enumerate(ready)
            ),
        )
