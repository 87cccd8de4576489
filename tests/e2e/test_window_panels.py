"""The panels in a real window: Debian's Blender on a display of its own, buttons clicked by a simulated mouse."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "window"))
import blender_window

SCENARIOS = Path(__file__).parent / "window" / "scenarios.py"


@pytest.fixture(autouse=True)
def _programs() -> None:
    missing = blender_window.missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed")


def test_whole_way_by_clicks(tmp_path: Path) -> None:
    found = blender_window.play(SCENARIOS, "whole_way", tmp_path)
    (line,) = found.facts["exported"]
    assert line.startswith("Ball_GTR.glb")
    assert "colours ✔" in line
    assert (found.folder / "assets" / "Ball_GTR.glb").stat().st_size > 10_000


def test_textured_export_by_clicks(tmp_path: Path) -> None:
    found = blender_window.play(SCENARIOS.with_name("scenario_texture.py"), "textured", tmp_path)
    (line,) = found.facts["exported"]
    assert "texture 1024 ✔" in line
    assert [path.name for path in (found.folder / "assets").iterdir()] == ["Ball_GTR.glb"], "cancelling left a file"


def test_panels_draw_in_every_state(tmp_path: Path) -> None:
    blender_window.play(SCENARIOS, "panels", tmp_path)


def test_nothing_is_lost_whatever_the_user_does(tmp_path: Path) -> None:
    blender_window.play(SCENARIOS, "moments", tmp_path)
