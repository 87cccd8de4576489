"""``gtr convert``: a checkpoint of the released GTR to a file of weights that this GTR loads."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gtr_core.cli.progress_bar import ProgressBar
from gtr_core.model.convert_child import RISK
from gtr_core.model.official_layout import PRESET

if TYPE_CHECKING:
    from gtr_core.model.weights_header import ModelHeader

_DESCRIPTION = f"""Convert a checkpoint of the released GTR (.pth) to a .safetensors file with its configuration inside.

A process of its own opens the checkpoint, without the network, and builds nothing but tensors from it. Names and shapes
are compared with the released layout. Without -o the result is put where the preset {PRESET} looks for it."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "convert",
        help="a released checkpoint to a file of weights",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="the .pth file")
    parser.add_argument("-o", "--output", type=Path, help=f"file to write (default: {PRESET}, in the models folder)")
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a download, which converts too, can be told about that."""
    parser.add_argument("--half", action="store_true", help="store the network in bfloat16: half the size")
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help=f"also build the Python objects other than tensors that the checkpoint may hold; {RISK}",
    )


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when ``check`` raises it; nothing is written then.
    """
    from gtr_core.io.atomic import making_folder
    from gtr_core.model.library import weights_path

    out: Path | None = options.output
    if out is None:
        out = weights_path(PRESET)
        making_folder(out.parent)
    progress = ProgressBar(check)
    try:
        convert(options, options.checkpoint, out, "", progress)
    finally:
        progress.close()


def convert(options: argparse.Namespace, checkpoint: Path, out: Path, source: str, progress: ProgressBar) -> None:
    """Convert, and say what came out.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when the progress bar raises it.
    """
    from gtr_core.model.convert import convert_official

    if options.trust_pickle:
        print(f"Warning: with --trust-pickle {checkpoint.name} is loaded in full; {RISK}.", file=sys.stderr)
    started = time.monotonic()
    header = convert_official(
        checkpoint, out, half=options.half, trust_pickle=options.trust_pickle, source=source, progress=progress
    )
    progress.finish()
    print(f"{out}: {_summary(header, out)}, {time.monotonic() - started:.1f} s")


def _summary(header: ModelHeader, out: Path) -> str:
    return (
        f"{header.preset}, {header.num_parameters / 1e6:,.1f} M parameters, {header.dtype}, "
        f"{out.stat().st_size / 1e6:,.1f} MB, licence: {header.licence}"
    )
