"""Pictures through the scene's active camera in real Blender."""

from blender_runner import assert_passed, parametrize

SCRIPT = "active_camera_checks.py"


@parametrize(SCRIPT)
def test_active_camera(blender: str, check: str) -> None:
    assert_passed(SCRIPT, blender, check)
