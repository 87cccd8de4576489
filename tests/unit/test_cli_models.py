"""``gtr models`` and ``gtr download`` from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from file_server import FileServer, serve
from official_checkpoint import make_checkpoint

from gtr_core.cli.main import CANCELLED, OK, USER_ERROR, main
from gtr_core.model.weights import read_header

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("official") / "official.pth"
    torch.save(make_checkpoint(), path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GTR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def site(checkpoint: bytes) -> Iterator[FileServer]:
    with serve(checkpoint) as server:
        server.url += "s/full_checkpoint.pth?download=true"
        yield server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def download(site: FileServer, *options: str) -> list[str]:
    return ["download", "--url", site.url, "--sha256", sha256(site.content).hexdigest(), *options]


def test_the_released_checkpoint_is_fetched_converted_and_listed(
    site: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(download(site, "--accept-license", "--half")) == OK
    output = capsys.readouterr()
    digest, path = sha256(site.content).hexdigest(), folder / "gtr-release.safetensors"
    assert f"SHA-256 {digest}" in output.out
    assert "non-commercial licence" in output.err
    assert "https://snap-research.github.io/GTR/" in output.err
    assert "Downloading (MB): " in output.err
    assert names(folder) == [path.name]
    header = read_header(path)
    assert (header.preset, header.dtype) == ("gtr-release", "bfloat16")
    assert header.source == f"{site.url} (SHA-256 {digest})"
    assert main(["models"]) == OK
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert all(word in rows["MODEL"] for word in ("STATE", "LICENCE", "SIZE", "SHA-256", "FILE"))
    size, own = f"{path.stat().st_size / 1e6:.1f} MB", sha256(path.read_bytes()).hexdigest()
    words = ("ready", "Snap non-commercial", size, own, str(path))
    assert all(word in rows["gtr-release"] for word in words)
    assert "built in" in rows["fit"]
    assert "missing" in rows["gtr-mini"]
    assert f"Models folder: {folder}" in rows
    assert main(["models", "--json"]) == OK
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert listed["gtr-release"] == {
        "name": "gtr-release",
        "preset": "gtr-release",
        "path": str(path),
        "bytes": path.stat().st_size,
        "sha256": own,
        "licence": "Snap non-commercial",
        "state": "ready",
        "reason": "",
    }
    assert listed["gtr-paper"]["path"] is None


def test_a_file_that_is_no_checkpoint_is_kept_and_named(
    site: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.content = b"hello" * 1000
    assert main(download(site, "--accept-license")) == USER_ERROR
    error = capsys.readouterr().err.splitlines()[-1]
    assert "of an unknown kind, not a PyTorch checkpoint" in error
    (kept,) = names(folder)
    assert kept.startswith("full_checkpoint-")
    assert f"The download is kept: {folder / kept}." in error
    assert main(download(site, "--accept-license")) == USER_ERROR
    assert len(site.requests) == 1  # checked, and not fetched again


def test_without_a_checksum_it_is_told(site: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["download", "--url", site.url, "--no-checksum", "--accept-license", "--keep"]
    site.content = site.content[:-100]
    assert main(command) == USER_ERROR
    output = capsys.readouterr()
    assert f"SHA-256 {sha256(site.content).hexdigest()}" in output.out
    assert "cut off" in output.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "checkpoint.pth", "--no-checksum", "--accept-license"], "checkpoint.pth is no web address"),
        (["--url", "https://a.org/b", "--sha256", "12", "--accept-license"], "12 is no SHA-256"),
        (["--url", "https://a.org/b", "--no-checksum"], "the licence was not accepted"),
    ],
)
def test_faults_before_the_network(
    options: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", *options]) == USER_ERROR
    assert words in capsys.readouterr().err
    assert names(folder) == []


@pytest.mark.parametrize("options", [[], ["--url", "https://a.org/b"], ["--no-checksum"]])
def test_the_address_and_the_checksum_come_from_the_user(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["download", *options])
    assert "required" in capsys.readouterr().err


def test_help_tells_where_from_and_on_which_terms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["download", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "https://snap-research.github.io/GTR/" in text
    assert "non-commercial licence" in text
    assert "runs whatever program the file contains" in text


def at_terminal(command: list[str], answer: bytes, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command whose standard input is a terminal, and answer its question."""
    import pty  # not on every system

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "gtr_core.cli.main", *command],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        asked = ""
        while not asked.endswith('Type "I accept" to accept that licence: '):
            asked += (letter := process.stderr.read(1))
            assert letter, asked
        if answer == b"\x03":
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, answer)
        rest = process.communicate(timeout=600)[1]
    os.close(ours)
    return process.returncode, asked + rest


@pytest.mark.skipif(os.name != "posix", reason="terminals")
@pytest.mark.parametrize("answer", [b"yes\n", b"\n", b"I do not accept\n", b"\x03"])
def test_other_answers_download_nothing(site: FileServer, folder: Path, answer: bytes) -> None:
    code, text = at_terminal(download(site), answer, {"GTR_MODELS": str(folder)})
    assert code == (CANCELLED if answer == b"\x03" else USER_ERROR)
    assert 'Type "I accept"' in text
    assert site.requests == []
    assert names(folder) == []
    assert "Traceback" not in text


@pytest.mark.skipif(os.name != "posix", reason="terminals")
def test_typing_that_one_accepts_begins(site: FileServer, folder: Path) -> None:
    site.statuses = [404]
    code, text = at_terminal(download(site), b"I accept\n", {"GTR_MODELS": str(folder)})
    assert code == USER_ERROR
    assert "there is no such file" in text
    assert len(site.requests) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_keeps_the_beginning_and_the_same_command_goes_on(
    site: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.content = bytes(20_000_000) + site.content  # what is before an archive does not count
    command = [sys.executable, "-m", "gtr_core.cli.main", "download", "--url", site.url, "--no-checksum"]
    site.pause_after = 2_000_000
    with subprocess.Popen(
        [*command, "--accept-license"], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    ) as process:
        while not any((folder / name).stat().st_size > 100_000 for name in names(folder) if name.endswith(".part")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=600)[1]
    assert process.returncode == CANCELLED
    last = error.splitlines()[-1]
    assert last.startswith("Stopped. ")
    assert last.endswith("MB are kept; run the same command again to go on.")
    part = next(folder / name for name in names(folder) if name.endswith(".part"))
    kept = part.stat().st_size
    assert 0 < kept < len(site.content)
    site.pause_after = None
    assert main(download(site, "--accept-license", "--keep")) == USER_ERROR
    assert site.requests[-1]["Range"] == f"bytes={kept}-"
    assert f"SHA-256 {sha256(site.content).hexdigest()}" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m gtr_core.cli.main models | head -c 1"
    environment = {**os.environ, "GTR_HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("M", "")
