"""The part of docs/results.md that an evaluation fills: means in the paper's form, then every object."""

from __future__ import annotations

from typing import Any

MEANS = {
    "psnr": ("PSNR ↑", 2), "ssim": ("SSIM ↑", 3), "lpips": ("LPIPS ↓", 3), "cd": ("CD ↓", 3), "iou": ("IoU ↑", 3),
    "f_score": ("F ↑", 1), "mask_iou": ("mask IoU ↑", 3), "see_through": ("see-through % ↓", 1),
    "normal_angle": ("normal ° ↓", 1), "seconds": ("s", 1),
}  # fmt: skip
OBJECT_FIGURES = {"psnr": 1, "cd": 2, "iou": 2}
OBJECT_METHODS = (("hull", ""), ("fit", ""), ("untrained", "+50 steps"))
"""Methods of the table of objects."""


def evaluation_parts(report: dict[str, Any], title: str) -> list[str]:
    """Markdown of one ``report.json``."""
    header = report["header"]
    commits = sorted({row["commit"] for row in report["rows"] if row["commit"]})
    devices = sorted({row["device"] for row in report["rows"] if row["device"]})
    failed = [row for row in report["rows"] if row["status"] == "failed"]
    return [
        f"\n## {title}\n",
        f"`gtr evaluate` on {len(header['objects'])} objects, {header['device']}, commit {', '.join(commits)}; "
        f"conventions in [evaluation.md](evaluation.md). Rows ran on {', '.join(devices)}.\n",
        "![Truth, visual hull, fit and an untrained network before and after refinement](pictures/evaluation.png)\n",
        "In the picture: Spot by Keenan Crane, models of YCB (CC BY 4.0), of Poly Haven, of the glTF samples by "
        "Microsoft and Norbert Nopper, and the fox by PixelMannen (CC0).\n",
        *_means(report),
        "\n" + " ".join(note.rstrip(".") + "." for note in _notes(report)) + "\n",
        *[f"- {row['object']}, {row['system']} {row['variant']}: {row['reason']}" for row in failed],
        *_objects(report),
    ]


def _means(report: dict[str, Any]) -> list[str]:
    heads = [name for name, _ in MEANS.values()]
    lines = ["| method | " + " | ".join(heads) + " | objects |", "|---" + "|---:" * (len(heads) + 1) + "|"]
    for line in report["summary"]:
        cells = [_cell(line["means"][key], digits) for key, (_, digits) in MEANS.items()]
        lines.append(f"| {line['title']} | " + " | ".join(cells) + f" | {line['objects']['ok']} |")
    return lines


def _notes(report: dict[str, Any]) -> list[str]:
    """What the report says below its means, and why figures are missing everywhere."""
    missing = {
        f"{MEANS[key][0].split()[0]}: {reason[0].lower()}{reason[1:]}"
        for line in report["summary"]
        for key, reason in line["missing"].items()
        if key in MEANS and all(other["means"][key] is None for other in report["summary"])
    }
    return [*report["notes"], *sorted(missing)]


def _objects(report: dict[str, Any]) -> list[str]:
    """One line per object, methods beside each other."""
    found = {(row["object"], row["system"], row["variant"]): row for row in report["rows"]}
    titles = {(line["system"], line["variant"]): line["title"] for line in report["summary"]}
    methods = [method for method in OBJECT_METHODS if method in titles]
    heads = [f"{titles[method]}: {MEANS[key][0]}" for method in methods for key in OBJECT_FIGURES]
    lines = ["| object | " + " | ".join(heads) + " |", "|---" + "|---:" * len(heads) + "|"]
    for name in report["header"]["objects"]:
        rows = [found.get((name, *method), {}) for method in methods]
        cells = [_cell(row.get(key), digits) for row in rows for key, digits in OBJECT_FIGURES.items()]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return lines


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
