"""Waiting for what a job runner tells."""

from __future__ import annotations

import time
from collections.abc import Callable

from blender_addon.job.desk import JobDesk
from blender_addon.values import Cancelled, Event, Failed, Finished

ENDS = (Finished, Failed, Cancelled)
PATIENCE = 180.0
"""Seconds until a test gives up: far beyond what the slowest machine needs."""


def collect(runner: JobDesk, until: Callable[[Event], bool]) -> list[Event]:
    """All events up to the first one that is waited for."""
    events: list[Event] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for event in runner.poll():
            events.append(event)
            if until(event):
                return events
        time.sleep(0.01)
    raise AssertionError(f"nothing of the kind among {events}")


def to_end(runner: JobDesk, handle: str) -> list[Event]:
    """All events up to the end of a request."""
    return collect(runner, lambda event: isinstance(event, ENDS) and event.handle == handle)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is true; events stay where they are."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def of(kind: type, events: list[Event]) -> list:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]
