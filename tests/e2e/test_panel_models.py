"""Choosing a model in the panel: missing weights, a file of one's own, and official inputs with a learned preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from official_inputs import egg_views, write_grid, write_official
from panel_subprocess import play


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    views, inputs = egg_views(), folder / "inputs"
    inputs.mkdir()
    write_official(views, inputs / "official")
    write_grid(views, inputs / "grid.png")
    (inputs / "My weights.safetensors").write_bytes(tiny_weights.read_bytes())
    (inputs / "full_checkpoint.pth").write_bytes(b"a pickle")
    return play("panel_models.py", folder)


def test_missing_weights_are_said_and_fit_is_offered(facts: dict[str, Any]) -> None:
    missing = facts["missing"]
    assert missing["outcome"] == ["CANCELLED"]
    assert missing["code"] == "missing_weights"
    assert "gtr-mini" in missing["text"]
    assert missing["buttons"] == [["Use fit", "use_fit"], ["Choose File", "choose_model_file"]]
    # The line under the model's name says the same, once the server has told what it has.
    assert facts["missing_line"] == ["absent", missing["text"]]


def test_the_offer_is_one_click(facts: dict[str, Any]) -> None:
    assert facts["use_fit_error"] == "None"
    assert facts["use_fit_model"] == "fit"
    assert facts["use_fit_record"] == "fit"


def test_views_follow_the_model(facts: dict[str, Any]) -> None:
    assert facts["views"] == {"at first": 14, "gtr-mini": 4, "fit": 14, "by hand": 9}


def test_a_checkpoint_must_be_converted_first(facts: dict[str, Any]) -> None:
    assert facts["pickle"]["code"] == "checkpoint_format"
    assert "gtr convert" in facts["pickle"]["text"]
    assert facts["pickle"]["buttons"] == [["Copy Command", "copy_convert_command"]]


def test_a_chosen_file_becomes_the_model(facts: dict[str, Any]) -> None:
    assert facts["chosen"] == ["FINISHED"], facts["chosen_error"]
    assert facts["chosen_model"] == "My_weights"
    assert facts["chosen_line"] == ["ready", "gtr-tiny"]
    assert "CPU thread" in facts["device"]


@pytest.mark.parametrize("form", ["official", "grid", "scene"])
def test_a_learned_preset_runs_from_the_panel(facts: dict[str, Any], form: str) -> None:
    found = facts[form]
    assert found["outcome"] == ["FINISHED"], found["error"]
    assert found["record"]["settings"]["model"] == "My_weights"
    assert len(found["record"]["cameras"]) == (4 if form == "scene" else 6)
    assert found["record"]["refined"]
    assert found["vertices"] > 500
    assert found["height"] == pytest.approx(1.0, rel=0.35 if form == "scene" else 1e-3)


def test_captured_views_of_a_learned_model_carry_no_depth(facts: dict[str, Any]) -> None:
    assert facts["scene_depth"] == [False] * 4


def test_refining_goes_on_after_the_weights_are_gone(facts: dict[str, Any]) -> None:
    assert facts["refine"] == ["FINISHED"], facts["refine_error"]
    assert facts["gone_line"][0] == "absent"
    assert facts["gone"]["code"] == "missing_weights"
