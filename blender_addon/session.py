"""The one session of this Blender: what runs, how the server is, what the panels show.

Everything here runs on the main thread and never waits: the worker thread of jobs.py talks to the server, a timer
calls :meth:`Session.tick`. Objects are remembered by id, because undo kills every Python reference.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from . import arrivals, packages, preferences, result_objects, run_events, scene, stale, thumbnails, windows
from .capturing import Capturing
from .errors import ClientError
from .run import ErrorBox, ProgressLine, Run, State
from .time_left import Durations, in_words, overall_fraction
from .values import ServerLine, ServerSettings

if TYPE_CHECKING:
    from .jobs import JobRunner

FORCE_AFTER_SECONDS = 10.0
"""A cancel that the server has not confirmed by then offers to restart the model process."""
LOOK_SECONDS = 5.0
"""The server line and the preferences are looked at this often; never while a job tells how the server is."""


class Session:
    """State machine of the panel; see :class:`State` for the states, :attr:`state` for how one follows."""

    def __init__(self) -> None:
        self.server = ServerLine("off", "Server off")
        self.wants_server = False
        self.run: Run | None = None
        self.last: Run | None = None
        self.held: Run | None = None
        self.queue: list[Run] = []
        self.queue_length = 0
        self.capturing = Capturing()
        self.error: ErrorBox | None = None
        self.message = ""
        self.notes: tuple[str, ...] = ()
        self.exported: tuple[str, ...] = ()
        self.durations = Durations()
        self._runner: JobRunner | None = None
        self._settings = ServerSettings()
        self._next_look = 0.0
        self._looks_for_server = False
        self._shown = ""

    # --- what the panels ask ----------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Which state of the panel holds now."""
        if self.run is not None:
            return self._state_of_run(self.run)
        line = self.server
        if "server_not_installed" in (line.code, self.error.code if self.error else ""):
            return State.NOT_SET_UP
        if line.state == "incompatible":
            return State.INCOMPATIBLE
        if self.error is not None:
            return State.FAILED
        if line.state in ("starting", "lost"):
            return State(line.state)
        if line.state == "ready":
            return State.DONE if self.message else State.READY
        return State.OFF

    def _state_of_run(self, run: Run) -> State:
        if run.cancelling:
            return State.CANCELLING
        if self.capturing.active:
            return State.CAPTURING
        if run.lost:
            return State.LOST
        if run.kind == "reconstruct" and run.mesh is not None:
            return State.MESH_IN
        return State.STARTING if run.stage in ("start", "load") else State.RUNNING

    @property
    def busy(self) -> bool:
        """Whether something runs that the panel shows a bar for."""
        return self.run is not None

    @property
    def kind(self) -> str:
        """Kind of the run, empty when idle."""
        return self.run.kind if self.run is not None else ""

    @property
    def progress(self) -> ProgressLine:
        """Bar, stage and times of the run."""
        run = self.run
        if run is None:
            return ProgressLine()
        if run.cancelling:
            return ProgressLine(run.fraction, "No answer. ✕ = force" if self._may_force(run) else "Cancelling…")
        left = self.durations.left(run.key, run.elapsed)
        times = in_words(run.elapsed) + (f" · about {in_words(left)} left" if left is not None else "")
        return ProgressLine(run.fraction, "Finishing this step…" if run.stopping else run.text, times)

    @property
    def can_cancel(self) -> bool:
        """Whether the bar's button does something."""
        run = self.run
        return run is not None and not run.stopping and (not run.cancelling or self._may_force(run))

    @property
    def can_stop(self) -> bool:
        """Whether the run is a refinement that can end early with what it has."""
        run = self.run
        if run is None or run.cancelling:
            return False
        return run.kind == "refine" or (run.kind == "reconstruct" and run.mesh is not None)

    @property
    def queue_text(self) -> str:
        """``Object 1 of 3`` while several objects are reconstructed one by one."""
        if self.queue_length < 2:
            return ""
        return f"Object {self.queue_length - len(self.queue)} of {self.queue_length}"

    @staticmethod
    def _may_force(run: Run) -> bool:
        return run.cancelling and time.monotonic() - run.cancelled_at >= FORCE_AFTER_SECONDS

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
        self._start_next()

    def again(self) -> None:
        """Run the last failed request again; what the server already has is not sent twice."""
        run = self.last
        if run is None:
            return
        self.begin()
        if run.handle and self.runner().can_resubmit(run.handle):
            run.restart_clock()
            self.run = run
            run.handle = self.runner().resubmit(run.handle)
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
            self.runner().restart_worker()
        else:
            run.cancelling = True
            run.cancelled_at = time.monotonic()
            self.runner().cancel(run.handle)

    def stop(self) -> None:
        """End a refinement after its current step and keep the colours."""
        if self.run is not None and self.can_stop:
            self.run.stopping = True
            self.runner().finish(self.run.handle)

    def start_server(self, *, restart: bool = False) -> None:
        """Start or find the server; what goes wrong is shown in the error box.

        Raises:
            ClientError: Blender's Python lacks numpy or requests.
        """
        self.begin()
        self.follow_settings()
        runner = self.runner()
        self.wants_server = True
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
        captures = run.kind in ("capture", "reconstruct") and not run.views
        self.show(run, "capture" if captures else "start", 0.0, "Capture views" if captures else "Send")
        try:
            if not captures:
                self._submit(run)
            elif self.capturing.begin(run):
                self._use_views(run)
        except (ClientError, packages.MissingPackages):
            self.run = None
            raise

    def _submit(self, run: Run) -> None:
        runner = self.runner()
        if run.kind == "reconstruct":
            assert run.options is not None
            run.handle = runner.submit_reconstruct(list(run.views), run.options, run.refine)
        elif run.kind == "refine":
            assert run.refine is not None
            run.handle = runner.submit_refine(run.job_id, run.refine)
        elif run.kind == "recolour":
            run.handle = runner.submit_recolour(run.job_id, run.points)
        else:
            run.handle = runner.submit_masks(list(run.images), run.background)

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
        self._submit(run)
        self.show(run, "start", 0.0, "Send")

    def show(self, run: Run, stage: str, fraction: float, text: str) -> None:
        """Note how far a run is; its bar never goes back."""
        run.stage, run.text = stage, text or run.text
        run.fraction = max(run.fraction, overall_fraction(run.kind, stage, fraction))

    def colors_final(self, run: Run) -> None:
        """Final colours have come: write them, hold them, recolour, or offer the object anew."""
        found = arrivals.finish_colors(run)
        if found == "gone" and not run.scene_closed:
            run.gone = True
        elif found == "changed":
            run.recolour_after = True
        elif found in ("edit_mode", "painted"):
            self.held = run

    def apply_held(self, *, force: bool = False) -> None:
        """Try again to write colours that were held back; ``force`` also over the user's own paint."""
        run = self.held
        if run is None:
            return
        obj = result_objects.find(run.result_id)
        waits_for_edit_mode = obj is not None and obj.mode == "EDIT"
        if waits_for_edit_mode:
            return
        if arrivals.finish_colors(run, force=force) != "painted":
            self.held = None

    def end(self, run: Run, message: str) -> None:
        """A run is over; what it left to do follows, then the next of the queue."""
        self.last, self.run = run, None
        self.message = message
        if run.gone:
            self.fail(ErrorBox.of(ClientError("object_gone")))
        try:
            if run.recolour_after:
                self._recolour_after(run)
            if self.queue:
                self._start_next()
        except ClientError as error:
            self.fail(ErrorBox.of(error))

    def _recolour_after(self, run: Run) -> None:
        obj = result_objects.find(run.result_id)
        if obj is not None:
            again = Run("recolour", obj.name, run.scene, result_id=run.result_id, job_id=run.job_id, after_refine=True)
            again.points = scene.points_in_gtr(obj)
            self.queue.insert(0, again)

    def fail_run(self, run: Run, box: ErrorBox) -> None:
        """A run failed: inputs are kept, what came stays, the box says what to do; the queue goes on."""
        arrivals.drop_preview(run)
        self.end(run, "The surface is kept" if run.mesh is not None and run.kind == "reconstruct" else "")
        self.fail(box)

    # --- the worker thread and the beat -----------------------------------------------------------------------------

    def runner(self) -> JobRunner:
        """The worker thread's mailbox, made at first use.

        Raises:
            MissingPackages: Blender's Python lacks numpy or requests.
        """
        if self._runner is None:
            missing = packages.missing()
            if missing:
                raise packages.MissingPackages(missing)
            from .jobs import JobRunner

            self._settings = preferences.server_settings()
            self._runner = JobRunner(self._settings)
        return self._runner

    def tick(self) -> None:
        """One beat of the timer: a view of the capture, the worker's news, held results, the picture."""
        self._look_at_server()
        if self.capturing.active and self.run is not None:
            self._step_capture(self.run)
        if self._runner is not None:
            for event in self._runner.poll():
                run_events.handle(self, event)
        self.apply_held()
        if self.run is None:
            self.capturing.look_again()
        self._publish()

    def pump(self, seconds: float = 0.02) -> None:
        """Tick until nothing runs: for background mode, where timers do not fire."""
        while self.busy or self.queue:
            self.tick()
            time.sleep(seconds)

    def follow_settings(self) -> None:
        """Tell the worker thread when the server part of the preferences has changed."""
        settings = preferences.server_settings()
        if self._runner is not None and settings != self._settings:
            self._settings = settings
            self._runner.configure(settings)
            self._runner.check_server()

    def _look_at_server(self) -> None:
        now = time.monotonic()
        if self._looks_for_server:
            self._looks_for_server = False
            if not packages.missing():
                self.runner()
        if self._runner is None or now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        self.follow_settings()
        if self.run is None or self.server.state == "starting":
            self._runner.check_server()

    def _publish(self) -> None:
        line = self.progress
        shown = f"{self.state} {self.server.text} {line} {self.message} {self.error} {self.held is None}"
        if shown == self._shown:
            return
        self._shown = shown
        bpy.context.window_manager.gtr.progress = 100.0 * line.fraction
        windows.set_status(f"GTR: {line.text}" if self.run is not None and line.text else None)
        windows.redraw()

    # --- beginning and end ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """The add-on is on: look whether a server runs (never starts one) as soon as the timer beats."""
        self.durations = Durations(Path(bpy.utils.user_resource("CONFIG")) / "gtr_durations.json")
        self._looks_for_server = not bpy.app.background

    def scene_changed(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Blender updated something."""
        stale.notice(depsgraph)
        if self.run is None:
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

    def broken(self, box: ErrorBox) -> None:
        """A beat failed by a mistake of ours: end what runs, say so."""
        run, self.run = self.run, None
        self.queue.clear()
        self.held = None
        if run is not None and run.handle and self._runner is not None:
            self._runner.cancel(run.handle)
        self.last, self.error = run, box

    def shutdown(self) -> None:
        """Give up the lease, end the thread, leave no temporary scene and no status text."""
        self.capturing.forget()
        self.end_thread()
        self.run = self.held = None
        self.queue.clear()
        thumbnails.close()
        windows.set_status(None)

    def end_thread(self) -> None:
        """Let the server go; also called when Python ends, where bpy may be gone already."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.shutdown()


session = Session()
