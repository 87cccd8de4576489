"""Entry point of ``gtr``: parses the command line, turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from gtr_core.cli import convert, download, evaluate, models, reconstruct, render_dataset, train, train_prior
from gtr_core.errors import GtrError
from gtr_core.progress import Cancelled

OK, USER_ERROR, CANCELLED = 0, 2, 130
"""Exit codes: done; something that the user can put right; stopped with Ctrl-C."""


class Interrupt:
    """Remembers Ctrl-C until the work asks."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Stop the work at this place if Ctrl-C was pressed.

        Raises:
            Cancelled: if it was.
        """
        if self.requested:
            raise Cancelled


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    with _interruptible() as interrupt:
        try:
            options.run(options, interrupt.check)
            sys.stdout.flush()
        except Cancelled as stop:
            print(str(stop) or "Cancelled. Nothing was written.", file=sys.stderr)
            return CANCELLED
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return CANCELLED
        except GtrError as error:
            print(f"gtr: {error}", file=sys.stderr)
            return USER_ERROR
        except BrokenPipeError:
            # The reader of our output, such as head, has seen enough. Python would try to write the rest at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gtr",
        description="From a few pictures of an object to a textured mesh.",
        epilog="Exit codes: 0 done, 2 something to put right (said in one sentence), 130 stopped with Ctrl-C.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (reconstruct, evaluate, models, download, convert, render_dataset, train, train_prior):
        command.add_command(commands)
    return parser


@contextmanager
def _interruptible() -> Iterator[Interrupt]:
    """The first Ctrl-C asks the work to stop at its next step, the second one stops it at once."""
    interrupt = Interrupt()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True
        os.write(2, b"\nStopping ...\n")  # print is not safe inside a signal handler

    try:
        previous = signal.signal(signal.SIGINT, on_signal)
    except ValueError:  # not the main thread, which alone receives signals
        yield interrupt
        return
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)


if __name__ == "__main__":
    sys.exit(main())
