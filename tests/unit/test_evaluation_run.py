"""A run: what it writes, keeps, survives and refuses."""

import json
import multiprocessing
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_systems import SMALL, Faulty, Shrunk, evaluation
from filelock import FileLock
from PIL import Image

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.baselines import WhitePictures
from gtr_core.evaluation.pair import run_pair
from gtr_core.evaluation.rows import ReportFolder, file_stem
from gtr_core.evaluation.run import Evaluation, evaluate
from gtr_core.evaluation.schedule import ATTEMPTS
from gtr_core.io.mesh_files import read_mesh
from gtr_core.parallel.executor import Failed
from gtr_core.parallel.guarded import event_of, guarded
from gtr_core.parallel.local_executor import LocalExecutor
from gtr_core.progress import Cancelled


class Here:
    """Runs pairs in this process: fast, and nothing to clean up."""

    slots = 1

    def __init__(self) -> None:
        self.tasks: list = []
        self.closed = False

    def submit(self, task) -> None:
        self.tasks.append(task)

    def wait(self, seconds):
        done, self.tasks = self.tasks, []
        return [self.event(task) for task in done]

    def event(self, task):
        return event_of(task, guarded(lambda: run_pair(task)))

    def close(self) -> None:
        self.closed = True


def local() -> LocalExecutor:
    return LocalExecutor(2, 1, run_pair)


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_report_folder_holds_rows_pictures_and_meshes(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [WhitePictures(), Shrunk()], "a")
    tally = evaluate(plan, Here)
    assert (tally.pairs, tally.done, tally.kept, tally.rows, tally.failed) == (2, 2, 0, 3, 0)
    assert files_below(plan.report.root) - {".lock"} == {
        "protocol.json", "rows/a/white.json", "rows/a/shrunk.json",
        "pictures/a/truth.png", "pictures/a/inputs.png", "pictures/a/white.png", "pictures/a/shrunk.png",
        "pictures/a/shrunk+2-steps.png", "meshes/a/truth.glb", "meshes/a/shrunk.glb", "meshes/a/shrunk+2-steps.glb",
    }  # fmt: skip
    header = plan.report.header()
    assert header is not None
    assert header.objects == ("a",)
    assert [(entry.name, entry.variants) for entry in header.systems] == [
        ("white", ("",)),
        ("shrunk", ("", "+2 steps")),
    ]
    assert header.protocol == json.loads(SMALL.to_json())
    shown = np.asarray(Image.open(plan.report.result_picture("a", "shrunk", "")))
    assert shown.shape == (3 * 256, 2 * 256, 3)  # 2 of the 6 views; colours, normals, errors
    assert len(read_mesh(plan.report.result_mesh("a", "shrunk", "+2 steps")).faces) > 320


def test_rows_hold_all_figures_or_say_why_not(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [WhitePictures(), Shrunk()], "a")
    evaluate(plan, Here)
    (white,), (plain, refined) = plan.report.rows("a", "white"), plan.report.rows("a", "shrunk")
    for row in (white, plain, refined):
        assert row.status == "ok"
        assert row.missing["lpips"] == "no weights"
        assert (row.object_digest, row.protocol_digest) == (white.object_digest, plan.settings.digest)
        assert row.device
        assert row.commit
    assert white.missing["cd"] == white.missing["iou"] == white.missing["watertight"] == "There is no surface."
    assert plain.watertight is True
    assert (plain.vertices, plain.faces) == (162, 320)
    assert (plain.seconds, plain.cpu_seconds) == (0.5, 0.25)
    assert plain.missing.keys() == {"lpips"}
    assert 0.7 < plain.mask_iou < 0.9  # an outline of 0.9 times the size
    assert plain.cd == refined.cd  # bounds: the size does not count for the shape
    assert plain.f_score > 75  # the floor of so few samples
    assert plain.psnr != refined.psnr
    assert white.psnr < plain.psnr
    assert plain.ssim < 1


def test_what_is_there_is_kept_and_the_rest_is_done(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    system = Shrunk(calls=calls)
    plan = evaluation(tmp_path, [system])
    evaluate(plan, Here)
    plan.report.rows_file("b", "shrunk").unlink()
    before = plan.report.rows_file("a", "shrunk").stat().st_mtime_ns
    tally = evaluate(plan, Here)
    assert (tally.kept, tally.rows) == (1, 2)
    assert calls.read_text() == "xxx"
    assert plan.report.rows_file("a", "shrunk").stat().st_mtime_ns == before


def test_changed_object_system_or_failure_is_done_again(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    plan = evaluation(tmp_path, [Shrunk(calls=calls), Faulty(calls=calls)])
    evaluate(plan, Here)
    assert calls.read_text() == "xxxx"
    evaluate(plan, Here)  # the failed pair of object a
    assert calls.read_text() == "x" * 5
    evaluate(replace(plan, systems=[Shrunk(share=0.8, calls=calls)]), Here)
    assert calls.read_text() == "x" * 7
    plan.objects[0].path.write_bytes(plan.objects[1].path.read_bytes())
    evaluate(replace(plan, systems=[Shrunk(share=0.8, calls=calls)]), Here)
    assert calls.read_text() == "x" * 8


def test_rows_of_other_settings_do_not_stay_beside_new_ones(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [Shrunk()])
    evaluate(plan, Here)

    def stop_after_one(stage: str, done: int, total: int) -> None:
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled, match=r"1 of 2 pairs are kept"):
        evaluate(replace(plan, systems=[Shrunk(share=0.8)]), Here, stop_after_one)
    assert [len(plan.report.rows(name, "shrunk")) for name in "ab"] == [2, 0]


def test_a_report_grows_by_systems_and_objects(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [Shrunk()], "a")
    evaluate(plan, Here)
    more = evaluation(tmp_path, [WhitePictures()], "ab")
    evaluate(replace(more, objects=more.objects[1:]), Here)
    header = plan.report.header()
    assert header is not None
    assert header.objects == ("a", "b")
    assert [entry.name for entry in header.systems] == ["shrunk", "white"]
    assert len(plan.report.all_rows(header)) == 3


def test_another_protocol_is_refused_in_one_sentence(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [Shrunk()], "a")
    evaluate(plan, Here)
    other = replace(plan.settings, protocol=replace(SMALL, seed=1))
    with pytest.raises(GtrError, match=r"was made by another protocol \(seed differ") as caught:
        evaluate(replace(plan, settings=other), Here)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert len(plan.report.rows("a", "shrunk")) == 2


def test_two_runs_into_one_report_are_refused(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [Shrunk()], "a")
    plan.report.root.mkdir()
    with (
        FileLock(plan.report.root / ".lock"),
        pytest.raises(GtrError, match="Another evaluation is writing"),
    ):
        evaluate(plan, Here)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("gtr", "No surface was found."),
        ("error", r"Unforeseen ZeroDivisionError in evaluation_systems\.py, line \d+: it was not foreseen"),
        ("memory", "The memory ran out."),
        ("nan", "The mesh has vertices that are not finite numbers."),
        ("empty", "The mesh has no faces."),
    ],
)
def test_what_goes_wrong_is_a_row_with_its_reason(tmp_path: Path, how: str, reason: str) -> None:
    plan = evaluation(tmp_path, [Faulty(how=how), WhitePictures()])
    tally = evaluate(plan, Here)
    rows = {row.variant: row for row in plan.report.rows("a", "faulty")}
    assert re.fullmatch(reason, rows["+2 steps"].reason)
    assert rows["+2 steps"].status == "failed"
    assert rows["+2 steps"].psnr is None
    if how in ("gtr", "nan", "empty"):
        assert rows[""].status == "ok"  # what it gave before counts
        assert tally.failed == 1
    assert [row.status for row in plan.report.rows("b", "faulty")] == ["ok", "ok"]
    assert plan.report.rows("a", "white")[0].status == "ok"


@pytest.mark.parametrize("content", [b"", b"no mesh"])
def test_an_object_that_cannot_be_read_fails_alone(tmp_path: Path, content: bytes) -> None:
    plan = evaluation(tmp_path, [Shrunk(), WhitePictures()])
    plan.objects[0].path.write_bytes(content)
    tally = evaluate(plan, Here)
    assert tally.failed == 3
    for row in (*plan.report.rows("a", "shrunk"), *plan.report.rows("a", "white")):
        assert row.status == "failed"
        assert row.reason.startswith("a ")
    assert all(row.status == "ok" for row in plan.report.rows("b", "shrunk"))


class Leaving(Here):
    """A cluster whose machine goes away under the first pairs."""

    lost = 0
    times = 1

    def event(self, task):
        if Leaving.lost < self.times:
            Leaving.lost += 1
            return Failed(task, "Its machine left the cluster.", innocent=True)
        return super().event(task)


@pytest.mark.parametrize(("times", "status"), [(ATTEMPTS - 1, "ok"), (ATTEMPTS, "failed")])
def test_a_pair_whose_machine_went_away_is_given_out_again_a_few_times(tmp_path, monkeypatch, times, status) -> None:
    monkeypatch.setattr(Leaving, "lost", 0)
    monkeypatch.setattr(Leaving, "times", times)
    plan = evaluation(tmp_path, [Shrunk()], "a")
    evaluate(plan, Leaving)
    rows = plan.report.rows("a", "shrunk")
    assert [row.status for row in rows] == [status, status]
    if status == "failed":
        assert rows[0].reason == f"Its machine left the cluster. That happened {ATTEMPTS} times."


def test_dead_processes_are_rows_and_are_replaced(tmp_path: Path) -> None:
    systems = [Faulty(name=how, how=how) for how in ("kill", "segfault", "exit")]
    plan = evaluation(tmp_path, [*systems, Shrunk()], "a")
    tally = evaluate(plan, local)
    reasons = {how: plan.report.rows("a", how)[0].reason for how in ("kill", "segfault", "exit")}
    assert reasons == {
        "kill": "Its process was killed, perhaps because the memory ran out.",
        "segfault": "Its process crashed (SIGSEGV).",
        "exit": "Its process ended by itself (exit code 3).",
    }
    assert tally.failed == 6
    assert [row.status for row in plan.report.rows("a", "shrunk")] == ["ok", "ok"]


def test_stopping_keeps_what_is_done_and_leaves_no_half_file(tmp_path: Path) -> None:
    plan = evaluation(tmp_path, [Shrunk(), Faulty(how="wait")])

    def stop_when_three_are_done(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled, match="3 of 4 pairs are kept"):
        evaluate(plan, local, stop_when_three_are_done)
    assert [len(plan.report.rows(*pair)) for pair in (("a", "shrunk"), ("b", "shrunk"), ("b", "faulty"))] == [2, 2, 2]
    assert not plan.report.rows("a", "faulty")
    assert not [name for name in files_below(tmp_path) if name.endswith(".part")]
    going_on = evaluate(replace(plan, systems=[Shrunk(), Faulty(how="wait", on="")]), local)
    assert (going_on.kept, going_on.failed) == (3, 0)


def test_the_executor_is_closed_however_the_run_ends(tmp_path: Path) -> None:
    made: list[Here] = []

    def executor() -> Here:
        made.append(Here())
        return made[-1]

    plan: Evaluation = evaluation(tmp_path, [Shrunk()], "a")

    def stop(stage: str, done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        evaluate(plan, executor, stop)
    evaluate(plan, executor)
    assert [executor.closed for executor in made] == [True, True]


def test_file_names_of_variants() -> None:
    stems = [file_stem("fit", variant) for variant in ("", "+20 steps", "+4 s", "+20 steps, triplane only")]
    assert stems == ["fit", "fit+20-steps", "fit+4-s", "fit+20-steps-triplane-only"]


def test_damaged_rows_count_as_not_there(tmp_path: Path) -> None:
    report = ReportFolder(tmp_path)
    for content in (b"", b"{", b'{"rows": [{"object": "a"}]}', b"\xff", b"[]", b'{"rows": 3}'):
        report.write(report.rows_file("a", "fit"), content)
        assert report.rows("a", "fit") == []
