"""``gtr evaluate``: how good it is, by the protocol of the paper."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gtr_core.cli.progress_bar import ProgressBar
from gtr_core.errors import ErrorCode, GtrError

if TYPE_CHECKING:
    from gtr_core.data.objects import ObjectFile
    from gtr_core.evaluation.pair import PairOutcome, PairTask
    from gtr_core.evaluation.protocol import Protocol
    from gtr_core.evaluation.run import Evaluation, Tally
    from gtr_core.evaluation.snapshots import Milestones
    from gtr_core.parallel.executor import Executor

_DESCRIPTION = """Judge presets, baselines and meshes of other programs on a folder of textured objects, and write a
report: tables, and a page with pictures and 3D views.

OBJECTS is a folder of mesh files, or of Google Scanned Objects or OmniObject3D as they come. Every object is drawn from
the input cameras, reconstructed, and compared on an orbit of new views and by its shape. What REPORT holds already is
kept, so the same command goes on after Ctrl-C, and another preset can be added later."""
_MEMORY_PER_JOB = 2 << 30
"""Bytes that a process may need for a reconstruction and its figures."""
_MAX_STEPS = 50_000


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        help="judge presets and other programs on known objects",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("objects", metavar="OBJECTS", type=Path, help="folder of textured objects")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="REPORT", help="folder of the report")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these objects only")
    _add_systems(parser)
    _add_protocol(parser)
    _add_machines(parser)
    parser.set_defaults(run=run)


def _add_systems(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is judged (default: the preset fit)")
    group.add_argument("--preset", nargs="+", default=[], metavar="PRESET", help="with weights of the models folder")
    group.add_argument(
        "--weights", nargs="+", default=[], action="extend", metavar="PRESET=FILE",
        help="a preset with these weights; PRESET@LABEL=FILE for several of one preset",
    )  # fmt: skip
    group.add_argument(
        "--baseline", nargs="+", default=[], metavar="NAME",
        help="white (empty pictures), hull (visual hull + projected colours), untrained (network + refinement)",
    )  # fmt: skip
    group.add_argument(
        "--external", nargs="+", default=[], action="extend", metavar="NAME=FOLDER",
        help="meshes of another program, called like the objects: .glb, .obj, .ply",
    )  # fmt: skip
    group.add_argument(
        "--refine", nargs="*", type=int, default=[20, 50], metavar="STEPS",
        help="also judge after so many steps of texture refinement (default: 20 50; nothing after it: none)",
    )  # fmt: skip
    group.add_argument(
        "--refine-seconds", nargs="*", type=float, default=[1, 4, 15], metavar="SECONDS",
        help="and after so much time of it (default: 1 4 15)",
    )  # fmt: skip
    group.add_argument("--exact-refinement", action="store_true", help="all pixels in every step, as published")
    group.add_argument(
        "--ablation", nargs="+", default=[], choices=("refinement", "geometry"),
        help="refinement: colour model, triplane, both (Table 3); geometry: weights PRESET@nerf and PRESET@mesh, and "
        "the former by volume rendering (Figure 7)",
    )  # fmt: skip


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol (default: section 4.1 of the paper)")
    group.add_argument("--input-cameras", metavar="SET", help="camera set of the input views (default: orthogonal)")
    group.add_argument("--with-depth", action="store_true", help="give exact depth and normals as well")
    group.add_argument(
        "--lpips",
        metavar="NET=FILES",
        help="vgg=BACKBONE.pth[,LINEAR.pth], or alex or squeeze; vgg alone: what lies in torch's cache (default: none)",
    )
    group.add_argument(
        "--chamfer", metavar="KIND",
        help="two_sided_sum (default), two_sided_mean, result_to_truth or truth_to_result",
    )  # fmt: skip
    group.add_argument(
        "--chamfer-squared", action=argparse.BooleanOptionalAction, help="squared distances (default: yes)"
    )
    group.add_argument("--iou", metavar="KIND", help="surface (default) or volume")
    group.add_argument("--alignment", metavar="KIND", help="icp (default), bounds or none")
    group.add_argument("--seed", type=int, help="of the surface samples (default: 0)")


def _add_machines(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machines")
    group.add_argument("--cache", type=Path, metavar="FOLDER", help="rendered views (default: ~/.gtr/evaluation)")
    group.add_argument("--jobs", type=int, metavar="N", help="processes (default: one per core; on a GPU one)")
    group.add_argument("--cluster", metavar="ADDRESS", help="run on the machines of a Ray cluster: host:port, or auto")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: %(default)s)")


def run(options: argparse.Namespace, check: Callable[[], None]) -> None:
    """Do it.

    Raises:
        GtrError: whatever the user can put right.
        Cancelled: when ``check`` raises it; what is done is kept.
    """
    # Imported here so that the help, and a wrong option, do not wait for torch.
    from gtr_core.evaluation.report_build import build_report
    from gtr_core.evaluation.run import evaluate

    evaluation, executor = _plan(options)
    progress = ProgressBar(check)
    try:
        tally = evaluate(evaluation, executor, progress)
        page = build_report(evaluation.report.root, progress)
        progress.finish()
    finally:
        progress.close()
    _report(evaluation, tally, page)


def _plan(options: argparse.Namespace) -> tuple[Evaluation, Callable[[], Executor[PairTask, PairOutcome]]]:
    from gtr_core.data.objects import find_objects
    from gtr_core.devices import resolve_device
    from gtr_core.evaluation.choice import SystemChoice, chosen_systems
    from gtr_core.evaluation.lpips_choice import parse_lpips
    from gtr_core.evaluation.pair import PairSettings, run_pair
    from gtr_core.evaluation.provenance import commit, device_name
    from gtr_core.evaluation.rows import ReportFolder
    from gtr_core.evaluation.run import Evaluation
    from gtr_core.parallel.cores import jobs_and_threads

    objects = _only(find_objects(options.objects), options.only)
    protocol = _protocol(options)
    systems = chosen_systems(
        SystemChoice(
            options.preset, options.weights, options.baseline, options.external, options.ablation,
            _milestones(options.refine, options.refine_seconds), options.exact_refinement, options.device,
        )
    )  # fmt: skip
    lpips = None if options.lpips is None else parse_lpips(options.lpips)
    cache = None if options.cache is None else options.cache.resolve()
    device = resolve_device(options.device)
    pairs = len(objects) * len(systems)
    jobs, threads = jobs_and_threads(options.jobs, pairs, _MEMORY_PER_JOB, gpu=device.type == "cuda")
    settings = PairSettings(protocol, cache, options.device, commit(), lpips)
    where = f"{jobs} processes on {device_name(device, threads)}"
    executor: Callable[[], Executor[PairTask, PairOutcome]]
    if options.cluster is None:
        from gtr_core.parallel.local_executor import LocalExecutor

        executor = lambda: LocalExecutor(jobs, threads, run_pair)  # noqa: E731
    else:
        from gtr_core.evaluation.ray_executor import RayExecutor

        where = f"Ray cluster {options.cluster}"
        executor = lambda: RayExecutor(options.cluster, device=options.device)  # noqa: E731
    return Evaluation(ReportFolder(options.output), objects, systems, settings, where), executor


def _only(objects: list[ObjectFile], names: Sequence[str]) -> list[ObjectFile]:
    unknown = sorted(set(names) - {file.name for file in objects})
    if unknown:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"There is no object {unknown[0]}.", f"There are {_listed([o.name for o in objects])}."
        )
    return [file for file in objects if not names or file.name in names]


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:12])} and {len(names) - 12} more"


def _protocol(options: argparse.Namespace) -> Protocol:
    from gtr_core.evaluation.protocol import Protocol

    names = ("input_cameras", "chamfer", "chamfer_squared", "iou", "alignment", "seed")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return replace(Protocol(with_depth=options.with_depth), **given)


def _milestones(steps: Sequence[int], seconds: Sequence[float]) -> Milestones:
    from gtr_core.evaluation.snapshots import Milestones

    for value in steps:
        if not 1 <= value <= _MAX_STEPS:
            raise GtrError(ErrorCode.BAD_INPUT, f"{value} steps are out of range.", f"Give 1 to {_MAX_STEPS}.")
    for time in seconds:
        if not 0 < time <= 3600:
            raise GtrError(ErrorCode.BAD_INPUT, f"{time:g} seconds are out of range.", "Give up to 3600.")
    return Milestones(tuple(sorted(set(steps))), tuple(sorted({float(time) for time in seconds})))


def _report(evaluation: Evaluation, tally: Tally, page: Path) -> None:
    from gtr_core.evaluation.report_results import read_results
    from gtr_core.evaluation.report_summary import summarize
    from gtr_core.evaluation.tables import summary_text

    print(summary_text(summarize(read_results(evaluation.report))))
    kept = f"{tally.kept} of {tally.pairs} pairs were there already. " if tally.kept else ""
    failed = f"{tally.failed} of {tally.rows} new rows failed; the report says why." if tally.failed else ""
    if kept or failed:
        print((kept + failed).strip())
    header = evaluation.report.header()
    versions = {row.commit for row in evaluation.report.all_rows(header)} if header else set()
    if len(versions) > 1:
        print(f"The rows come from different versions of the code: {', '.join(sorted(versions))}.")
    print(page)
