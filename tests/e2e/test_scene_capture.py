"""Capture in real Blender: exact colours, cameras, depth and normals, and an untouched scene."""

from blender_runner import assert_passed, parametrize


@parametrize("capture_color_checks.py")
def test_colors(blender: str, check: str) -> None:
    assert_passed("capture_color_checks.py", blender, check)


@parametrize("capture_source_checks.py")
def test_sources(blender: str, check: str) -> None:
    assert_passed("capture_source_checks.py", blender, check)


@parametrize("capture_camera_checks.py")
def test_cameras(blender: str, check: str) -> None:
    assert_passed("capture_camera_checks.py", blender, check)


@parametrize("capture_trace_checks.py")
def test_nothing_is_left_behind(blender: str, check: str) -> None:
    assert_passed("capture_trace_checks.py", blender, check)
