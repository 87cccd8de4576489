"""The whole way through the installed add-on and the server that it starts, in Blender without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from panel_subprocess import play

ORANGE = (200, 100, 50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("panel")


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, Any]:
    """What the script measured; every test looks at its own part."""
    return play("panel_way.py", folder)


def test_one_call_makes_a_result(facts: dict[str, Any]) -> None:
    assert facts["reconstruct"] == ["FINISHED"], facts["error"]
    assert facts["name"] == "Suzanne_GTR"
    assert facts["collections"] == ["GTR"]
    assert facts["message"].startswith("Done in ")
    # One object with its mesh and material; no trace of the capture.
    assert facts["grown"] == {"scenes": 0, "objects": 1, "meshes": 1, "materials": 1, "images": 0}


def test_over_puts_it_on_its_source(facts: dict[str, Any]) -> None:
    source, result = np.array(facts["source_bounds"]), np.array(facts["result_bounds"])
    assert np.abs(result - source).max() < 0.01 * (source[1] - source[0]).max()
    assert facts["scale"] == [1, 1, 1]
    assert facts["rotation"] == [0, 0, 0]
    assert facts["source_hidden"]
    assert facts["source_renders"]


@pytest.mark.parametrize("attribute", ["base", "refined"])
def test_orange_stays_orange(facts: dict[str, Any], attribute: str) -> None:
    assert np.abs(np.array(facts[attribute]) - ORANGE).max() <= 2


def test_result_remembers_how_it_was_made(facts: dict[str, Any]) -> None:
    record = facts["record"]
    assert record["job"]
    assert record["refined"]
    assert record["settings"]["grid_resolution"] == 128
    assert len(record["cameras"]) == 8
    assert record["sources"] == ["Suzanne"]


def test_refine_changes_only_the_current_colors(facts: dict[str, Any]) -> None:
    assert facts["refine"] == ["FINISHED"], facts["refine_error"]
    assert facts["refine_change"] > 2
    assert facts["base_kept"] == 0
    assert facts["job_changed"]
    assert facts["comparing"] == "Color_base"


def test_a_remeshed_result_gets_its_colors_back(facts: dict[str, Any]) -> None:
    assert facts["recolour"] == ["FINISHED"], facts["recolour_error"]
    vertices, colors = facts["recolour_vertices"]
    assert vertices == colors
    assert facts["recolour_spread"] > 30, "the dots are gone"
    assert facts["refine_again_error"] == "None"


def test_revert_goes_back_to_the_base(facts: dict[str, Any]) -> None:
    assert facts["revert"] == ["FINISHED"]
    assert facts["reverted"] == 0


def test_exported_file_is_whole(facts: dict[str, Any], folder: Path) -> None:
    assert facts["export"] == ["FINISHED"]
    (line,) = facts["exported"]
    assert "colours ✔" in line
    import trimesh

    (path,) = (folder / "out").glob("*.glb")
    mesh = trimesh.load_mesh(path)
    # The file is Y up: (x, z, -y) of the scene.
    (x0, y0, z0), (x1, y1, z1) = facts["export_bounds"]
    assert mesh.bounds == pytest.approx(np.array([[x0, z0, -y1], [x1, z1, -y0]]), abs=1e-5)
    assert len(mesh.vertices) == facts["recolour_vertices"][0]


def test_exported_texture_is_asked_of_the_server(facts: dict[str, Any], folder: Path) -> None:
    assert facts["texture"] == ["FINISHED"], facts["texture_error"]
    (line,) = facts["textured"]
    assert "texture 256 ✔" in line
    assert len(list((folder / "out" / "textured").glob("*.glb"))) == 1


def test_killed_server_costs_nothing_but_a_click(facts: dict[str, Any]) -> None:
    assert facts["killed_state"] == "failed"
    assert facts["killed_code"] == "server_stopped", facts["killed_text"]
    assert facts["killed_buttons"] == [["Try Again", "resubmit"]]
    assert facts["killed_inputs"] == [9, True]
    assert facts["again_error"] == "None"
    assert facts["again_state"] == "done"
    assert facts["again_objects"] == 1


def test_disabling_leaves_nothing(facts: dict[str, Any], folder: Path) -> None:
    assert facts["disable"] == ["FINISHED"]
    assert facts["left"] == [False, False]
    # The server was ours, so it ends with us; of the one that was killed no worker is left either.
    ours = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or ())
    ]
    _, alive = psutil.wait_procs(ours, timeout=300)
    assert alive == []
