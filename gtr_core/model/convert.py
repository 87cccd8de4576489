"""The released checkpoint to a file of weights that GTR loads: ``gtr convert``."""

from __future__ import annotations

import json
import os
import queue
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.atomic import unwritable
from gtr_core.model.convert_child import Order
from gtr_core.model.weights_header import ModelHeader, read_header
from gtr_core.progress import Progress, no_progress

SUFFIX = ".safetensors"
_BEAT = 0.2
"""Seconds between two questions whether to stop, while the child is silent."""
_ROOT = Path(__file__).resolve().parents[2]


def convert_official(
    path: Path,
    out: Path,
    *,
    half: bool = False,
    trust_pickle: bool = False,
    num_heads: int | None = None,
    source: str = "",
    progress: Progress = no_progress,
) -> ModelHeader:
    """Convert a checkpoint in the released layout.

    A child process opens the checkpoint, because PyTorch's format can hold programs: without ``trust_pickle`` nothing
    but tensors is built from it. Names and shapes are compared with the released layout, and NaNs are refused. ``out``
    appears when it is complete; an older file stays as it was until then.

    Args:
        path: the checkpoint: ``pipeline`` with ``field`` and ``generator``; whatever else it holds is left out.
        out: the ``.safetensors`` file to write.
        half: whether to store the network in bfloat16; the two decoders stay in float32.
        trust_pickle: whether to build other Python objects too. This runs code that the file contains.
        num_heads: attention heads; None takes heads of 64 channels, as released.
        source: where the checkpoint comes from; the name of the file if empty.
        progress: stages ``verify`` (megabytes), ``convert`` (tensors) and ``save``.

    Returns:
        What was written.

    Raises:
        GtrError: ``bad_input`` for a file that is not such a checkpoint, or a target that cannot be written;
            ``disk_full``; ``out_of_memory``.
        Cancelled: when ``progress`` raises it.
    """
    check_weights_target(out)
    with _workshop(out) as folder:
        part = folder / out.name
        order = Order(str(path.resolve()), str(part), half, trust_pickle, num_heads, source or path.name)
        _run_child(order, progress)
        header = _put_in_place(part, out)
    return header


def check_weights_target(out: Path) -> None:
    """Whether weights can be written there, asked before the work.

    Raises:
        GtrError: ``bad_input``.
    """
    if out.suffix != SUFFIX:
        raise GtrError(ErrorCode.BAD_INPUT, f"{out.name} does not end in {SUFFIX}.", f"Name the output *{SUFFIX}.")
    if out.is_dir():
        raise GtrError(ErrorCode.BAD_INPUT, f"{out} is a folder.", "Choose another name.")
    if not out.parent.is_dir():
        raise GtrError(ErrorCode.BAD_INPUT, f"The folder {out.parent} does not exist.", "Make it or choose another.")


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder beside the target, on the same disk, that disappears with everything in it."""
    folder = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(part: Path, out: Path) -> ModelHeader:
    header = read_header(part)
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(out)
    except OSError as error:
        raise unwritable(out, error) from error
    return header


def _run_child(order: Order, progress: Progress) -> None:
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    child = subprocess.Popen(
        [sys.executable, "-m", "gtr_core.model.convert_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment,
        start_new_session=True,  # so that Ctrl-C reaches this process alone, and it decides
    )
    lines: queue.Queue[str] = queue.Queue()
    complaints: list[str] = []
    ears = [
        threading.Thread(target=_read_lines, args=(child.stdout, lines), daemon=True),
        threading.Thread(target=_keep_last, args=(child.stderr, complaints), daemon=True),
    ]
    with child:
        try:
            for ear in ears:
                ear.start()
            _give(child, order)
            if not _follow(lines, progress):
                ears[1].join()
                raise _died(child.wait(), complaints)
        finally:
            child.kill()  # nothing is lost: it has answered, or it is not wanted any more
            for ear in ears:
                ear.join()


def _give(child: subprocess.Popen[bytes], order: Order) -> None:
    if child.stdin is not None:
        with suppress(BrokenPipeError):  # it died at once; what it said last tells why
            child.stdin.write((order.to_json() + "\n").encode())


def _follow(lines: queue.Queue[str], progress: Progress) -> bool:
    """Pass progress on until the child has done its order; False when it fell silent before.

    Raises:
        GtrError: what the child says.
    """
    step: tuple[str, int, int] = ("verify", 0, 1)
    progress(*step)
    while line := _next(lines, step, progress):
        message = json.loads(line)
        if "done" in message:
            return True
        if "error" in message:
            code, sentence, hint = message["error"]
            raise GtrError(ErrorCode(code), _plain(sentence), _plain(hint))
        stage, done, total = message["progress"]
        step = stage, done, total
        progress(*step)
    progress(*step)  # whoever asked to stop wins over whatever ended the child
    return False


def _next(lines: queue.Queue[str], step: tuple[str, int, int], progress: Progress) -> str:
    """The next line of the child, "" when it has none any more; asks whether to stop while the child is silent."""
    while True:
        try:
            return lines.get(timeout=_BEAT)
        except queue.Empty:
            progress(*step)


def _read_lines(stream: IO[bytes] | None, lines: queue.Queue[str]) -> None:
    for line in stream or ():
        lines.put(line.decode(errors="replace"))
    lines.put("")


def _keep_last(stream: IO[bytes] | None, complaints: list[str]) -> None:
    for line in stream or ():
        if line.strip():
            complaints[:] = [line.decode(errors="replace").strip()]


def _died(exit_code: int, complaints: list[str]) -> GtrError:
    if exit_code in (-9, 137):
        return GtrError(
            ErrorCode.OUT_OF_MEMORY,
            "The system stopped the conversion, most likely because the memory ran out.",
            "Close other programs, then try again.",
        )
    last = _plain(complaints[0]) if complaints else f"exit code {exit_code}"
    return GtrError(ErrorCode.BAD_INPUT, f"The process that reads the checkpoint failed: {last}.", "Check the file.")


def _plain(text: str) -> str:
    """Fit for a terminal: names from a foreign file may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text)[:1000]
