"""Results in real Blender: shape, place, colours, memory, undo."""

from blender_runner import assert_passed, parametrize

SCRIPT = "result_checks.py"


@parametrize(SCRIPT)
def test_result(blender: str, check: str) -> None:
    assert_passed(SCRIPT, blender, check)
