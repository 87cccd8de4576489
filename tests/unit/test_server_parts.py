"""Messages, events, progress and logs of the server."""

import itertools
import json
import logging
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from gtr_core.progress import STAGES, Cancelled
from gtr_server import wire
from gtr_server.events import EventLog
from gtr_server.faults import inject
from gtr_server.job import Task
from gtr_server.logs import JsonLines
from gtr_server.progress_scale import LEARNED, WEIGHTS, WITH_DEPTH, overall
from gtr_server.reporter import INTERVAL, Reporter

# --- messages, events, progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(wire.Message), ids=lambda kind: kind.__name__)
def test_every_message_survives_the_wire(kind: type[Any]) -> None:
    samples = {"str": "ü\n", "int": 3, "bool": True, "dict[str, Any]": {"a": [1, None]}, "str | None": None,
               "int | None": 2, "list[dict[str, Any]]": [{"name": "x"}], "list[str]": ["n"]}  # fmt: skip
    message = kind(**{field.name: samples[str(field.type)] for field in fields(kind)})
    data = wire.encode(message)
    assert wire.decode(data) == message
    assert json.loads(data)[0] == kind.__name__


@pytest.mark.parametrize("task", [*Task, WITH_DEPTH, LEARNED])
def test_progress_rises_from_nothing_to_all(task: str) -> None:
    scale = WEIGHTS[task]
    assert sum(scale.values()) == 100
    shares = [overall(scale, stage, done, 4) for stage in scale for done in range(5)]
    assert None not in shares
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert (shares[0], shares[-1]) == (0, 1)
    assert overall(scale, "unheard of", 1, 2) is None
    assert overall(scale, "load", 0, 0) is not None


def test_reconstruction_knows_every_stage_of_the_core() -> None:
    assert {*STAGES} <= {*WEIGHTS[Task.RECONSTRUCT], *WEIGHTS[Task.REFINE]}


def test_progress_never_falls_within_an_attempt() -> None:
    log = EventLog(1)
    for share in (0.2, 0.1, None, 0.5):
        log.add("j", "progress", progress=share)
    log.add("j", "requeued")
    log.add("j", "progress", progress=0.1)
    events, last = log.after("j", 0)
    assert [event["progress"] for event in events] == [0.2, 0.2, 0.2, 0.5, 0.0, 0.1]
    assert last == events[-1]["seq"]
    log.begin("j", "state")
    assert log.after("j", last) == ([], last)


def test_old_events_and_jobs_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtr_server.events.KEPT_JOBS", 3)
    log = EventLog(2)
    for index in range(1200):
        log.add("busy", "progress", done=index)
    events, _ = log.after("busy", 0)
    assert len(events) == 500
    assert events[-1]["data"] == {"done": 1199}
    for name in "abc":
        log.add(name, "state")
    assert log.after("busy", 7) == ([], 7)


def test_reporter_tells_enough_and_not_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("gtr_server.reporter.time", SimpleNamespace(monotonic=lambda: next(clock) / 1000))
    sent: list[wire.Message] = []
    report = Reporter("j", 1, tmp_path, sent.append)
    for stage in ("load", "fuse"):
        for done in range(1001):
            report(stage, done, 1000)
    progress = [(message.stage, message.done) for message in sent if isinstance(message, wire.Progressed)]
    assert progress[0] == ("load", 0)
    assert ("load", 1000) in progress
    assert ("fuse", 0) in progress
    assert progress[-1] == ("fuse", 1000)
    assert 2 / INTERVAL < len(progress) < 4 + 2 / INTERVAL
    report.preview("mesh", 5, lambda path: path.write_bytes(b"npz"))
    assert sent[-1] == wire.Previewed("j", "mesh", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["preview.npz"]
    assert set(report.close()) == {"load", "fuse"}
    report.cancel()
    with pytest.raises(Cancelled):
        report("fuse", 1, 2)


def test_faults_happen_in_tests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GTR_FAULT", "memory@fit:2,raise@hull")
    monkeypatch.delenv("GTR_TESTING", raising=False)
    inject("hull")
    monkeypatch.setenv("GTR_TESTING", "1")
    inject("fit", 1)
    with pytest.raises(MemoryError):
        inject("fit", 2)
    with pytest.raises(RuntimeError):
        inject("hull", 7)


def test_log_lines_cannot_be_forged() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, 'a\n{"level": "critical"}', (), None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'a\n{"level": "critical"}'
