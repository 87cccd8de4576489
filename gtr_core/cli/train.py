"""``gtr train``: a network in the paper's two stages, on one device or on many."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.progress import Cancelled

if TYPE_CHECKING:
    from gtr_core.data.dataset import TrainingSource
    from gtr_core.metrics.lpips import Lpips
    from gtr_core.training.distributed import World
    from gtr_core.training.recipe import Recipe
    from gtr_core.training.run_folder import RunDescription
    from gtr_core.training.trainer import Trainer

_DESCRIPTION = """Train a network: the stage nerf through volume rendering, then the stage mesh through its surface.

Without --data it learns from procedural objects, which need no files. A stopped run goes on when the same command is
given again. On many GPUs: torchrun --nproc-per-node 8 --max-restarts 3 -m gtr_core.cli.main train nerf ..."""


PROCEDURAL = "procedural"
_DATA_HELP = "shards, textured meshes, or the word procedural; several are mixed by weight (default: procedural)"


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "train",
        help="train a network",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=("nerf", "mesh"), help="nerf first, then mesh")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="folder of the run")
    parser.add_argument("--preset", default="gtr-mini", help="the network and its recipe (default: %(default)s)")
    parser.add_argument("--data", action="append", metavar="FOLDER[=WEIGHT]", help=_DATA_HELP)
    parser.add_argument("--objects", type=int, default=0, metavar="N", help="learn from so many only (default: all)")
    parser.add_argument("--from", dest="start", type=Path, metavar="RUN", help="run or file of weights to begin with")
    _add_budget(parser)
    _add_changes(parser)
    parser.add_argument("--lpips", type=Path, metavar="FILE", help="VGG weights (default: found in torch's cache)")
    parser.add_argument("--lpips-linear", type=Path, metavar="FILE", help="its linear layers, if not in the same file")
    parser.add_argument("--licence", default="", help="of the weights (default: Apache-2.0 for procedural objects)")
    parser.add_argument("--threads", type=int, default=2, help="that make data (default: %(default)s)")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="that draw procedural objects (default: on a GPU one per core)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all randomness (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")
    parser.add_argument(
        "--shard-weights", action="store_true", help="divide the weights among the processes, if they do not fit (FSDP)"
    )
    parser.add_argument("--preview-data", action="store_true", help="only draw what it would learn from")
    parser.set_defaults(run=run)


def _add_budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--budget-seconds", type=float, metavar="S", help="that the whole run may take; the learning rate follows it"
    )
    parser.add_argument("--call-seconds", type=float, metavar="S", help="after which this call stops, to go on later")
    parser.add_argument("--log-steps", type=int, default=10, metavar="N", help="between rows (default: %(default)s)")
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=120, metavar="S", help="between checkpoints (default: %(default)s)"
    )
    parser.add_argument(
        "--picture-seconds", type=float, default=300, metavar="S", help="between pictures (default: %(default)s)"
    )


def _add_changes(parser: argparse.ArgumentParser) -> None:
    """Options that change the recipe."""
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="of the run (default: as the recipe)")
    parser.add_argument("--batch", type=int, default=0, metavar="N", help="objects in a step, over all processes")
    parser.add_argument("--parts", type=int, default=0, metavar="N", help="of a step one after the other, for memory")
    parser.add_argument("--learning-rate", type=float, default=0.0, metavar="R", help="the highest")
    parser.add_argument("--normal", type=float, default=0.0, metavar="W", help="weight of the normals (mesh)")


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when it was stopped; the state is saved then.
    """
    # Imported here so that the help, and a wrong option, do not wait for torch.
    from gtr_core.training.distributed import joined_world
    from gtr_core.training.perceptual import load_lpips

    if options.stage == "mesh" and options.start is None and not options.preview_data:
        raise GtrError(
            ErrorCode.BAD_INPUT,
            "The stage mesh needs a network that was trained in the stage nerf.",
            "Name its run with --from.",
        )
    recipe = _recipe(options)
    source = _source(options)
    if options.preview_data:
        _preview(source, recipe, options)
        return
    with joined_world(options.device, sharded=options.shard_weights) as world, _asked_to_stop(check) as should_stop:
        lpips = load_lpips(options.lpips, options.lpips_linear)
        _train(options, recipe, source, lpips, world, should_stop)


def _train(
    options: argparse.Namespace,
    recipe: Recipe,
    source: TrainingSource,
    lpips: Lpips | None,
    world: World,
    should_stop: Callable[[], bool],
) -> None:
    import torch

    from gtr_core.cli.train_progress import TrainProgress
    from gtr_core.training.loop import Report, Rhythm, run_training
    from gtr_core.training.perceptual import Perceptual
    from gtr_core.training.run_folder import claim, export_weights, starting_network
    from gtr_core.training.trainer import Trainer
    from gtr_core.training.validation import Validation

    if world.device.type == "cuda" and options.stage == "nerf":
        # TensorFloat-32 for the decoders, which are most of the work of wide ones. Not where surfaces are searched:
        # what proves that a block of the grid is empty has to be exact.
        torch.set_float32_matmul_precision("high")
    description = _description(options, source, lpips)
    if world.is_first:
        claim(options.output, description)
        print(
            f"{description.preset}, stage {description.stage}: {source.name}; {description.perceptual}; {world.device}"
        )
    trainer = Trainer(
        starting_network(options.preset, options.start, options.seed).to(world.device),
        recipe,
        source,
        lambda phase: Perceptual(phase.loss.perceptual, lpips),
        world,
        seed=options.seed,
        budget=options.budget_seconds,
        threads=options.threads,
    )
    rhythm = Rhythm(options.log_steps, options.checkpoint_seconds, options.picture_seconds, options.call_seconds)
    report = TrainProgress() if world.is_first else Report()
    validation = None
    if world.is_first:
        validation = Validation.of(source, trainer.recipe.phases[-1].request, options.stage)
    try:
        over = run_training(
            trainer, options.output, validation=validation, rhythm=rhythm, should_stop=should_stop, report=report
        )
    finally:
        if isinstance(report, TrainProgress):
            report.close()
    licence = options.licence or ("unknown" if options.data else "Apache-2.0")
    path = export_weights(trainer, options.output, description, licence)
    if world.is_first:
        _tell(path, trainer, over)
    if not over and should_stop():
        raise Cancelled("Stopped; everything is saved. The same command goes on.")


def _tell(path: Path, trainer: Trainer, over: bool) -> None:
    state = "finished" if over else f"{trainer.share:.1%} done, the same command goes on"
    print(f"{path}: {trainer.step:,} steps, {trainer.samples:,} samples, {trainer.seconds:.0f} s, {state}")


def _recipe(options: argparse.Namespace) -> Recipe:
    """The preset's recipe with the user's changes.

    Raises:
        GtrError: ``model_unavailable``, ``bad_input``.
    """
    from gtr_core.training.mesh_stage import MeshConfig
    from gtr_core.training.recipes import get_recipe

    for name in ("objects", "steps", "batch", "parts", "learning_rate", "normal", "seed", "threads", "processes"):
        if (getattr(options, name) or 0) < 0:
            raise GtrError(ErrorCode.BAD_INPUT, f"--{name.replace('_', '-')} cannot be negative.", "Choose 0 or more.")
    recipe = get_recipe(options.preset, options.stage)
    schedule = recipe.schedule
    if options.steps:
        schedule = replace(schedule, steps=options.steps, warmup_steps=min(schedule.warmup_steps, options.steps // 10))
    if options.learning_rate:
        schedule = replace(schedule, learning_rate=options.learning_rate)
    phases = recipe.phases
    if options.batch:
        phases = tuple(phase.with_batch(options.batch) for phase in phases)
    if options.normal:
        phases = tuple(
            replace(phase, loss=replace(phase.loss, normal=options.normal))
            if isinstance(phase.loss, MeshConfig)
            else phase
            for phase in phases
        )
    return replace(recipe, schedule=schedule, phases=phases, parts=options.parts or recipe.parts)


def _source(options: argparse.Namespace) -> TrainingSource:
    if not options.data:
        return _one_source(PROCEDURAL, options)
    named = [text.rpartition("=") if "=" in text else (text, "", "1") for text in options.data]
    try:
        weights = [float(weight) for _, _, weight in named]
    except ValueError as error:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"{error}.", "Write the weight of a source as --data FOLDER=0.3."
        ) from error
    if min(weights) <= 0:
        raise GtrError(ErrorCode.BAD_INPUT, "The weight of a source must be above 0.", "Leave the source away.")
    sources = [_one_source(name, options) for name, _, _ in named]
    if len(sources) == 1:
        return sources[0]
    from gtr_core.data.mixed_source import MixedSource

    return MixedSource(sources, weights)


def _one_source(name: str, options: argparse.Namespace) -> TrainingSource:
    folder, objects = Path(name), options.objects
    if name == PROCEDURAL:
        from gtr_core.cli.train_procedural import procedural_source

        return procedural_source(options)
    if any(folder.glob("*.tar")):
        from gtr_core.data.shard_source import ShardSource

        return ShardSource(folder, objects=objects)
    from gtr_core.data.mesh_source import MeshSource

    return MeshSource(folder, objects=objects)


def _description(options: argparse.Namespace, source: TrainingSource, lpips: Lpips | None) -> RunDescription:
    from gtr_core.training.perceptual import describe
    from gtr_core.training.run_folder import RunDescription

    return RunDescription(
        stage=options.stage,
        preset=options.preset,
        data=source.name,
        seed=options.seed,
        perceptual=describe(lpips),
        start="" if options.start is None else options.start.name,
        batch=options.batch,
        steps=options.steps,
        learning_rate=options.learning_rate,
        normal=options.normal,
    )


def _preview(source: TrainingSource, recipe: Recipe, options: argparse.Namespace) -> None:
    """Draw the first samples into the run's folder."""
    from gtr_core.io.atomic import making_folder, write_atomic
    from gtr_core.io.images import encode_picture
    from gtr_core.training.validation import draw_samples

    making_folder(options.output)
    path = options.output / "data.png"
    write_atomic(path, encode_picture(draw_samples(source, recipe.phases[-1].request, options.seed)))
    print(f"{path}: {source.name}")


@contextmanager
def _asked_to_stop(check: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed or the process was asked to end."""
    asked = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    def should_stop() -> bool:
        try:
            check()
        except Cancelled:
            return True
        return asked

    try:
        previous = signal.signal(signal.SIGTERM, on_signal)
    except ValueError:  # not the main thread, which alone receives signals
        yield should_stop
        return
    try:
        yield should_stop
    finally:
        signal.signal(signal.SIGTERM, previous)
