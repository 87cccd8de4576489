"""Images as input, several objects at once, and a sentence with a way out for everything that can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panel_subprocess import play


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return play("panel_inputs.py", tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize(
    ("code", "button"),
    [
        ("no_selection", "Select All Meshes"),
        ("nothing_renderable", None),
        ("bad_image", "Remove"),
        ("too_few_views", "Add Images"),
        ("no_alpha", "Remove Background"),
        ("empty_mask", "Show Mask"),
        ("camera_missing", "Choose Camera Set"),
        ("camera_invalid", "Choose Camera Set"),
        ("not_gtr", "Use Another Port"),
        ("server_not_installed", "Choose Python"),
    ],
)
def test_every_fault_has_a_sentence_and_a_way_out(facts: dict[str, Any], code: str, button: str | None) -> None:
    found = facts[code]
    assert found["outcome"] == ["CANCELLED"]
    assert found["code"] == code, found["text"]
    assert 10 < len(found["text"]) < 160
    assert found["text"].endswith((".", "?"))
    assert found["buttons"][:1] == ([button] if button else [])


def test_the_sentence_names_what_is_wrong(facts: dict[str, Any]) -> None:
    assert "Back" in facts["bad_image"]["text"] or "back.png" in facts["bad_image"]["text"]
    assert facts["bad_image"]["view"] == 0
    assert str(facts["not_gtr"]["port"]) in facts["not_gtr"]["text"]
    assert facts["too_few_views"]["text"] == "4 views needed, 1 loaded."
    assert "/nonexistent/python" in facts["server_not_installed"]["text"]
    assert facts["not_set_up"] == "not_set_up"


def test_remove_takes_the_image_at_fault(facts: dict[str, Any]) -> None:
    assert facts["removed"] == [1, False]


def test_each_object_gets_its_own_result(facts: dict[str, Any]) -> None:
    assert facts["each"] == ["FINISHED"], facts["each_error"]
    assert facts["each_names"] == ["Cube.001_GTR", "Cube_GTR"]
    assert facts["each_sources"] == [["Cube"], ["Cube.001"]]


def test_images_become_a_mesh_of_the_given_height(facts: dict[str, Any]) -> None:
    assert [view for view, _ in facts["slots"]] == [Path(name).stem.title() for _, name in facts["slots"]]
    assert len(facts["slots"]) == 4
    assert facts["mask_states"] == ["OK"] * 4
    assert facts["images"] == ["FINISHED"], facts["images_error"]
    assert facts["images_size"][2] == pytest.approx(3, rel=1e-4)
    assert facts["images_bottom"] == pytest.approx(0, abs=1e-3)
    assert any("seen" in note or "cavities" in note for note in facts["images_notes"])
