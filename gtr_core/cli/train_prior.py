"""``gtr train-prior``: the small network that tells the preset ``fit`` what is likely inside a visual hull."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.progress import Cancelled

if TYPE_CHECKING:
    from gtr_core.fit.shape_prior import ShapePrior
    from gtr_core.training.shape_prior import PriorStep

_ROW_STEPS = 25


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "train-prior",
        help="train the shape prior of fit",
        description="Train the small network that tells the preset fit what is likely inside a visual hull, on "
        "procedural objects and on the CPU. The file is written again from time to time, and at the end.",
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="weights (safetensors)")
    parser.add_argument(
        "--budget-seconds", type=float, default=3600, metavar="S", help="that it may take (default: %(default)s)"
    )
    parser.add_argument(
        "--from", dest="start", type=Path, metavar="FILE", help="weights to begin with (default: random)"
    )
    parser.add_argument("--threads", type=int, default=1, help="that make samples (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness (default: %(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when ``check`` raises it; the average so far is written before.
    """
    if not options.budget_seconds > 0:
        raise GtrError(ErrorCode.BAD_INPUT, "--budget-seconds must be above 0.", "Give 3600 for an hour.")
    if options.threads < 1:
        raise GtrError(ErrorCode.BAD_INPUT, "--threads must be 1 or more.", "Leave it away for one.")
    # Imported here so that the help, and a wrong option, do not wait for torch.
    from gtr_core.fit.shape_prior import load_prior, save_prior
    from gtr_core.training.shape_prior import train_shape_prior

    losses: list[tuple[float, float]] = []

    def on_step(step: PriorStep, prior: ShapePrior) -> None:
        losses.append((step.loss, step.hull_loss))
        if step.step % _ROW_STEPS == 0:
            mean, of_hull = (sum(column) / len(losses) for column in zip(*losses, strict=True))
            losses.clear()
            print(
                f"{step.share:5.1%}  {step.objects:,} objects  loss {mean:.3f}  that of the hull {of_hull:.3f}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            save_prior(prior, options.output)
        try:
            check()
        except Cancelled:
            save_prior(prior, options.output)
            raise Cancelled(f"Stopped; what was learned so far is written to {options.output}.") from None

    start = None if options.start is None else load_prior(options.start)
    prior = train_shape_prior(
        options.budget_seconds, seed=options.seed, threads=options.threads, start=start, on_step=on_step
    )
    save_prior(prior, options.output)
    print(options.output)
