"""The conversion as the user runs it: a process of its own, that leaves nothing behind when it fails."""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from official_checkpoint import make_checkpoint

from gtr_core.cli.main import CANCELLED, OK, USER_ERROR, main
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.convert import convert_official
from gtr_core.model.convert_child import RISK, Order
from gtr_core.model.library import models_folder
from gtr_core.model.weights import load_model, read_header
from gtr_core.progress import Cancelled

ROOT = Path(__file__).resolve().parents[2]


class Runs:
    """Calls a function when it is unpickled: what a hostile checkpoint does."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.fixture
def official(tmp_path: Path) -> Path:
    path = tmp_path / "official.pth"
    torch.save(make_checkpoint(), path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A place for the result that holds an older file; nothing else may be left there."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "gtr.safetensors").write_bytes(b"older")
    yield folder / "gtr.safetensors"
    assert [path.name for path in folder.iterdir()] == ["gtr.safetensors"]


def children() -> list[psutil.Process]:
    """The converting processes; others, such as multiprocessing's own, may live as long as the tests."""
    return [child for child in psutil.Process().children(recursive=True) if "convert_child" in command_of(child)]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_the_child_converts_and_reports(official: Path, out: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    header = convert_official(official, out, half=True, progress=lambda *step: steps.append(step))
    assert header == read_header(out)
    assert header.dtype == "bfloat16"
    assert header.source.startswith("official.pth (SHA-256 ")
    assert load_model(out).config == header.config
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == ["verify", "convert", "save"]
    assert steps[-1] == ("save", 1, 1)
    assert children() == []


def test_what_the_child_refuses_is_said_here_and_the_older_file_stays(tmp_path: Path, out: Path) -> None:
    canary = tmp_path / "canary"
    torch.save(make_checkpoint() | {"x": Runs(os.mkdir, str(canary))}, tmp_path / "hostile.pth")
    with pytest.raises(GtrError) as caught:
        convert_official(tmp_path / "hostile.pth", out)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert "posix.mkdir" in caught.value.message or "nt.mkdir" in caught.value.message
    assert not canary.exists()
    assert out.read_bytes() == b"older"


def test_names_from_the_file_cannot_speak_to_the_terminal(tmp_path: Path, out: Path) -> None:
    torch.save({"\x1b[2J\x07": 1}, tmp_path / "hostile.pth")
    with pytest.raises(GtrError, match=r"holds \?\[2J\?\."):
        convert_official(tmp_path / "hostile.pth", out)


def test_pickles_are_opened_in_one_place_only() -> None:
    """Lint: whoever loads a pickle runs what it holds. ``weights_only=True`` runs nothing."""
    words = (
        "torch.load(", "pickle.load", "Unpickler(", "allow_pickle=True", "torch.hub.load", "yaml.load(", "eval(",
    )  # fmt: skip
    harmless = re.compile(r"torch\.load\([^()]*\bweights_only=True\)")
    found = {
        (path.name, word)
        for package in ("gtr_core", "gtr_server", "blender_addon")
        for path in (ROOT / package).rglob("*.py")
        for word in words
        if re.search(rf"(?<![.\w]){re.escape(word)}", harmless.sub("", path.read_text(encoding="utf-8")))
    }
    assert found == {("official_file.py", "torch.load(")}


def test_a_trusted_file_still_gets_no_socket(tmp_path: Path, out: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        call = Runs(socket.create_connection, listening.getsockname())
        torch.save(make_checkpoint() | {"x": call}, tmp_path / "hostile.pth")
        with pytest.raises(GtrError, match="does not use the network"):
            convert_official(tmp_path / "hostile.pth", out, trust_pickle=True)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert out.read_bytes() == b"older"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("signal_number", "code", "words"),
    [
        (signal.SIGKILL, ErrorCode.OUT_OF_MEMORY, "memory ran out"),
        (signal.SIGABRT, ErrorCode.BAD_INPUT, "process that reads the checkpoint failed"),
    ],
)
def test_a_child_that_dies_is_reported(
    official: Path, out: Path, signal_number: int, code: ErrorCode, words: str
) -> None:
    def kill(stage: str, done: int, total: int) -> None:
        for child in children():
            child.send_signal(signal_number)

    with pytest.raises(GtrError, match=words) as caught:
        convert_official(official, out, progress=kill)
    assert caught.value.code is code
    assert out.read_bytes() == b"older"


def test_stopping_ends_the_child(official: Path, out: Path) -> None:
    seen: list[psutil.Process] = []

    def stop(stage: str, done: int, total: int) -> None:
        seen.extend(children())
        raise Cancelled

    with pytest.raises(Cancelled):
        convert_official(official, out, progress=stop)
    assert len(seen) == 1
    assert not seen[0].is_running()
    assert out.read_bytes() == b"older"


def test_the_child_leaves_when_its_parent_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / ".half-done"
    folder.mkdir()
    order = Order("/dev/zero", str(folder / "out.safetensors"), False, False, None, "")
    with subprocess.Popen(
        [sys.executable, "-m", "gtr_core.model.convert_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    ) as child:
        child.stdin.write((order.to_json() + "\n").encode())
        child.stdin.close()
        child.wait(timeout=600)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("gtr.pth", "does not end in .safetensors"), ("gone/gtr.safetensors", "gone does not exist"), ("", "is a folder")],
)
def test_targets_are_checked_before_any_work(tmp_path: Path, name: str, words: str) -> None:
    target = tmp_path / name
    if not name:
        target = tmp_path / "folder.safetensors"
        target.mkdir()
    with pytest.raises(GtrError, match=words):
        convert_official(tmp_path / "gone.pth", target)
    assert children() == []


def test_command_puts_weights_where_the_preset_looks(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GTR_MODELS", str(tmp_path / "models"))
    assert main(["convert", str(official)]) == OK
    output = capsys.readouterr()
    target = tmp_path / "models" / "gtr-release.safetensors"
    assert target.parent == models_folder()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert f"{target}: gtr-release, 0.1 M parameters, float32" in output.out
    assert "licence: Snap non-commercial" in output.out
    assert "Converting: " in output.err
    assert "Warning" not in output.err


def test_command_warns_where_trust_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = tmp_path / "official.pth", tmp_path / "out.safetensors"
    torch.save(make_checkpoint() | {"args": argparse.Namespace(lr=1)}, path)
    assert main(["convert", str(path), "-o", str(target)]) == USER_ERROR
    error = capsys.readouterr().err
    assert "argparse.Namespace" in error
    assert RISK in error
    assert not target.exists()
    assert main(["convert", str(path), "-o", str(target), "--trust-pickle", "--half"]) == OK
    output = capsys.readouterr()
    assert output.err.startswith("Warning: with --trust-pickle official.pth is loaded in full")
    assert RISK in output.err
    assert "bfloat16" in output.out


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_nothing(official: Path, tmp_path: Path) -> None:
    target, site = tmp_path / "weights" / "out.safetensors", tmp_path / "site"
    target.parent.mkdir()
    site.mkdir()
    # The child never gets to its work: it cannot be done with it before we have seen it.
    (site / "sitecustomize.py").write_text(
        "import sys, time\nif any('convert_child' in word for word in sys.orig_argv):\n    time.sleep(900)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "gtr_core.cli.main", "convert", str(official), "-o", str(target)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(site)},
        start_new_session=True,
    ) as process:
        while not (converting := psutil.Process(process.pid).children()):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        error = process.communicate(timeout=600)[1]
    assert not any(child.is_running() for child in converting)
    assert process.returncode == CANCELLED
    assert error.splitlines()[-1] == "Cancelled. Nothing was written."
    assert "Traceback" not in error
    assert list(target.parent.iterdir()) == []
