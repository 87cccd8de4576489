"""``gtr reconstruct``: pictures to a coloured mesh, with a picture of the result beside it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gtr_core.cli.progress_bar import ProgressBar
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.presets import PRESETS

if TYPE_CHECKING:
    from gtr_core.io.background import Background
    from gtr_core.pipeline import Reconstruction
    from gtr_core.progress import Progress

MAX_SIZE = 1024
"""Longer side to which larger pictures are reduced: finer detail than that is lost between the vertices."""
_SIZE_HELP = f"longer side the pictures are resampled to (default: as they are, at most {MAX_SIZE})"
_WEIGHTS_HELP = "network of a learned preset, .safetensors (default: found in the models folder)"
_DESCRIPTION = """Reconstruct a coloured mesh from pictures of one object.

VIEWS is a folder with transforms.json, a folder with rgb_*.png and cam_*.txt, a folder of pictures for a named
camera set (front.png, right.png, back.png, left.png), or one 2 x 3 grid picture of Zero123++."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "reconstruct",
        help="pictures to a coloured mesh",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("views", metavar="VIEWS", type=Path, help="the pictures")
    parser.add_argument("-o", "--output", required=True, type=Path, help="mesh to write: .glb, .ply or .obj")
    parser.add_argument("--preset", help=f"one of: {', '.join(PRESETS)} (default: that of the weights, else fit)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help=_WEIGHTS_HELP)
    parser.add_argument(
        "--refine", type=int, metavar="STEPS", help="texture steps (default: 20 for fit, 60 for learned presets)"
    )
    parser.add_argument(
        "--exact-refinement",
        action="store_true",
        help="all pixels in every texture step, as published: slower (default steps: 50 for gtr-release, else 20)",
    )
    parser.add_argument("--strength", type=float, default=1.0, help="of the refinement (default: %(default)s)")
    parser.add_argument("--cameras", metavar="SET", help="camera set of pictures that come without cameras")
    parser.add_argument(
        "--background",
        default="auto",
        metavar="MODE",
        help="auto, alpha, key (colour of the border) or a colour such as #00ff00 (default: %(default)s)",
    )
    parser.add_argument("--tolerance", type=float, default=0.1, help="of the key colour (default: %(default)s)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help=_SIZE_HELP)
    parser.add_argument("--resolution", type=int, default=256, help="of the grid (default: %(default)s)")
    parser.add_argument("--face-limit", type=int, default=0, metavar="FACES", help="0 keeps all (default)")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument("--no-picture", action="store_true", help="do not write the picture beside the mesh")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when ``check`` raises it; nothing is written then.
    """
    # Imported here so that the help, and a wrong option, do not wait for torch.
    from gtr_core.io.atomic import write_atomic
    from gtr_core.io.mesh_files import check_target, write_mesh
    from gtr_core.io.normalize import normalize_views
    from gtr_core.io.views_files import read_views
    from gtr_core.pipeline import Pipeline

    started = time.monotonic()
    check_target(options.output)
    background = parse_background(options.background, options.tolerance)
    pipeline = Pipeline.load(options.preset, device=options.device, weights=options.weights)
    progress = ProgressBar(check)
    try:
        progress("read", 0, 1)
        views, frame = normalize_views(
            read_views(
                options.views,
                cameras=options.cameras,
                background=background,
                size=options.size,
                max_size=MAX_SIZE,
            )
        )
        progress("read", 1, 1)
        result = pipeline.reconstruct(
            views,
            grid_resolution=options.resolution,
            face_limit=options.face_limit,
            seed=options.seed,
            progress=progress,
        )
        before = result
        exact = options.exact_refinement
        refinement = pipeline.preset.refinement(exact=exact)
        steps = refinement.steps if options.refine is None else options.refine
        if steps:
            result = pipeline.refine_texture(
                result, steps=steps, strength=options.strength, exact=exact, seed=options.seed, progress=progress
            )
        picture = None if options.no_picture else _draw(result, before, progress)
        progress("save", 0, 1)
        # From here on nothing asks whether to stop: the files are written together or not at all.
        write_mesh(frame.invert(result.mesh), options.output)
        if picture is not None:
            write_atomic(options.output.with_suffix(".png"), picture)
        progress.finish()
    except GtrError as error:
        raise _named(error) from error
    finally:
        progress.close()
    _report(result, options.output, time.monotonic() - started)


def parse_background(text: str, tolerance: float) -> Background:
    """Background of an option: a mode, or a key colour ``#rrggbb``.

    Raises:
        GtrError: ``bad_input``.
    """
    from gtr_core.io.background import Background

    if not text.startswith("#"):
        if text not in ("auto", "alpha", "key"):
            raise GtrError(
                ErrorCode.BAD_INPUT, f"{text} is no background.", "Use auto, alpha, key or a colour such as #00ff00."
            )
        return Background(text, tolerance=tolerance)  # type: ignore[arg-type]
    try:
        red, green, blue = bytes.fromhex(text[1:])
    except ValueError as error:
        raise GtrError(ErrorCode.BAD_INPUT, f"{text} is no colour.", "Write it as #rrggbb.") from error
    return Background("key", (red / 255, green / 255, blue / 255), tolerance)


def _draw(result: Reconstruction, before: Reconstruction, progress: Progress) -> bytes:
    """PNG of the picture beside the mesh."""
    from gtr_core.cli.picture import draw_result
    from gtr_core.io.images import encode_picture

    progress("draw", 0, 1)
    refined = result.refinement is not None
    sheet = draw_result(result.views, result.mesh, before.mesh if refined else None, caption=_summary(result))
    progress("draw", 1, 1)
    return encode_picture(sheet)


def _summary(result: Reconstruction) -> str:
    parts = [
        f"preset {result.preset}",
        f"{len(result.views)} views of {result.views.cameras.width} x {result.views.cameras.height} pixels",
        f"{len(result.mesh.vertices):,} vertices",
        f"{len(result.mesh.faces):,} faces",
    ]
    return ", ".join(parts)


def _report(result: Reconstruction, path: Path, seconds: float) -> None:
    print(f"{path}: {_summary(result)}, {seconds:.1f} s")
    for note in result.notes:
        print(f"Note: {note}")


def _named(error: GtrError) -> GtrError:
    """The same error for a reader who cannot see which option the hint speaks of."""
    if error.code is ErrorCode.NO_ALPHA:
        hint = f"{error.hint} (--background '#rrggbb', --tolerance)"
        return GtrError(error.code, error.message, hint, view=error.view)
    return error
