"""``gtr models``: which models there are, and which can run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from gtr_core.cli.progress_bar import ProgressBar

if TYPE_CHECKING:
    from gtr_core.model.library import ModelEntry

_DESCRIPTION = """List the models: name, state, licence, size, checksum and file.

Models lie in the folder GTR_MODELS, else in models below GTR_HOME, else in ~/.gtr/models."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "models",
        help="list the models and their state",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        Cancelled: when ``check`` raises it.
    """
    from gtr_core.model.library import list_models, models_folder

    progress = ProgressBar(check)
    try:
        entries = list_models(progress=progress)
    finally:
        progress.close()
    if options.json:
        print(json.dumps({"folder": str(models_folder()), "models": [_record(entry) for entry in entries]}, indent=2))
        return
    print("\n".join(_table(entries)))
    for entry in entries:
        if entry.reason:
            print(f"\n{entry.name}: {entry.reason}")
    print(f"\nModels folder: {models_folder()}")


def _record(entry: ModelEntry) -> dict[str, object]:
    return {**asdict(entry), "path": None if entry.path is None else str(entry.path)}


def _table(entries: Sequence[ModelEntry]) -> list[str]:
    rows = [("MODEL", "STATE", "LICENCE", "SIZE", "SHA-256", "FILE")]
    rows += [
        (
            entry.name if entry.name == entry.preset or not entry.preset else f"{entry.name} ({entry.preset})",
            entry.state,
            entry.licence or "-",
            f"{entry.bytes / 1e6:,.1f} MB" if entry.path else "-",
            entry.sha256 or "-",
            str(entry.path or "-"),
        )
        for entry in entries
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
