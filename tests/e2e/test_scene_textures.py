"""Textured files from real Blender, looked into and read back."""

from blender_runner import assert_passed, parametrize

SCRIPT = "texture_checks.py"


@parametrize(SCRIPT)
def test_texture(blender: str, check: str) -> None:
    assert_passed(SCRIPT, blender, check)
