"""Pictures from files in real Blender: the list, grids, folders with cameras."""

from blender_runner import assert_passed, parametrize

SCRIPT = "images_checks.py"


@parametrize(SCRIPT)
def test_images(blender: str, check: str) -> None:
    assert_passed(SCRIPT, blender, check)
