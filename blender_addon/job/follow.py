"""Following one job to its end by long polls: progress, previews, cancel, finish, lost contact."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..client import POLL_MARGIN_SECONDS
from ..errors import ClientError, Interrupted
from ..link.api import PROOF_SECONDS
from ..messages import plain
from ..values import Event, Lost, Progress

if TYPE_CHECKING:
    from ..client import GtrClient, Preview
    from ..link.server_link import ServerLink
    from .requests import Request

POLL_SECONDS = 5
"""Length of a long poll. Short enough that a server which stops in the middle is noticed within 10 s."""
SILENCE_SECONDS = 30.0
"""Before it has been silent for longer than this, the request fails (and can be taken up again)."""
_RETRY_SECONDS = (0.5, 1.0, 2.0, 3.0)
_PREVIEW_SECONDS = 0.5
_PACE_SECONDS = 0.1
_TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
_NO_CONTACT = frozenset({"server_off", "no_response", "auth", "not_gtr", "stopping"})

STAGE_WORDS = {
    "start": "Start server",
    "unwrap": "Lay out texture",
    "send": "Send",
    "wait": "Wait",
    "load": "Load model",
    "encode": "Read views",
    "hull": "Build surface",
    "fit": "Build surface",
    "fuse": "Build surface",
    "extract": "Build surface",
    "color": "Colour",
    "texture": "Refine",
    "save": "Save",
    "fetch": "Fetch",
    "picture": "Write picture",
}
"""What the panel calls the stages."""


def progress_text(stage: str, done: int = 0, total: int = 0) -> str:
    """ "Refine 21/50": the stage's word, and steps where the user chose their number."""
    word = STAGE_WORDS.get(stage, plain(stage).capitalize()[:20])
    return f"{word} {done}/{total}" if stage in ("texture", "send") and total else word


class JobFollower:
    """Follows the jobs of one request.

    Args:
        link: for finding the server again.
        client: the connection to begin with; ``client`` is always the current one.
        request: whose wishes (cancel, finish) are passed on.
        emit: takes Progress and Lost events.
        run_controls: runs what the panel asked of the server meanwhile.
    """

    def __init__(
        self,
        link: ServerLink,
        client: GtrClient,
        request: Request,
        emit: Callable[[Event], None],
        run_controls: Callable[[], None],
    ) -> None:
        self.client = client
        self._link = link
        self._request = request
        self._emit = emit
        self._run_controls = run_controls
        self._passed_on: set[str] = set()
        self._finishable = False
        self._heard = time.monotonic()

    def follow(
        self, job_id: str, on_preview: Callable[[Preview, int], None] | None = None, *, finishable: bool = False
    ) -> dict[str, Any]:
        """Wait for the end of a job, however long it takes as long as the server lives.

        Args:
            job_id: of the server.
            on_preview: called with each new preview and its step.
            finishable: the job is a refinement, which may be told to finish early.

        Returns:
            The job's document, succeeded.

        Raises:
            ClientError: the job's own error; ``server_stopped`` or ``no_response`` when contact is lost for good.
            Interrupted: the job was cancelled, or Blender shuts down.
        """
        self._passed_on.clear()
        self._finishable = finishable
        self._heard = time.monotonic()
        after, etag, previewed_at, step, waiting_preview = 0, "", 0.0, 0, False
        while True:
            answer = self._next_events(job_id, after)
            if answer is not None:
                after, events = _events(answer, after)
                for event in events:
                    waiting_preview |= event.get("message_code") == "preview"
                    step = self._tell(event, step)
                if answer.get("state") in _TERMINAL:
                    return self._outcome(job_id)
                if answer.get("state") == "queued":
                    self._tell_position(job_id)
            if on_preview and waiting_preview and time.monotonic() - previewed_at >= _PREVIEW_SECONDS:
                preview = self._preview(job_id, etag)
                previewed_at, waiting_preview = time.monotonic(), False
                if preview is not None:
                    etag = preview.etag
                    on_preview(preview, preview.step or step)
            self._link.stop_event.wait(_PACE_SECONDS)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _next_events(self, job_id: str, after: int) -> dict[str, Any] | None:
        try:
            self._run_controls()
            self._pass_on_wishes(job_id)
            answer = self.client.events(job_id, after=after, wait=POLL_SECONDS)
            self._link.keep_lease()
        except Interrupted:
            if self._link.stop_event.is_set():
                raise
            return None
        except ClientError as error:
            if error.code == "too_many_streams":
                self._link.stop_event.wait(error.retry_after or 1.0)
            elif error.code in _NO_CONTACT:
                self._lost(error)
            else:
                raise
            return None
        self._heard = time.monotonic()
        return answer

    def _pass_on_wishes(self, job_id: str) -> None:
        if self._link.stop_event.is_set():
            raise Interrupted
        if self._request.cancel.is_set() and "cancel" not in self._passed_on:
            self.client.cancel(job_id)
            self._passed_on.add("cancel")
        if self._finishable and self._request.finish.is_set() and "finish" not in self._passed_on:
            try:
                self.client.finish(job_id)
                self._passed_on.add("finish")
            except ClientError as error:
                # It waits in the queue still: say it again when it runs.
                if error.code != "cannot_finish":
                    raise

    def _lost(self, error: ClientError) -> None:
        """Look for the server until it answers again.

        Raises:
            ClientError: ``server_stopped`` or ``no_response`` when it is gone for good.
            Interrupted: the user does not want to wait.
        """
        # What is longer than a poll was no silence: this process itself stood still, as on a machine that slept.
        self._heard = max(self._heard, time.monotonic() - POLL_SECONDS - POLL_MARGIN_SECONDS)
        attempt = 0
        while True:
            if self._request.cancel.is_set():
                raise Interrupted
            retry = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
            attempt += 1
            self._emit(Lost(self._request.handle, time.monotonic() - self._heard, retry))
            client = self._link.find_again()
            if client is not None:
                self.client = client
                self._passed_on.clear()
                return
            if self._link.is_gone():
                raise ClientError("server_stopped", details=str(error))
            silent = time.monotonic() - self._heard
            if silent + retry + PROOF_SECONDS > SILENCE_SECONDS:
                code = "server_stopped" if error.code == "server_off" else "no_response"
                raise ClientError(code, details=str(error), values={"seconds": f"{silent:.0f}"})
            if self._link.stop_event.wait(retry):
                raise Interrupted

    def _tell(self, event: dict[str, Any], step: int) -> int:
        """Pass an event on; returns the refinement step that the latest preview belongs to."""
        data = event.get("data")
        data = data if isinstance(data, dict) else {}
        code, stage = event.get("message_code"), event.get("stage")
        if code == "preview":
            return _count(data.get("step"))
        if code == "requeued":
            self._progress("wait", text="Model process restarted")
        elif isinstance(stage, str):
            self._progress(stage, _count(data.get("done")), _count(data.get("total")), event.get("progress"))
        return step

    def _tell_position(self, job_id: str) -> None:
        position = _count(self.client.job(job_id).get("position"))
        if position:
            self._progress("wait", text=f"Wait ({position} before this)")

    def _progress(self, stage: str, done: int = 0, total: int = 0, overall: Any = 0.0, text: str = "") -> None:
        whole = float(overall) if isinstance(overall, (int, float)) else 0.0
        self._emit(
            Progress(
                self._request.handle,
                stage,
                min(1.0, done / total) if total else 0.0,
                done,
                total,
                text or progress_text(stage, done, total),
                min(1.0, max(0.0, whole)),
            )
        )

    def _preview(self, job_id: str, etag: str) -> Preview | None:
        try:
            return self.client.preview(job_id, etag)
        except ClientError:
            # A preview is a courtesy; if contact is lost, the next poll will say so.
            return None

    def _outcome(self, job_id: str) -> dict[str, Any]:
        job = self.client.job(job_id)
        if job.get("state") == "succeeded":
            return job
        if job.get("state") == "cancelled":
            raise Interrupted
        error = job.get("error")
        error = error if isinstance(error, dict) else {}
        view = error.get("view")
        text = " ".join(plain(str(error[part])) for part in ("detail", "hint") if error.get(part))
        raise ClientError(
            str(error.get("code", "internal")),
            text,
            f"job {job_id}",
            view=view if isinstance(view, int) and view >= 0 else None,
        )


def _events(answer: dict[str, Any], after: int) -> tuple[int, list[dict[str, Any]]]:
    events = answer.get("events")
    good = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    numbers = [event["seq"] for event in good if isinstance(event.get("seq"), int)]
    return max([after, *numbers]), good


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else 0
