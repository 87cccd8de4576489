"""The process that opens a foreign checkpoint: ``python -m gtr_core.model.convert_child``, for :mod:`.convert` only.

It reads one order (a line of JSON) on its standard input, answers with lines of JSON on its standard output, opens no
socket, and leaves with its parent: when its standard input ends, it removes the folder it writes into.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from gtr_core.errors import ErrorCode, GtrError

RISK = (
    "it then runs whatever program the file contains, with your rights: it could read, change or send your files. "
    "Do that only with a file from somebody you trust"
)
"""What ``--trust-pickle`` means; said wherever it is offered."""


@dataclass(frozen=True)
class Order:
    """What to convert.

    Args:
        path: the checkpoint.
        out: the file to write, alone in a folder of its own.
        half: whether to store the network in bfloat16.
        trust_pickle: whether to build the Python objects in the file, which can run code.
        num_heads: attention heads; None takes heads of 64 channels.
        source: where the checkpoint comes from, in words.
    """

    path: str
    out: str
    half: bool
    trust_pickle: bool
    num_heads: int | None
    source: str

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


class Answers:
    """Lines of JSON to the parent; whatever else prints goes to the standard error output."""

    def __init__(self) -> None:
        self._stream: TextIO = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def progress(self, stage: str, done: int, total: int) -> None:
        """Where the work stands."""
        self._send({"progress": [stage, done, total]})

    def error(self, error: GtrError) -> None:
        """Why it failed."""
        self._send({"error": [error.code, error.message, error.hint]})

    def done(self) -> None:
        """The file is written."""
        self._send({"done": True})

    def _send(self, message: dict[str, object]) -> None:
        self._stream.write(json.dumps(message) + "\n")
        self._stream.flush()


def main() -> int:
    """Do one order; the exit code is 0 when it was answered, with success or with an error in words."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where Ctrl-C reaches this process too, the parent decides
    answers = Answers()
    order = Order(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_leave_with_parent, args=(Path(order.out).parent,), daemon=True).start()
    # Imported before sockets are forbidden, so that no library is disturbed while it loads.
    from gtr_core.model.official_weights import write_weights

    forbid_sockets()
    try:
        write_weights(order, answers.progress)
    except GtrError as error:
        answers.error(error)
    except MemoryError:
        answers.error(GtrError(ErrorCode.OUT_OF_MEMORY, "The memory does not suffice.", "Close other programs."))
    else:
        answers.done()
    return 0


def forbid_sockets() -> None:
    """From here on, whoever opens a socket in this process gets an error; there is no way back."""

    def refuse(event: str, _arguments: tuple[object, ...]) -> None:
        if event.startswith("socket."):
            raise PermissionError("the conversion of a checkpoint does not use the network")

    sys.addaudithook(refuse)


def _leave_with_parent(folder: Path) -> None:
    while os.read(0, 1):  # not through sys.stdin, whose lock would be held when the interpreter ends
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
