"""``gtr download``: the released checkpoint from Snap, once its licence is accepted, converted for this GTR."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gtr_core.cli import convert
from gtr_core.cli.progress_bar import ProgressBar
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.official_layout import LICENCE, PAGE, PRESET
from gtr_core.progress import Cancelled

_TERMS = f"""The weights of {PRESET} belong to Snap Inc. and come under Snap's non-commercial licence: read it where the
checkpoint is offered, {PAGE}
They are not part of this program, and its licence does not cover them."""
_QUESTION = 'Type "I accept" to accept that licence: '
_DESCRIPTION = f"""Download the released checkpoint and convert it.

{_TERMS}

Neither the address of the checkpoint nor its checksum is built in: take both from that page. A download that was
stopped goes on where it was when the same command is run again."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "download",
        help="the released checkpoint from Snap, converted",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="address of the checkpoint itself")
    checksum = parser.add_mutually_exclusive_group(required=True)
    checksum.add_argument("--sha256", metavar="HEX", help="what the checkpoint must hash to")
    checksum.add_argument("--no-checksum", action="store_true", help="nothing to compare it with: print its SHA-256")
    parser.add_argument("--accept-license", action="store_true", help=f"you accept the licence ({LICENCE})")
    parser.add_argument("--keep", action="store_true", help="keep the checkpoint beside the converted weights")
    convert.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when ``check`` raises it; what has come of the checkpoint is kept.
    """
    from gtr_core.model.download import download, parse_sha256, part_of
    from gtr_core.model.library import weights_path
    from gtr_core.model.web_response import check_url

    check_url(options.url)
    expected = None if options.no_checksum else parse_sha256(options.sha256)
    accept_licence(options.accept_license)
    out = weights_path(PRESET)
    target = out.with_name(_file_name(options.url))
    progress = ProgressBar(check)
    try:
        digest = download(options.url, target, sha256=expected, progress=progress)
        progress.finish()
        print(f"{target.name}: {target.stat().st_size / 1e6:,.1f} MB, SHA-256 {digest}")
        convert.convert(options, target, out, options.url, progress)
    except Cancelled as stop:
        kept = target if target.exists() else part_of(target)
        size = kept.stat().st_size / 1e6 if kept.exists() else 0.0
        raise Cancelled(f"Stopped. {size:,.1f} MB are kept; run the same command again to go on.") from stop
    except GtrError as error:
        if target.exists():
            raise GtrError(error.code, error.message, f"{error.hint} The download is kept: {target}.") from error
        raise
    finally:
        progress.close()
    if not options.keep:
        target.unlink()


def accept_licence(accepted: bool) -> None:
    """Show the terms and have them accepted, by the option or by a typed answer.

    Raises:
        GtrError: ``bad_input`` when they are not.
    """
    print(_TERMS, file=sys.stderr)
    if accepted or (sys.stdin.isatty() and _ask(_QUESTION).strip().strip('".').lower() == "i accept"):
        return
    raise GtrError(
        ErrorCode.BAD_INPUT,
        "Nothing was downloaded: the licence was not accepted.",
        'Type "I accept" when asked, or give --accept-license.',
    )


def _ask(question: str) -> str:
    """A line from the terminal; Ctrl-C ends the waiting at once."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, handler)


def _file_name(url: str) -> str:
    """Name under which the checkpoint lies until it is converted; another for each address."""
    stem = Path(unquote(urlsplit(url).path)).stem
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in stem)[:60]
    return f"{plain or 'checkpoint'}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.pth"
