"""The benchmark's own parts, and its rows at a size where they take a moment."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gtr_core.fields.render_mesh import clip_positions
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.marching_cubes import marching_cubes
from gtr_core.geometry.rasterize import get_rasterizer

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _import_path(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("GTR_BENCH_CACHE", str(tmp_path_factory.mktemp("fields")))
        yield


@pytest.fixture
def bench(_import_path):
    import bench_pipeline

    return bench_pipeline


def test_memory_and_seconds_are_those_of_the_call():
    from pipeline_rows.row import timed

    idle = timed(lambda: None, CPU)
    busy = timed(lambda: torch.ones(40_000_000).sum(), CPU, 2)
    assert idle.cpu_s < 0.01
    assert busy.cpu_s > idle.cpu_s
    if Path("/proc/self/clear_refs").exists():
        assert 150 < busy.peak_mb - idle.peak_mb < 400
        assert timed(lambda: None, CPU).peak_mb < busy.peak_mb - 100


def test_the_ratio_counts_the_measured_share():
    from pipeline_rows.row import Timing, row

    made = row("x", Timing(0.5, 0.6, 7.0), Timing(2.0, 2.1, 9.0), share=0.25, note="n")
    assert (made.ratio, made.fast_cpu_s, made.straightforward_cpu_s) == (16.0, 0.5, 8.0)
    assert (made.wall_s, made.peak_mb, made.note) == (0.6, 7.0, "n")


@pytest.mark.parametrize(
    "stage", ["grid_256", "grid_512", "grid_256_wide", "marching_cubes", "rasterize", "end_to_end"]
)
def test_every_row_measures_and_compares(bench, stage):
    if stage == "marching_cubes":
        pytest.importorskip("skimage")
    row = bench.measure(stage, bench.Scale.tiny(CPU))
    assert row.stage == stage
    assert row.ratio == pytest.approx(row.straightforward_cpu_s / row.fast_cpu_s)
    assert min(row.fast_cpu_s, row.straightforward_cpu_s, row.wall_s) > 0
    if stage.startswith("grid"):
        assert "surface cells the same" in row.note
        assert "all 0 " not in row.note


def test_a_grid_that_differs_is_no_row(bench, monkeypatch):
    import pipeline_rows.grid as grid

    found = grid.surface_cells

    def without_one(*arguments):
        cells = found(*arguments)
        return type(cells)(cells.key[1:], cells.case[1:], cells.values[1:], cells.resolution)

    monkeypatch.setattr(grid, "surface_cells", without_one)
    with pytest.raises(RuntimeError, match="surface cells"):
        grid.measure_256(bench.Scale.tiny(CPU))


def test_ids_equal_those_of_a_loop_in_double_precision():
    from pipeline_rows.rasterize import reference_faces

    line = torch.linspace(-1, 1, 48)
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    bumps = 0.05 * torch.sin(9 * x) * torch.sin(9 * y) * torch.sin(9 * z)
    vertices, faces = marching_cubes((x * x + y * y + z * z).sqrt() - 0.7 + bumps)
    camera = orbit([30.0], [20.0], height=192, width=192)
    position = clip_positions(vertices, camera)
    ids = get_rasterizer().rasterize(position, faces, (192, 192))[0, ..., 3].numpy()
    reference = reference_faces(position[0].double().numpy(), faces.numpy(), (192, 192)) + 1
    assert (reference > 0).mean() > 0.2
    assert np.mean(ids == reference) >= 0.9999


def test_rows_reach_both_files_and_earlier_rows_are_kept(bench, tmp_path, monkeypatch):
    made = []

    def apart(stage, arguments):
        made.append(stage)
        return bench.Row(stage, 2.0, 1.0, 2.0, 1.0, 100.0, "note") if stage != "forward" else "no memory"

    monkeypatch.setattr(bench, "measure_apart", apart)
    common = ["--device", "cpu", "--results", str(tmp_path)]
    assert bench.main(["--rows", "rasterize", *common]) == 0
    assert bench.main(["--rows", "grid_256", "forward", "--json", str(tmp_path / "own.json"), *common]) == 1
    assert made == ["rasterize", "grid_256", "forward"]
    own = json.loads((tmp_path / "own.json").read_text())
    assert [row["stage"] for row in own["rows"]] == ["grid_256"]
    assert own["failures"] == {"forward": "no memory"}
    kept = json.loads((tmp_path / "pipeline_cpu.json").read_text())
    assert [row["stage"] for row in kept["rows"]] == ["grid_256", "rasterize"]
    wanted = {"stage", "ratio", "fast_cpu_s", "straightforward_cpu_s", "wall_s", "peak_mb"}
    assert all(wanted <= set(row) for row in kept["rows"])
    assert kept["device"]


def test_a_row_comes_from_a_process_of_its_own(bench):
    arguments = bench.parse(["--device", "cpu", "--scale", "tiny"])
    row = bench.measure_apart("rasterize", arguments)
    assert isinstance(row, bench.Row), row
    assert row.stage == "rasterize"


def test_the_picture_shows_every_row(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS.parent / "docs"))
    import make_pipeline_picture
    from PIL import Image

    figures = {"fast_cpu_s": 0.5, "straightforward_cpu_s": 20.0, "wall_s": 0.6, "peak_mb": 400.0, "note": ""}
    report = {"device": "a CPU", "threads": 1, "torch": "2", "rows": []}
    sizes = []
    for ratio in (40.0, 0.9):
        report["rows"].append({"stage": "grid_256", "ratio": ratio, **figures})
        (tmp_path / "report.json").write_text(json.dumps(report))
        make_pipeline_picture.main(["--report", str(tmp_path / "report.json"), "--out", str(tmp_path / "table.png")])
        with Image.open(tmp_path / "table.png") as picture:
            sizes.append(picture.size)
            bars = np.asarray(picture.convert("RGB"))
    assert sizes[1][1] > sizes[0][1]
    blue = (bars == make_pipeline_picture._BAR).all(-1)
    lengths = blue.sum(1)
    assert lengths.max() > 20 * lengths[lengths > 0].min()
