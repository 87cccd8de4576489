"""A job outlives its Blender, and kept captures outlive the session: the installed add-on and the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_subprocess import play

from gtr_core.io.views_files import read_views


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("former")


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    return play("panel_former.py", folder)


def test_file_saved_while_running_opens_idle_and_knows_its_job(facts: dict[str, Any]) -> None:
    assert facts["opened"] == ["off", False, True]
    assert facts["stored"]["kind"] == "reconstruct"
    assert facts["stored"]["object"] == "Suzanne"
    assert facts["stored"]["options"]["grid_resolution"] == 128


def test_job_is_offered_when_the_server_is_there_and_nothing_happens_by_itself(facts: dict[str, Any]) -> None:
    busy, objects = facts["offered"]
    assert not busy
    assert objects == 1


def test_fetched_result_lies_where_the_click_wanted_it(facts: dict[str, Any]) -> None:
    assert facts["fetch"] == ["FINISHED"], facts["error"]
    assert facts["message"].startswith("Done in ")
    assert facts["record"]["mesh_job"] == facts["stored"]["job"]
    assert facts["record"]["refined"], "the refinement that was asked for follows"
    assert facts["record"]["sources"] == ["Suzanne"]
    source, result = np.array(facts["source_bounds"]), np.array(facts["result_bounds"])
    assert np.abs(result - source).max() < 0.03 * (source[1] - source[0]).max()


def test_colors_of_a_refinement_are_fetched_for_the_object_in_the_file(facts: dict[str, Any]) -> None:
    stored = facts["refine_stored"]
    assert (stored["kind"], stored["refine"]["steps"]) == ("refine", 100)
    refined, objects = facts["refine_before"]
    assert not refined
    assert facts["refine_fetch"] == ["FINISHED"], facts["refine_error"]
    assert facts["refine_record"]["id"] == stored["result"]
    assert facts["refine_record"]["job"] == stored["job"]
    assert facts["refine_record"]["refined"]
    assert facts["refine_left"] == ["", objects]


def test_fetched_job_is_not_offered_again(facts: dict[str, Any]) -> None:
    assert facts["left"] == ["", True]
    assert facts["running_after"] == ""


def test_job_that_the_server_does_not_know_is_dropped_in_silence(facts: dict[str, Any]) -> None:
    assert facts["unknown"] == [True, True, True, 0]


@pytest.mark.parametrize("text", ["unlike", "broken"])
def test_text_that_is_not_ours_is_left_alone(facts: dict[str, Any], text: str) -> None:
    assert facts[text] == [False, True, True, 0]


def test_captures_are_kept_beside_the_file(facts: dict[str, Any], folder: Path) -> None:
    result_id, stored, where = facts["kept"]
    assert stored == f"//gtr/{result_id}", facts["keep_error"]
    assert Path(where) == folder / "out" / "gtr" / result_id
    views = read_views(Path(where))
    assert views.depth is not None
    assert views.normal is not None
    for index, camera in enumerate(facts["kept_cameras"]):
        w2c = np.linalg.inv(views.cameras.c2w[index].double().numpy())
        assert np.abs(w2c - camera["world_to_camera"]).max() <= 2e-6
    assert facts["loaded"] == [8, True]
