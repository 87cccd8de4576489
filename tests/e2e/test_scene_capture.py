"""Capture in real Blender: exact colours, cameras, depth and normals, and an untouched scene."""

from blender_runner import assert_passed, parametrize

SCRIPT = "capture_checks.py"


@parametrize(SCRIPT)
def test_capture(blender: str, check: str) -> None:
    assert_passed(SCRIPT, blender, check)
