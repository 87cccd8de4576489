"""The compiled tracers of procedural objects against the readable one."""

import ctypes
import logging
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from procedural_parts import PARTS, all_tables, table_of
from torch import Tensor

from gtr_core.data.procedural import native, tracers
from gtr_core.data.procedural.cuda import kernel_values
from gtr_core.data.procedural.cuda_compile import compile_nvcc
from gtr_core.data.procedural.cuda_kernels import CudaKernels
from gtr_core.data.procedural.kernel_source import kernel_source
from gtr_core.data.procedural.layout import Pattern, Record
from gtr_core.data.procedural.native import NativeTracer
from gtr_core.data.procedural.objects import ProceduralObjects
from gtr_core.data.procedural.readable import ReadableTracer
from gtr_core.data.procedural.tracer import Hits, Tracer
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.rays import pixel_rays

TABLES = dict(all_tables())
SHIM = """
#include <cmath>
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __syncthreads()
struct Index { int x, y, z; };
static Index blockIdx, threadIdx, blockDim = {1, 1, 1};
"""
DRIVER = """
#include <cstring>
template <class T> static T& argument(void** values, int index) { return *static_cast<T*>(values[index]); }
typedef const float* In;
typedef float* Out;
extern "C" {
static const char* const NAMES[] = {"gtr_distance", "gtr_surface", "gtr_trace"};
int cuModuleLoadData(void** module, const char* binary) { *module = nullptr; return std::strcmp(binary, "binary"); }
int cuModuleGetFunction(void** function, void*, const char* name) {
  for (auto known : NAMES) if (!std::strcmp(known, name)) { *function = const_cast<char*>(known); return 0; }
  return 500;
}
int cuGetErrorString(int, const char** text) { *text = "no such kernel"; return 0; }
int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned tx, unsigned ty, unsigned tz,
                   unsigned shared, void*, void** v, void**) {
  if (z != 1 || tx != 1 || ty != 1 || tz != 1 || shared) return 1;
  for (blockIdx.y = 0; blockIdx.y < int(y); ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < int(x); ++blockIdx.x) {
      const Scene* s = argument<const Scene*>(v, 0);
      if (function == NAMES[0]) gtr_distance(s, argument<In>(v, 1), argument<int>(v, 2), argument<Out>(v, 3));
      if (function == NAMES[1])
        gtr_surface(s, argument<In>(v, 1), argument<int>(v, 2), argument<Out>(v, 3), argument<Out>(v, 4));
      if (function == NAMES[2])
        gtr_trace(s, argument<In>(v, 1), argument<In>(v, 2), argument<int>(v, 3), argument<Out>(v, 4),
                  argument<Out>(v, 5), argument<Out>(v, 6));
    }
  return 0;
}
}
"""


@pytest.fixture(scope="module")
def compiled() -> NativeTracer:
    if native.find_compiler() is None:
        pytest.skip("no C++ compiler (g++, clang++ or $CXX) on this computer")
    return NativeTracer(threads=1)


def random_points(count: int, seed: int = 0) -> Tensor:
    return torch.rand(1, count, 3, generator=torch.Generator().manual_seed(seed)) * 2.4 - 1.2


def rays(size: int = 24) -> tuple[Tensor, Tensor]:
    origins, directions = pixel_rays(orbit([25, 140, 260], [20, -35, 65], height=size, width=size))
    return origins.reshape(1, -1, 3), directions.reshape(1, -1, 3)


def assert_same_hits(one: Hits, other: Hits) -> None:
    # A ray that grazes an edge may be a hit for one and a miss for the other.
    assert (one.mask != other.mask).sum() <= 2
    both = one.mask & other.mask
    assert both.any()
    assert_nearly_all_close(one.distance[both], other.distance[both], 1e-4)
    assert_nearly_all_close(one.normal[both], other.normal[both], 5e-3)


def assert_nearly_all_close(one: Tensor, other: Tensor, tolerance: float, share: float = 0.005) -> None:
    """Rays at an edge of the shape or of a pattern may fall on either side of it."""
    far = (one - other).abs() > tolerance
    assert far.float().mean() <= share


@pytest.mark.parametrize("name", TABLES)
def test_distances_of_every_primitive(compiled: NativeTracer, name: str) -> None:
    points = random_points(3000)
    fast, slow = compiled.distance(TABLES[name], points), ReadableTracer().distance(TABLES[name], points)
    torch.testing.assert_close(fast, slow, atol=5e-6, rtol=0)
    exact = ReadableTracer().object_distance(TABLES[name], points[0].double().numpy())
    np.testing.assert_allclose(
        compiled.object_distance(TABLES[name], points[0].double().numpy()), exact, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("name", TABLES)
def test_hits_of_every_primitive(compiled: NativeTracer, name: str) -> None:
    origins, directions = rays()
    fast = compiled.trace(TABLES[name], origins, directions)
    assert_same_hits(fast, ReadableTracer().trace(TABLES[name], origins, directions))


@pytest.mark.parametrize("pattern", Pattern)
@pytest.mark.parametrize("part", ["box", "turned"])
def test_colors_of_every_pattern(compiled: NativeTracer, pattern: Pattern, part: str) -> None:
    table = table_of(PARTS[part], pattern=pattern)
    hits = compiled.trace(table, *rays())
    points = (rays()[0] + rays()[1] * hits.distance[..., None])[hits.mask][None]
    (normal, color), (slow_normal, slow_color) = (t.surface(table, points) for t in (compiled, ReadableTracer()))
    assert_nearly_all_close(normal, slow_normal, 5e-3)
    assert_nearly_all_close(color, slow_color, 1e-4)
    assert (color.amax((0, 1)) - color.amin((0, 1))).max() > (0.2 if pattern else -1)


def some_objects() -> list[Record]:
    """Tables of finished objects, with and without light, labels and cuts."""
    objects = ProceduralObjects(12)
    return [objects.table(index) for index in range(7)]


def test_finished_objects(compiled: NativeTracer) -> None:
    origins, directions = rays(16)
    lit = cut = 0
    for table in some_objects():
        slow = ReadableTracer().trace(table, origins, directions)
        fast = compiled.trace(table, origins, directions)
        assert_same_hits(fast, slow)
        assert fast.color is not None
        assert slow.color is not None
        assert_nearly_all_close(fast.color, slow.color, 2e-3, share=0.02)
        points = random_points(500)
        torch.testing.assert_close(
            compiled.distance(table, points), ReadableTracer().distance(table, points), atol=5e-6, rtol=0
        )
        lit, cut = lit + int(table["lit"][0]), cut + int(table["cutter_count"][0] > 0)
    assert 0 < lit < 7
    assert cut > 0


def test_batches_and_threads_change_nothing(compiled: NativeTracer) -> None:
    tables = np.concatenate(some_objects()[:3])
    count = 2 * 16_384 + 77
    generator = torch.Generator().manual_seed(1)
    origins = torch.nn.functional.normalize(torch.randn(3, count, 3, generator=generator), dim=-1) * 3
    directions = torch.nn.functional.normalize(-origins + torch.randn(3, count, 3, generator=generator) * 0.4, dim=-1)
    together = NativeTracer(threads=3).trace(tables, origins, directions)
    for index in range(3):
        alone = compiled.trace(tables[index : index + 1], origins[index][None], directions[index][None])
        assert torch.equal(alone.distance[0], together.distance[index])
        assert torch.equal(alone.normal[0], together.normal[index])


def test_rays_from_inside_and_beside_the_box(compiled: NativeTracer) -> None:
    table = table_of(PARTS["pipe"])
    origins = torch.tensor([[[0.0, 0, 0], [0, 0, 0], [0, 5, 0], [5, 5, 5], [0, 0, 3]]])
    directions = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, 1]]])
    for tracer in (compiled, ReadableTracer()):
        hits = tracer.trace(table, origins, directions)
        assert hits.mask.tolist() == [[True, False, False, False, False]]
        assert float(hits.distance[0, 0]) == pytest.approx(0.38, abs=2e-4)
        torch.testing.assert_close(hits.normal[0, 0], torch.tensor([-1.0, 0, 0]), atol=1e-3, rtol=0)


def test_scenes_travel_to_other_processes(compiled: NativeTracer) -> None:
    scene = ProceduralObjects(2).scene(1)
    points = random_points(20)[0]
    assert torch.equal(pickle.loads(pickle.dumps(scene)).sdf(points), scene.sdf(points))


def test_no_rays_and_no_objects(compiled: NativeTracer) -> None:
    nothing = torch.empty(1, 0, 3)
    assert compiled.trace(table_of(PARTS["box"]), nothing, nothing).distance.shape == (1, 0)
    assert compiled.distance(table_of(PARTS["box"])[:0], torch.empty(0, 5, 3)).shape == (0, 5)


def test_without_a_compiler_the_readable_tracer_makes_the_same_objects(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, compiled: NativeTracer
) -> None:
    expected = [ProceduralObjects(21).table(index).tobytes() for index in (3, 19, 60)]
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    native._library.cache_clear()
    tracers._choose.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            objects = ProceduralObjects(21)
        assert objects.scene(0).tracer.name == "readable"
        assert "C++ compiler" in caplog.text
        assert [objects.table(index).tobytes() for index in (3, 19, 60)] == expected
    finally:
        native._library.cache_clear()
        tracers._choose.cache_clear()


def test_a_compiler_that_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho no such header >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(native, "find_compiler", lambda: str(broken))
    monkeypatch.setenv("GTR_KERNELS", str(tmp_path / "kernels"))
    native._library.cache_clear()
    tracers._choose.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert tracers.choose_tracer("cpu").name == "readable"
        assert "no such header" in caplog.text
        assert list((tmp_path / "kernels").iterdir()) == []
    finally:
        native._library.cache_clear()
        tracers._choose.cache_clear()


def test_the_cuda_source_gives_the_same_values(tmp_path: Path) -> None:
    """Compiled as plain C++ with a driver of its own: kernels and launches of the GPU without a GPU."""
    compiler = native.find_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler (g++, clang++ or $CXX) on this computer")
    source, library = tmp_path / "cuda.cpp", tmp_path / "cuda.so"
    source.write_text(SHIM + kernel_source("cuda") + DRIVER)
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True, capture_output=True)
    kernels = CudaKernels(b"binary", ("gtr_distance", "gtr_surface", "gtr_trace"), ctypes.CDLL(str(library)))
    tables = np.concatenate([*list(TABLES.values())[::5], *some_objects()[:3]])
    scenes = torch.from_numpy(tables.view(np.uint8).reshape(-1))
    origins, directions = (each.expand(len(tables), -1, 3).contiguous() for each in rays(12))
    count = origins.shape[1]
    blocks = (count, len(tables))
    t, n, c = torch.empty(origins.shape[:2]), torch.empty_like(origins), torch.empty_like(origins)
    kernels.launch("gtr_trace", blocks, 1, 0, kernel_values(scenes, [origins, directions], count, [t, n, c]))
    slow = ReadableTracer().trace(tables, origins, directions)
    assert slow.color is not None
    assert_same_hits(Hits(t, n, c), slow)
    assert_nearly_all_close(c, slow.color, 2e-3, share=0.02)
    t2, n2 = torch.empty_like(t), torch.empty_like(n)
    kernels.launch("gtr_trace", blocks, 1, 0, kernel_values(scenes, [origins, directions], count, [t2, n2, None]))
    assert torch.equal(t, t2)
    assert torch.equal(n, n2)
    points = random_points(count).expand(len(tables), -1, 3).contiguous()
    kernels.launch("gtr_distance", blocks, 1, 0, kernel_values(scenes, [points], count, [t]))
    torch.testing.assert_close(t, ReadableTracer().distance(tables, points), atol=1e-5, rtol=0)
    surface = (origins + directions * t2[..., None]).contiguous()
    kernels.launch("gtr_surface", blocks, 1, 0, kernel_values(scenes, [surface], count, [n, c]))
    assert_nearly_all_close(n[t2 > 0], n2[t2 > 0], 5e-3)
    with pytest.raises(RuntimeError, match="no such kernel"):
        CudaKernels(b"binary", ("gtr_other",), ctypes.CDLL(str(library)))


def test_the_cuda_source_compiles_for_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on this computer")
    monkeypatch.setenv("GTR_KERNELS", str(tmp_path))
    with pytest.raises(RuntimeError, match="nvcc failed"):
        compile_nvcc("no CUDA at all", "sm_90")
    short = kernel_source("cuda").replace("surface_color(scene, p, n)", "n")  # most of the time goes into the colours
    assert compile_nvcc(short, "sm_90")[:4] == b"\x7fELF"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_the_gpu_gives_the_same_values() -> None:
    tracer: Tracer = tracers.choose_tracer("cuda")
    assert tracer.name == "cuda"
    tables = np.concatenate([*TABLES.values(), *some_objects()])
    origins, directions = (each.expand(len(tables), -1, 3).contiguous() for each in rays())
    hits = tracer.trace(tables, origins.cuda(), directions.cuda())
    slow = ReadableTracer().trace(tables, origins, directions)
    assert hits.color is not None
    assert slow.color is not None
    assert_same_hits(Hits(hits.distance.cpu(), hits.normal.cpu(), None), slow)
    assert_nearly_all_close(hits.color.cpu(), slow.color, 2e-3, share=0.02)
    points = random_points(4000).expand(len(tables), -1, 3)
    torch.testing.assert_close(
        tracer.distance(tables, points.cuda()).cpu(), ReadableTracer().distance(tables, points), atol=1e-5, rtol=0
    )
