"""The conventions of a report in plain words."""

from __future__ import annotations

from typing import Any

_CHAMFER = {
    "two_sided_sum": "sum of the mean {} in both directions",
    "two_sided_mean": "mean of the mean {} in both directions",
    "result_to_truth": "mean of the {} from the result to the truth",
    "truth_to_result": "mean of the {} from the truth to the result",
}
_IOU = {
    "surface": "of the voxels that the surface points touch",
    "volume": "of the insides of closed meshes",
}
_ALIGNMENT = {
    "icp": "centred and scaled to [-1, 1]³, then registered with ICP",
    "bounds": "centred and scaled to [-1, 1]³ by the bounds",
    "none": "none: the result's own frame counts",
}


def describe_protocol(protocol: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every convention, those that belong together in one line; unknown ones as they are."""
    left = dict(protocol)

    def take(name: str, default: Any = "?") -> Any:
        return left.pop(name, default)

    size, novel, side = take("input_size"), take("num_novel"), take("novel_size")
    depth = "colour, exact depth and normals" if take("with_depth", False) else "colour only"
    elevations = ", ".join(f"{value:g}°" for value in take("elevations", ()))
    points, resolution, samples = take("surface_samples"), take("iou_resolution"), take("supersample")
    chamfer, iou, alignment = take("chamfer"), take("iou"), take("alignment")
    scaled = ", free in scale" if take("icp_scale", False) and alignment == "icp" else ""
    squared = "squared distances" if take("chamfer_squared", False) else "distances (not squared)"
    lines = [
        ("Input views", f"{take('input_cameras')} cameras at {size} px, {depth}"),
        ("Novel views", f"{novel} on an orbit of uniform azimuths at {side} px, elevations {elevations} in turn"),
        ("Background", f"grey value {take('background')}, {samples} × {samples} colour samples per pixel"),
        ("Alignment of shapes", _ALIGNMENT.get(str(alignment), str(alignment)) + scaled),
        ("Surface points", f"{points} per surface, seed {take('seed')}"),
        ("Chamfer distance", f"{_CHAMFER.get(str(chamfer), str(chamfer) + ', {}').replace('{}', squared)}, times 100"),
        ("IoU", f"{_IOU.get(str(iou), str(iou))}, {resolution} voxels per side"),
    ]
    return lines + [(name.replace("_", " ").capitalize(), str(value)) for name, value in sorted(left.items())]
