"""Exported files from real Blender, looked into byte by byte."""

from blender_runner import assert_passed, parametrize

SCRIPT = "export_checks.py"


@parametrize(SCRIPT)
def test_export(blender: str, check: str) -> None:
    assert_passed(SCRIPT, blender, check)
