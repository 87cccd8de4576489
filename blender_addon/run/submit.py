"""From a run to the request of the worker thread that does it."""

from __future__ import annotations

from .mailbox import Mailbox
from .run import Run


def submit(mailbox: Mailbox, run: Run) -> None:
    """Hand the run to the worker thread; its handle names it in events.

    Raises:
        MissingPackages: Blender's Python lacks numpy or requests.
    """
    runner = mailbox.runner()
    mailbox.follow_settings()
    if run.attach and run.kind == "refine":
        assert run.refine is not None
        run.handle = runner.submit_attach_refine(run.attach, run.refine.steps)
    elif run.attach:
        run.handle = runner.submit_attach(run.attach, run.refine)
    elif run.kind == "reconstruct":
        assert run.options is not None
        run.handle = runner.submit_reconstruct(list(run.views), run.options, run.refine)
    elif run.kind == "refine":
        assert run.refine is not None
        run.handle = runner.submit_refine(run.job_id, run.refine)
    elif run.kind == "recolour":
        run.handle = runner.submit_recolour(run.job_id, run.points)
    elif run.kind == "bake":
        run.handle = runner.submit_bake(run.export.job_id, run.export.surface)
    else:
        run.handle = runner.submit_masks(list(run.images), run.background)
