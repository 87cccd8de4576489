"""``gtr render-dataset``: a folder of textured meshes to shards of rendered views that ``gtr train`` reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gtr_core.cli.progress_bar import ProgressBar
from gtr_core.errors import ErrorCode, GtrError

_MEMORY_PER_JOB = 2 << 30
"""Bytes that a process needs for an object of a few hundred thousand faces."""
_LIMITS = {"views": range(2, 100), "size": range(32, 2049), "supersample": range(1, 9), "shard": range(1, 1025)}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "render-dataset",
        help="views of many meshes, for training",
        description="Draw every textured mesh of a folder from random cameras (colour, mask, depth, normals) and keep "
        "the views in shards for gtr train --data. A mesh that cannot be drawn is reported and left out. The same "
        "command goes on where it was stopped.",
    )
    parser.add_argument("meshes", type=Path, metavar="MESHES", help="mesh files, Google Scanned Objects, OmniObject3D")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder of the shards")
    parser.add_argument("--views", type=int, default=32, metavar="N", help="of every object (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="of the pictures, pixels (default: %(default)s)")
    parser.add_argument("--supersample", type=int, default=2, metavar="N", help="N x N samples a pixel (default: 2)")
    parser.add_argument("--shard", type=int, default=16, metavar="N", help="objects in a file (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the cameras (default: %(default)s)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when ``check`` raises it; what is done is kept.
    """
    for name, allowed in _LIMITS.items():
        if (value := getattr(options, name)) not in allowed:
            raise GtrError(
                ErrorCode.BAD_INPUT, f"--{name} {value} is out of range.", f"Give {allowed[0]} to {allowed[-1]}."
            )
    # Imported here so that the help, and a wrong option, do not wait for torch.
    from gtr_core.data.contact_sheet import draw_contact_sheet
    from gtr_core.data.objects import find_objects
    from gtr_core.data.render_folder import FAILURES, render_folder
    from gtr_core.data.rendering_task import RenderSettings, render_object
    from gtr_core.parallel.cores import jobs_and_threads
    from gtr_core.parallel.local_executor import LocalExecutor

    objects = find_objects(options.meshes)
    settings = RenderSettings(options.views, options.size, options.supersample, seed=options.seed)
    jobs, threads = jobs_and_threads(options.jobs, len(objects), _MEMORY_PER_JOB)
    progress = ProgressBar(check)
    try:
        tally = render_folder(
            objects, options.output, settings, lambda: LocalExecutor(jobs, threads, render_object),
            shard_objects=options.shard, progress=progress,
        )  # fmt: skip
        progress.finish()
    finally:
        progress.close()
    for name, reason in sorted(tally.failures.items()):
        print(f"{name} was left out: {reason}")
    there = f" ({tally.kept} were there already)" if tally.kept else ""
    print(f"{tally.kept + tally.rendered} of {tally.objects} objects in {options.output}{there}.")
    if tally.failures:
        print(f"What was left out stands in {options.output / FAILURES}.")
    if tally.kept + tally.rendered:
        print(draw_contact_sheet(options.output))
