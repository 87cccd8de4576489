"""Values and gradients of the three operators of the rasteriser, backend against backend, on the scenes of the tests.

The torch backend on the device is compared with the same on the CPU, and with nvdiffrast where that is installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gtr_core.fields.render_mesh import clip_positions
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rasterize import Rasterizer, get_rasterizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "differential"))
from test_rasterize_reference import bumpy_ball, soup  # noqa: E402 - the scenes lie beside the tests

SIZE = (128, 128)
LEAST_SAME, LEAST_COSINE, MOST_DIFFERENCE = 0.99, 0.9, 1e-3
"""Of faces seen, of gradients, and of interpolated values where the same face is seen: as in the test."""


def scene(name: str) -> tuple[Tensor, Tensor, float]:
    """Vertices, faces, distance of the cameras."""
    vertices, faces = soup(3) if name in ("soup", "inside") else bumpy_ball(48)
    return vertices, faces, 0.4 if name == "inside" else 4.0


def run(rasterizer: Rasterizer, name: str, device: str) -> dict[str, Tensor]:
    """What the operators give, and the gradients of the vertices through each."""
    vertices, faces, distance = scene(name)
    cameras = orbit([10, 80], [0, 35], height=SIZE[0], width=SIZE[1], distance=distance).to(device)
    probe, faces = vertices.to(device).requires_grad_(), faces.to(device)
    positions = clip_positions(probe, cameras)
    raster = rasterizer.rasterize(positions, faces, SIZE)
    image = rasterizer.interpolate(probe, raster, faces).contiguous()
    smooth = rasterizer.antialias(image, raster, positions, faces)
    pixels = torch.linspace(0, 1, image.numel(), device=device).view_as(image)  # weights that no symmetry cancels
    losses = {
        "rasterize": (raster[..., :2] * pixels[..., :2]).mean(),
        "interpolate": (image * pixels).mean(),
        "antialias": (smooth * pixels).mean(),
    }
    gradients = {
        f"{operator} gradient": torch.autograd.grad(loss, probe, retain_graph=True)[0]
        for operator, loss in losses.items()
    }
    values = {"ids": raster[..., 3], "interpolate": image, "antialias": smooth} | gradients
    return {key: value.detach().cpu() for key, value in values.items()}


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, float]:
    """How alike two backends are."""
    same = one["ids"] == other["ids"]
    figures = {
        "same_faces": float(same.float().mean()),
        "interpolate_max": float((one["interpolate"] - other["interpolate"])[same].abs().max()),
        "antialias_mean": float((one["antialias"] - other["antialias"]).abs().mean()),
    }
    for key in one:
        if key.endswith("gradient"):
            a, b = one[key].double().flatten(), other[key].double().flatten()
            figures[f"{key.split()[0]}_gradient_cosine"] = float(torch.nn.functional.cosine_similarity(a, b, dim=0))
            figures[f"{key.split()[0]}_gradient_norms"] = float(a.norm() / b.norm())
    return figures


def compare(device: str) -> dict[str, Any]:
    """All scenes; the ball decides, as in the test: in the others faces pierce each other."""
    backends = {f"torch on {device}": (get_rasterizer(device, backend="torch"), device)}
    if device.startswith("cuda") and find_spec("nvdiffrast") is not None:
        backends["nvdiffrast"] = (get_rasterizer(device, backend="nvdiffrast"), device)
    reference, figures = get_rasterizer("cpu", backend="torch"), {}
    for name in ("ball", "soup", "inside"):
        truth = run(reference, name, "cpu")
        for label, (rasterizer, where) in backends.items():
            figures[f"{name}: {label} against torch on cpu"] = difference(run(rasterizer, name, where), truth)
    balls = [row for key, row in figures.items() if key.startswith("ball")]
    agree = all(
        row["same_faces"] >= LEAST_SAME
        and row["interpolate_max"] <= MOST_DIFFERENCE
        and row["antialias_gradient_cosine"] >= LEAST_COSINE
        for row in balls
    )
    told = ", ".join(backends)
    absent = "" if "nvdiffrast" in backends else "; nvdiffrast was not there"
    sentence = f"{told} {'agree' if agree else 'do not agree'} with torch on cpu{absent}."
    return {"device": device, "torch": torch.__version__, "agree": agree, "sentence": sentence, "scenes": figures}


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    report = compare(options.device)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(report["sentence"])


if __name__ == "__main__":
    main()
