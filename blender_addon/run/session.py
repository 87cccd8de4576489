"""The one session of this Blender: what runs, how the server is, what the panels show.

Everything here runs on the main thread and never waits: the worker thread of jobs.py talks to the server, a timer
calls :meth:`Session.tick`. Objects are remembered by id, because undo kills every Python reference.
"""

from __future__ import annotations

import time
from pathlib import Path

import bpy

from .. import packages, windows
from ..errors import ClientError
from ..result import objects as result_objects
from ..views import thumbnails
from . import arrivals, stale
from . import events as run_events
from .mailbox import Mailbox
from .picture import Picture
from .run import ErrorBox, Run
from .status import Status
from .submit import submit
from .time_left import Durations, overall_fraction


class Session(Status):
    """State machine of the panel: what clicks, events and beats do; what is shown of it is in :class:`Status`."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox = Mailbox()
        self._picture = Picture()

    # --- what the operators ask -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new action: the box and the lines of the former one go away."""
        self.error = None
        self.message = ""
        self.notes = ()
        self.exported = ()

    def start(self, runs: list[Run]) -> None:
        """Do these runs one after the other; the first starts now.

        Raises:
            ClientError: the first cannot start.
        """
        self.begin()
        self.queue = list(runs)
        self.queue_length = len(runs)
        try:
            self._start_next()
        except (ClientError, packages.MissingPackages):
            self.queue.clear()
            raise

    def again(self) -> None:
        """Run the last failed request again; what the server already has is not sent twice."""
        run = self.last
        if run is None:
            return
        self.begin()
        if run.handle and self.mailbox.runner().can_resubmit(run.handle):
            run.restart_clock()
            self.run = run
            run.handle = self.mailbox.runner().resubmit(run.handle)
            self.show(run, "start", 0.0, "Send")
        else:
            self.start([run])

    def cancel(self) -> None:
        """End the run; a second call after ten seconds without an answer restarts the model process."""
        run = self.run
        self.queue.clear()
        if run is None:
            return
        if self.capturing.active:
            self.capturing.drop()
            self.end(run, "Cancelled")
        elif run.cancelling:
            self.mailbox.runner().restart_worker()
        else:
            run.cancelling = True
            run.cancelled_at = time.monotonic()
            self.mailbox.runner().cancel(run.handle)

    def stop(self) -> None:
        """End a refinement after its current step and keep the colours."""
        if self.run is not None and self.can_stop:
            self.run.stopping = True
            self.mailbox.runner().finish(self.run.handle)

    def start_server(self, *, restart: bool = False) -> None:
        """Start or find the server; what goes wrong is shown in the error box.

        Raises:
            ClientError: Blender's Python lacks numpy or requests.
        """
        self.begin()
        self.mailbox.follow_settings()
        runner = self.mailbox.runner()
        if restart:
            runner.stop_server()
        runner.start_server()

    def import_as_new(self) -> None:
        """Put the last result into the scene once more."""
        if self.last is not None and self.last.mesh is not None:
            self.begin()
            arrivals.import_as_new(self.last)

    def fail(self, box: ErrorBox) -> None:
        """Show an error box; inputs stay as they are."""
        self.error = box
        windows.redraw()

    # --- the course of a run ----------------------------------------------------------------------------------------

    def _start_next(self) -> None:
        run = self.queue.pop(0)
        run.restart_clock()
        self.run = run
        captures = run.kind in ("capture", "reconstruct") and not run.views and not run.attach
        self.show(run, "capture" if captures else "start", 0.0, "Capture views" if captures else "Send")
        try:
            if not captures:
                submit(self.mailbox, run)
            elif self.capturing.begin(run):
                self._use_views(run)
        except (ClientError, packages.MissingPackages):
            self.run = None
            raise

    def _step_capture(self, run: Run) -> None:
        try:
            text = self.capturing.step(run)
        except ClientError as error:
            self.fail_run(run, ErrorBox.of(error))
            return
        if text is not None:
            self.show(run, "capture", self.capturing.fraction, text)
        else:
            self._use_views(run)

    def _use_views(self, run: Run) -> None:
        taken = self.capturing.taken
        assert taken is not None
        if run.kind == "capture":
            self.end(run, f"{len(taken.views)} views captured")
            return
        run.views, run.placement = taken.views, taken.placed(run.place)
        submit(self.mailbox, run)
        self.show(run, "start", 0.0, "Send")

    def show(self, run: Run, stage: str, fraction: float, text: str) -> None:
        """Note how far a run is; its bar never goes back."""
        run.stage, run.text = stage, text or run.text
        run.fraction = max(run.fraction, overall_fraction(run.kind, stage, fraction))

    def colors_final(self, run: Run) -> None:
        """Final colours have come: write them, hold them, recolour, or offer the object anew."""
        found = arrivals.finish_colors(run)
        run.gone = found == "gone" and not run.scene_closed
        run.recolour_after = found == "changed"
        if found in ("edit_mode", "painted"):
            self.held, self.held_by_paint = run, found == "painted"

    def apply_held(self, *, force: bool = False) -> None:
        """Write colours that were held back, as soon as the user leaves Edit mode; over his own paint only by force."""
        run = self.held
        if run is None or (self.held_by_paint and not force):
            return
        obj = result_objects.find(run.result_id)
        if obj is not None and obj.mode == "EDIT":
            return
        self.held = None
        if force:
            arrivals.finish_colors(run, force=True)
        else:
            self.colors_final(run)
        if run.gone:
            self.fail(ErrorBox.of(ClientError("object_gone")))
        if run.recolour_after and self.run is None:
            self._recolour_after(run)
            self._start_rest()

    def end(self, run: Run, message: str) -> None:
        """A run is over; what it left to do follows, then the next of the queue."""
        self.last, self.run = run, None
        self.message = message
        if run.gone:
            self.fail(ErrorBox.of(ClientError("object_gone")))
        if run.recolour_after:
            self._recolour_after(run)
        self._start_rest()

    def _start_rest(self) -> None:
        if not self.queue or self.run is not None:
            return
        try:
            self._start_next()
        except ClientError as error:
            self.fail(ErrorBox.of(error))
            self._start_rest()

    def _recolour_after(self, run: Run) -> None:
        try:
            self.queue[:0] = arrivals.recolouring_after(run)
        except ClientError as error:
            self.fail(ErrorBox.of(error))

    def fail_run(self, run: Run, box: ErrorBox) -> None:
        """A run failed: inputs are kept, what came stays, the box says what to do; the queue goes on."""
        arrivals.drop_preview(run)
        self.end(run, "The surface is kept" if run.mesh is not None and run.kind == "reconstruct" else "")
        self.fail(box)

    # --- the beat ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One beat of the timer: a view of the capture, the job process's news, held results, the picture."""
        self.mailbox.look(idle=self.run is None or self.server.state == "starting")
        if self.run is not None and self.run.show_cost is None:
            self.run.show_cost = time.monotonic() - self.run.shown_at
        if self.capturing.active and self.run is not None:
            self._step_capture(self.run)
        for event in self.mailbox.poll():
            run_events.handle(self, event)
        if self.run is not None:
            run_events.show_colors(self.run)
        self.apply_held()
        if self.run is None:
            self.capturing.look_again()
            self.former.look(self.mailbox, ready=self.server.state == "ready")
        self._picture.publish(self)

    def pump(self, seconds: float = 0.02) -> None:
        """Tick until nothing runs: for background mode, where timers do not fire."""
        while self.busy or self.queue:
            self.tick()
            time.sleep(seconds)

    # --- beginning and end ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """The add-on is on: look whether a server runs (never starts one) as soon as the timer beats."""
        self.durations = Durations(Path(bpy.utils.user_resource("CONFIG")) / "gtr_durations.json")
        self.mailbox.open(look=not bpy.app.background)

    def scene_changed(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Blender updated something."""
        stale.notice(depsgraph)
        self.capturing.scene_changed(depsgraph)

    def file_closes(self) -> None:
        """Another file is about to be opened: the run ends, its capture leaves no trace."""
        run = self.run
        self.queue.clear()
        self.held = None
        if run is not None:
            run.scene_closed = True
            if self.capturing.active:
                self.end(run, "Stopped: another file")
            else:
                self.cancel()
        self.capturing.forget()

    def file_opened(self) -> None:
        """Another file is open: it may name a job of an earlier Blender."""
        self.former.file_opened()

    def broken(self, box: ErrorBox) -> None:
        """A beat failed by a mistake of ours: end what runs, say so."""
        run, self.run = self.run, None
        self.queue.clear()
        self.held = None
        if run is not None and run.handle:
            self.mailbox.runner().cancel(run.handle)
        self.last, self.error = run, box

    def shutdown(self) -> None:
        """Give up the lease, end the thread, leave no temporary scene and no status text."""
        self.capturing.forget()
        self.mailbox.close()
        self.run = self.held = None
        self.queue.clear()
        thumbnails.close()
        windows.set_status(None)


session = Session()
