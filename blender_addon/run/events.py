"""What the job process's news mean for the run: one small function per kind of event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ClientError
from ..job.seen import JobSeen
from ..messages import ROWS
from ..texture.values import TextureReady
from ..values import (
    Cancelled,
    ColorsReady,
    Event,
    Failed,
    Finished,
    Lost,
    MasksReady,
    MeshReady,
    PreviewMesh,
    Progress,
    ServerLine,
)
from . import arrivals, former
from .run import ErrorBox, Run
from .time_left import in_words

if TYPE_CHECKING:
    from .session import Session

LIVE_SECONDS, LIVE_SHARE = 0.5, 4.0
"""Live colours are shown at most this often, and not before four times as long as redrawing them took last time."""

_MAY_GO_ON = frozenset({"no_response", "server_stopped", "server_off"})
"""After these the server may still have the job, or do it again when it comes back."""


def handle(session: Session, event: Event) -> None:
    """Let one event take effect."""
    if isinstance(event, ServerLine):
        _server(session, event)
        return
    if isinstance(event, JobSeen):
        session.former.seen(event)
        return
    run = session.run
    if run is None or event.handle != run.handle:
        return  # late news of a run that was given up
    if not isinstance(event, Lost):
        run.lost = False
    _HANDLERS[type(event)](session, run, event)


def _server(session: Session, line: ServerLine) -> None:
    session.server = line
    if line.state in ("failed", "incompatible") and session.run is None and session.error is None:
        row = ROWS.get(line.code)
        session.fail(ErrorBox(line.code or "internal", line.text, row.buttons if row else (), line.details))


def _progress(session: Session, run: Run, event: Progress) -> None:
    session.show(run, event.stage, event.fraction, event.text)
    former.note(run, *session.mailbox.runner().jobs_of(run.handle))
    if run.noted_job:
        session.former.replaced()


def _preview(_session: Session, run: Run, event: PreviewMesh) -> None:
    if not run.cancelling:
        arrivals.show_preview(run, event.mesh)


def _mesh(session: Session, run: Run, event: MeshReady) -> None:
    run.ready, run.mesh, run.job_id = event, event.mesh, event.job_id
    hides = run.placement is not None and run.placement.mode == "OVER" and bool(run.source_names)
    session.notes = (*event.notes, "The source is hidden in the viewport.") if hides else event.notes
    session.show(run, "place", 1.0, "Place")
    former.forget(run)
    arrivals.place_mesh(run)
    if run.kept_note:
        session.notes = (*session.notes, run.kept_note)


def _colors(session: Session, run: Run, event: ColorsReady) -> None:
    run.colors, run.step, run.unshown = event.colors, event.step, not event.final
    if event.final:
        run.job_id = event.job_id
        session.colors_final(run)


def show_colors(run: Run) -> None:
    """Show the latest live colours when it is time; those that came too soon wait, for no better ones may follow."""
    if run.unshown and time.monotonic() - run.shown_at >= max(LIVE_SECONDS, LIVE_SHARE * (run.show_cost or 0.0)):
        run.unshown = False
        arrivals.live_colors(run)


def _masks(_session: Session, run: Run, event: MasksReady) -> None:
    run.masks = event.masks
    arrivals.show_masks(run)


def _texture(session: Session, run: Run, event: TextureReady) -> None:
    from ..result import export_texture

    try:
        written = export_texture.write(run.export, event.texture)
    except ClientError as error:
        session.fail_run(run, ErrorBox.of(error))
        return
    session.exported = (*session.exported, written.text)
    if run.export.note:
        session.notes = (*session.notes, run.export.note)


def _failed(session: Session, run: Run, event: Failed) -> None:
    if event.code not in _MAY_GO_ON:
        former.forget(run)
    session.fail_run(run, ErrorBox.of_failed(event))


def _lost(_session: Session, run: Run, event: Lost) -> None:
    run.lost = True
    run.text = f"Lost contact, retrying {round(event.retry_seconds)} s"


def _cancelled(session: Session, run: Run, _event: Cancelled) -> None:
    former.forget(run)
    arrivals.drop_preview(run)
    session.end(run, "Cancelled")


def _finished(session: Session, run: Run, event: Finished) -> None:
    former.forget(run)
    if not event.stopped_early and not run.attach:
        session.durations.add(run.key, run.elapsed)
    if run.unchanged:
        session.notes = (*session.notes, "Refinement found nothing better; the colours stay.")
    word = "Stopped" if event.stopped_early else "Done"
    session.end(run, f"{word} in {in_words(run.elapsed)}{arrivals.size_in_words(run)}")


_HANDLERS: dict[type, Callable[[Any, Run, Any], None]] = {
    Progress: _progress,
    PreviewMesh: _preview,
    MeshReady: _mesh,
    ColorsReady: _colors,
    MasksReady: _masks,
    TextureReady: _texture,
    Failed: _failed,
    Lost: _lost,
    Cancelled: _cancelled,
    Finished: _finished,
}
