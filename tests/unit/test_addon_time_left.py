"""How far a run is and how long it still takes."""

import json
from pathlib import Path

import pytest

from blender_addon.run.time_left import KEPT_RUNS, STAGE_WEIGHTS, Durations, in_words, overall_fraction
from gtr_core.progress import STAGES


@pytest.mark.parametrize("kind", sorted(STAGE_WEIGHTS))
def test_the_bar_goes_from_zero_to_one(kind: str) -> None:
    stages = [name for name, _ in STAGE_WEIGHTS[kind]]
    marks = [overall_fraction(kind, stage, part) for stage in stages for part in (0.0, 0.5, 1.0)]
    assert marks == sorted(marks)
    assert marks[0] == 0
    assert marks[-1] == pytest.approx(1)


def test_every_stage_of_the_core_has_a_place_in_the_bar() -> None:
    assert set(STAGES) <= {name for name, _ in STAGE_WEIGHTS["reconstruct"]}


def test_an_unknown_stage_moves_nothing() -> None:
    assert overall_fraction("reconstruct", "polish", 0.5) == 0


@pytest.mark.parametrize("fraction", [-3.0, 1.7])
def test_a_fraction_outside_its_range_stays_inside_its_stage(fraction: float) -> None:
    low, high = overall_fraction("refine", "texture", 0.0), overall_fraction("refine", "texture", 1.0)
    assert low <= overall_fraction("refine", "texture", fraction) <= high


def test_left_is_the_median_of_the_last_five() -> None:
    durations = Durations()
    for seconds in (900, 10, 11, 12, 13, 500):
        durations.add("cpu DRAFT", seconds)
    assert durations.left("cpu DRAFT", 2) == pytest.approx(10)
    assert durations.left("cpu DRAFT", 13) is None
    assert durations.left("cpu HIGH", 0) is None


def test_durations_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "config" / "gtr.json"
    for seconds in range(KEPT_RUNS + 3):
        Durations(path).add("key", seconds)
    assert json.loads(path.read_text()) == {"key": [3, 4, 5, 6, 7]}
    assert Durations(path).left("key", 0) == 5


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"key": 3}', '{"key": ["a", null]}'])
def test_a_broken_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gtr.json"
    path.write_text(text)
    assert Durations(path).left("key", 0) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3720, "1 h 2 min")]
)
def test_time_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
