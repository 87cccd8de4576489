"""Batches: what they hold, and that they are functions of seed and sample number alone."""

from pathlib import Path

import pytest
import torch
from ball_source import BallSource, draw_ball
from torch import Tensor

from gtr_core.data.dataset import Batch, BatchRequest, PosedPictures, TrainingSource, join
from gtr_core.data.mesh_source import MeshSource
from gtr_core.data.mixed_source import MixedSource
from gtr_core.data.procedural_source import ProceduralSource
from gtr_core.data.shard_source import ShardSource
from gtr_core.data.shards import encode_views, write_shard
from gtr_core.data.training_cameras import CameraRange, patches, sample_generator
from gtr_core.data.view_pool import choose_views, cropped, resized, subset
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.geometry.rays import pixel_rays
from gtr_core.io.mesh_files import write_mesh
from gtr_core.model.conditioning import conditioning
from gtr_core.training.batch_field import conditioning_of
from gtr_core.views import Views

REQUEST = BatchRequest(
    input_views=2,
    input_size=16,
    target_views=2,
    target_size=24,
    patch=12,
    near_points=8,
    uniform_points=8,
    surface_points=6,
    lifted_points=2,
)


def tensors(batch: Batch) -> dict[str, Tensor]:
    """All tensors of a batch by name."""
    found = {"indices": batch.indices}
    for name in ("inputs", "targets", "points"):
        part = getattr(batch, name)
        if part is not None:
            found |= {f"{name}.{key}": value for key, value in vars(part).items() if value is not None}
    return found


def assert_same(a: Batch, b: Batch) -> None:
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def tetrahedron() -> Mesh:
    corners = torch.tensor([[1.0, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    return Mesh(corners, faces, colors=torch.eye(4, 3))


@pytest.fixture
def mesh_folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        write_mesh(tetrahedron(), tmp_path / f"{name}.glb")
    return tmp_path


@pytest.fixture
def shard_folder(tmp_path: Path) -> Path:
    cameras = orbit([0, 90, 180, 270, 45], [0, 10, -20, 30, 60], height=24, width=24)
    rows = []
    for number in range(5):
        rgba, _, _, depth, normal = draw_ball(cameras, 0.4 + 0.1 * number, torch.rand(2, 3))
        views = Views(rgba, cameras, depth, normal)
        rows.append((f"{number:03d}", f"ball {number}", "", encode_views(views, f"ball {number}")))
    write_shard(tmp_path / "balls.tar", rows)
    return tmp_path


def sources(mesh_folder: Path, shard_folder: Path) -> list[TrainingSource]:
    return [
        BallSource(),
        ProceduralSource(),
        ProceduralSource(objects=2),
        MeshSource(mesh_folder),
        ShardSource(shard_folder),
    ]


def test_a_sample_depends_on_seed_and_number_alone(mesh_folder: Path, shard_folder: Path) -> None:
    for source in sources(mesh_folder, shard_folder):
        together = source.batch(3, [5, 6, 7], REQUEST)
        assert_same(together, join([source.batch(3, [index], REQUEST) for index in (5, 6, 7)]))
        assert_same(together, source.batch(3, [5, 6, 7], REQUEST))
        other = source.batch(4, [5, 6, 7], REQUEST)
        assert not torch.equal(together.inputs.c2w, other.inputs.c2w), source.name


def test_batches_have_the_shapes_and_ranges_they_promise(mesh_folder: Path, shard_folder: Path) -> None:
    for source in sources(mesh_folder, shard_folder):
        for batch in (source.batch(0, range(4), REQUEST), source.validation(range(4), REQUEST)):
            assert batch.inputs.rgba.shape == (4, 2, 16, 16, 4)
            assert batch.targets is not None
            assert batch.targets.rgba.shape == (4, 2, 12, 12, 4)
            assert (batch.points is not None) == source.has_points
            for pictures in (batch.inputs, batch.targets):
                assert 0 <= float(pictures.rgba.min()) <= float(pictures.rgba.max()) <= 1
                assert pictures.depth is not None
                assert pictures.normal is not None
                there = pictures.depth > 0
                assert float((pictures.normal.norm(dim=-1)[there] - 1).abs().max()) < 1e-3
            assert float(batch.inputs.mask.amax((2, 3)).min()) > 0.3, "every input shows the object"


def test_pictures_of_a_batch_agree_with_its_points_and_depths() -> None:
    for source in (ProceduralSource(supersample=1), BallSource()):
        batch = source.batch(1, range(3), BatchRequest(2, 48, 0, 48, near_points=64, surface_points=256))
        assert batch.points is not None
        assert batch.inputs.depth is not None
        points = batch.points
        for index in range(3):
            cameras = batch.inputs.cameras(index)
            u, v, z = cameras.project(points.color_at[index]).unbind(-1)
            column, row = u.long().clamp(0, 47), v.long().clamp(0, 47)
            seen = batch.inputs.depth[index][torch.arange(2)[:, None], row, column]
            # no point of the surface lies in front of what the camera sees there, except at outlines
            assert float(((seen > 0) & (z < seen - 0.1)).float().mean()) < 0.1
            visible = (z - seen).abs() < 0.02
            assert int(visible.sum()) > 40
            color = batch.inputs.rgba[index, ..., :3][torch.arange(2)[:, None], row, column]
            error = (color - points.color[index]).abs().mean(-1)[visible]
            assert float(error.median()) < 0.06
        # both sides of the surface; of thin parts the outside has more
        assert 0.2 < float((points.distance < 0).float().mean()) < 0.6


def test_a_patch_is_a_cut_of_the_whole_picture() -> None:
    cameras = orbit([10, 200], [5, -30], height=40, width=40)
    some = patches(cameras, 16, torch.Generator().manual_seed(0))
    assert (some.height, some.width) == (16, 16)
    left, top = (cameras.intrinsics[:, 2:] - some.intrinsics[:, 2:]).long().unbind(-1)
    _, whole = pixel_rays(cameras)
    _, part = pixel_rays(some)
    for view in range(2):
        x, y = int(left[view]), int(top[view])
        assert torch.allclose(part[view], whole[view, y : y + 16, x : x + 16], atol=1e-6)
    assert patches(cameras, 0, torch.Generator()) is cameras
    with pytest.raises(ValueError, match="no patch of 41 px"):
        patches(cameras, 41, torch.Generator())


def test_views_of_a_pool_keep_their_rays_when_cut_and_resized() -> None:
    pool = BallSource().batch(0, [0], BatchRequest(4, 32, 0)).inputs
    small = resized(pool, 16)
    assert small.depth is not None
    assert torch.allclose(small.cameras().c2w, pool.cameras().c2w)
    assert torch.allclose(pixel_rays(small.cameras())[1], pixel_rays(pool.cameras().resized(16, 16))[1], atol=1e-6)
    assert float(small.mask.mean()) == pytest.approx(float(pool.mask.mean()), abs=1e-6)
    cut = cropped(small, 6, torch.Generator().manual_seed(3))
    assert cut.depth is not None
    left, top = (small.intrinsics[0, 0, 2:] - cut.intrinsics[0, 0, 2:]).long().tolist()
    assert torch.equal(cut.rgba[0, 0], small.rgba[0, 0, top : top + 6, left : left + 6])
    assert torch.equal(cut.depth[0, 0], small.depth[0, 0, top : top + 6, left : left + 6])
    with pytest.raises(GtrError) as caught:
        cropped(small, 17, torch.Generator())
    assert caught.value.code is ErrorCode.IMAGE_TOO_SMALL


def test_no_view_is_input_and_supervision_at_once() -> None:
    inputs, targets = choose_views(8, BatchRequest(4, 16, 4), torch.Generator().manual_seed(0))
    assert sorted(inputs + targets) == list(range(8))
    with pytest.raises(GtrError) as caught:
        choose_views(7, BatchRequest(4, 16, 4), torch.Generator())
    assert caught.value.code is ErrorCode.TOO_FEW_VIEWS


def test_a_subset_of_views_is_of_every_object() -> None:
    pictures = BallSource().batch(0, [0, 1], BatchRequest(4, 16, 0)).inputs
    some = subset(pictures, [2, 0])
    assert torch.equal(some.rgba, pictures.rgba[:, [2, 0]])
    assert some.rgba.shape[0] == 2


def test_shards_hold_objects_back_and_pass_through_the_others_in_turn(shard_folder: Path) -> None:
    source = ShardSource(shard_folder)
    assert source.name == f"4 rendered objects of {shard_folder.name}"
    depths = [source.batch(0, [index], BatchRequest(2, 24, 0)).inputs.depth for index in range(8)]
    nearest = torch.stack([depth[depth > 0].min() for depth in depths if depth is not None])
    radii = (4 - nearest).mul(10).round()
    assert sorted(radii[:4].tolist()) == sorted(radii[4:].tolist()) == [4, 5, 6, 7], "each once per round"
    held = source.validation([0, 1], BatchRequest(2, 24, 0)).inputs.depth
    assert held is not None
    assert float(held[held > 0].min()) == pytest.approx(4 - 0.8, abs=0.02)


def test_sources_are_mixed_by_weight() -> None:
    small, large = BallSource(count=1), BallSource(count=2, has_points=False)
    mixed = MixedSource([small, large], [1.0, 3.0])
    assert mixed.name == "25% balls, 75% balls"
    assert not mixed.has_points
    batch = mixed.batch(0, range(400), BatchRequest(1, 16, 0))
    assert batch.points is None
    assert batch.indices.tolist() == list(range(400))
    assert sorted(small.asked + large.asked) == list(range(400))
    assert len(small.asked) == pytest.approx(100, abs=30)
    assert_same(mixed.batch(0, [7, 8], REQUEST), join([mixed.batch(0, [index], REQUEST) for index in (7, 8)]))
    judged = mixed.validation(range(4), BatchRequest(1, 16, 0))
    assert judged.indices.tolist() == [0, 1, 2, 3]
    assert MixedSource([small], [2.0]).has_points
    for weights in ([1.0], [1.0, 0.0], []):
        with pytest.raises(ValueError, match="cannot have the weights"):
            MixedSource([small, large], weights)


def test_empty_folders_are_the_users_fault(tmp_path: Path) -> None:
    for source in (MeshSource, ShardSource):
        with pytest.raises(GtrError) as caught:
            source(tmp_path)
        assert caught.value.code is ErrorCode.BAD_INPUT
    (tmp_path / "broken.glb").write_bytes(b"no mesh")
    with pytest.raises(GtrError, match=r"broken\.glb"):
        MeshSource(tmp_path).batch(0, [0], REQUEST)


def test_cameras_stay_in_their_ranges() -> None:
    range_ = CameraRange(elevations=(-10, 50), standard=0.0, around=0.0)
    for seed in range(20):
        inputs, targets = range_.draw(4, 4, (16, 32), sample_generator(0, seed))
        for cameras, size in ((inputs, 16), (targets, 32)):
            assert (cameras.height, len(cameras)) == (size, 4)
            distance = cameras.positions.norm(dim=-1)
            elevation = torch.rad2deg(torch.asin(cameras.positions[:, 1] / distance))
            assert float(elevation.min()) > -10.001
            assert float(elevation.max()) < 50.001
            half = torch.atan(size / 2 / cameras.intrinsics[:, 0])
            radius = distance * torch.sin(half)
            assert float(radius.min()) > 0.999
            assert float(radius.max()) < 1.2501
    standard, _ = CameraRange(standard=1.0, around=1.0, shift=0.0).draw(4, 0, (16, 16), sample_generator(0, 0))
    assert torch.allclose(standard.positions.norm(dim=-1), torch.tensor(4.0))
    cosine = (standard.positions[:, [0, 2]] * standard.positions[:, [0, 2]].roll(1, 0)).sum(-1)
    assert float(cosine.abs().max()) < 1e-4, "neighbours stand at right angles"


def test_the_network_is_fed_in_training_as_in_use() -> None:
    batch = BallSource().batch(0, [0, 1], BatchRequest(3, 32, 0))
    fed = conditioning_of(batch.inputs)
    for index in range(2):
        views = Views(batch.inputs.rgba[index], batch.inputs.cameras(index))
        assert torch.equal(fed[index], conditioning(views, 32))


def test_pictures_that_do_not_fit_together_are_refused() -> None:
    good = BallSource().batch(0, [0], BatchRequest(2, 16, 0)).inputs
    with pytest.raises(ValueError, match="c2w"):
        PosedPictures(good.rgba, good.c2w[:, :1], good.intrinsics)
    with pytest.raises(ValueError, match="channels"):
        PosedPictures(good.rgba[..., :3], good.c2w, good.intrinsics)
