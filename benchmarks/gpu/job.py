"""What every step of the GPU script knows: settings, folders, how much time is left, and how to start a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
_GRACE = 15.0
"""Seconds that a program has to save its work when its time is over."""

Status = Literal["done", "partly", "absent", "failed"]


@dataclass(frozen=True)
class Outcome:
    """How a step went.

    Args:
        status: ``done``; ``partly``, the next call goes on; ``absent``, something that it needs is not there;
            ``failed``.
        sentence: for people.
        figures: what was measured.
    """

    status: Status
    sentence: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What the user chose; see ``run.py --help``.

    Args:
        state: folder that calls share.
        back: folder of what is brought back.
        preset: network to train.
        device: ``cpu``, ``cuda`` or ``cuda:1`` ...
        seconds: that this call may take.
        nerf_seconds: of training in the first stage, over all calls.
        mesh_seconds: of training in the second stage.
        speed_preset: network whose speed is measured only; "" for none.
        validation_objects: procedural objects that are evaluated.
        objects: folder of further objects; None for none.
        most_objects: of that folder.
        nvdiffrast: its source folder; None for none.
        wheels: folder of packages to use; None for none.
        data_processes: that make training data.
        evaluation_jobs: processes of the evaluation.
        evaluation_device: of the evaluation: the figures need no GPU, and can be had after it was given back.
        commit: of the code, for the records.
        tiny: whether this is a rehearsal with tiny numbers.
    """

    state: Path
    back: Path
    preset: str
    device: str
    seconds: float
    nerf_seconds: float
    mesh_seconds: float
    speed_preset: str
    validation_objects: int
    objects: Path | None
    most_objects: int
    nvdiffrast: Path | None
    wheels: Path | None
    data_processes: int
    evaluation_jobs: int
    evaluation_device: str
    commit: str
    tiny: bool

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Args:
        code: its exit code; None when its time was over.
        log: file of all it said.
    """

    code: int | None
    log: Path

    @property
    def last_line(self) -> str:
        """The last thing it said."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it said nothing"


@dataclass(frozen=True)
class Job:
    """One call of the script.

    Args:
        settings: of the call.
        started: when it began, by the monotonic clock.
    """

    settings: Settings
    started: float

    @property
    def left(self) -> float:
        """Seconds until the call has to be over."""
        return self.settings.seconds - (time.monotonic() - self.started)

    def folder(self, name: str) -> Path:
        """A folder of the state; made if need be."""
        path = self.settings.state / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def say(self, text: str) -> None:
        """Tell people, with the seconds since the call began."""
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def python(
        self, name: str, arguments: Sequence[object], seconds: float, more: Mapping[str, str] | None = None
    ) -> Ended:
        """Run a Python program until it is over or its time is; what it says goes to ``logs/NAME.log``.

        When the time is over it is asked to stop as by Ctrl-C, so that it can save its work.

        Args:
            name: of the log; programs of one name write into one file, one after the other.
            arguments: of the interpreter.
            seconds: that it may take, saving included.
            more: entries of its environment.
        """
        log = self.folder("logs") / f"{name}.log"
        with log.open("a") as output:
            output.write(f"$ {' '.join(map(str, arguments))}\n")
            output.flush()
            program = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                cwd=ROOT, env=self.environment() | dict(more or {}), stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # its own children end with it, and a Ctrl-C here is passed on once
            )  # fmt: skip
            return Ended(_wait(program, max(seconds, 1.0)), log)

    def environment(self) -> dict[str, str]:
        """For programs of the project: importable without being installed, and nothing written outside the state."""
        paths = [str(ROOT), str(self.settings.state / "site"), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONUNBUFFERED": "1",
            "GTR_HOME": str(self.settings.state / "home"),
            "GTR_COMMIT": self.settings.commit,
        }


def _wait(program: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Its exit code; None when it had to be stopped."""
    grace = min(_GRACE, seconds / 3)
    try:
        return program.wait(seconds - grace)
    except subprocess.TimeoutExpired:
        program.send_signal(signal.SIGINT)
    except BaseException:
        _end(program)
        raise
    with suppress(subprocess.TimeoutExpired):
        program.wait(grace)
    _end(program)
    return None


def _end(program: subprocess.Popen[bytes]) -> None:
    """End it and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
