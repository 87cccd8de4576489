"""Reading and writing of posed pictures: every form, exact cameras, and every fault named."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from gtr_core.data.render_dataset import render_views
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.geometry.cameras import CAMERA_SETS, Cameras, camera_set, orbit
from gtr_core.geometry.mesh import Mesh
from gtr_core.io.arrays import write_npy
from gtr_core.io.background import Background
from gtr_core.io.images import encode_png
from gtr_core.io.nerf_transforms import OPENGL_FROM_OPENCV, Y_UP_FROM_Z_UP
from gtr_core.io.views_files import read_views, write_views
from gtr_core.views import Views

SIDE = 64


@pytest.fixture(scope="module")
def blob() -> Mesh:
    """A lopsided coloured body: no two of its views are alike."""
    body = trimesh.creation.icosphere(3)
    vertices = torch.tensor(body.vertices).float() * torch.tensor([0.7, 0.5, 0.35]) + torch.tensor([0.1, -0.1, 0.05])
    return Mesh(vertices, torch.tensor(body.faces), (vertices - vertices.amin(0)) / (2 * vertices.abs().max()))


@pytest.fixture(scope="module")
def views(blob: Mesh) -> Views:
    return render_views(blob, camera_set("zero123plus", height=SIDE, width=SIDE))


@pytest.fixture(scope="module")
def wide(blob: Mesh) -> Views:
    cameras = orbit([0, 100, 220], [10, -20, 40], height=40, width=64)
    intrinsics = cameras.intrinsics + torch.tensor([0.0, 3.0, 2.5, -1.5])
    return render_views(blob, Cameras(cameras.c2w, intrinsics, 40, 64))


def same_cameras(a: Cameras, b: Cameras, atol: float = 1e-6) -> None:
    assert (a.height, a.width) == (b.height, b.width)
    assert torch.allclose(a.c2w, b.c2w, atol=atol)
    assert torch.allclose(a.intrinsics, b.intrinsics, atol=1e-3, rtol=1e-6)


def same_up_to_8_bits(a: Views, b: Views) -> None:
    assert (a.rgba - b.rgba).abs().max() <= 0.5 / 255 + 1e-6


def refused(path: Path, code: ErrorCode, *words: str, **options: object) -> GtrError:
    with pytest.raises(GtrError) as caught:
        read_views(path, **options)
    assert caught.value.code is code, caught.value
    for word in words:
        assert word in str(caught.value)
    return caught.value


# --- transforms.json


def test_written_views_are_read_back(wide: Views, tmp_path: Path) -> None:
    write_views(wide, tmp_path / "new" / "folder")
    again = read_views(tmp_path / "new" / "folder")
    same_up_to_8_bits(again, wide)
    same_cameras(again.cameras, wide.cameras)
    assert torch.equal(again.depth, wide.depth)
    assert torch.equal(again.normal, wide.normal)


def test_reading_and_writing_again_changes_no_byte(wide: Views, tmp_path: Path) -> None:
    write_views(wide, tmp_path / "a")
    write_views(read_views(tmp_path / "a"), tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        if name != "transforms.json":
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.fixture
def nerf(views: Views, tmp_path: Path) -> Callable[..., Path]:
    """Writes the views as a Z-up NeRF data set; keywords replace keys of the document, None removes them."""

    def write(*, edit: Callable[[dict], None] = lambda _: None, extension: str = ".png", maps: bool = True) -> Path:
        (tmp_path / "train").mkdir(exist_ok=True)
        z_up = torch.eye(4)
        z_up[:3, :3] = Y_UP_FROM_Z_UP.T
        frames = []
        for k in range(len(views)):
            (tmp_path / f"train/r_{k}.png").write_bytes(encode_png(views.rgba[k]))
            frame = {
                "file_path": f"./train/r_{k}{extension}",
                "transform_matrix": (z_up @ views.cameras.c2w[k] * OPENGL_FROM_OPENCV).tolist(),
            }
            if maps:
                (tmp_path / f"train/d_{k}.npy").write_bytes(write_npy(views.depth[k].numpy()))
                (tmp_path / f"train/n_{k}.npy").write_bytes(write_npy((views.normal[k] @ Y_UP_FROM_Z_UP).numpy()))
                frame |= {"depth_file_path": f"train/d_{k}.npy", "normal_file_path": f"train/n_{k}.npy"}
            frames.append(frame)
        focal = float(views.cameras.intrinsics[0, 0])
        document = {"fl_x": focal, "fl_y": focal, "cx": SIDE / 2, "cy": SIDE / 2, "w": SIDE, "h": SIDE}
        document["frames"] = frames
        edit(document)
        (tmp_path / "transforms.json").write_text(json.dumps(document))
        return tmp_path

    return write


@pytest.mark.parametrize("extension", ["", ".png"])
def test_nerf_data_set_is_turned_to_y_up(nerf: Callable[..., Path], views: Views, extension: str) -> None:
    read = read_views(nerf(extension=extension))
    same_cameras(read.cameras, views.cameras)
    same_up_to_8_bits(read, views)
    assert torch.equal(read.depth, views.depth)
    assert torch.allclose(read.normal, views.normal, atol=1e-6)


def test_the_file_itself_may_be_named(nerf: Callable[..., Path], views: Views) -> None:
    same_cameras(read_views(nerf() / "transforms.json").cameras, views.cameras)


def test_field_of_view_instead_of_focal_length(nerf: Callable[..., Path], views: Views) -> None:
    def edit(document: dict) -> None:
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            del document[key]
        document["camera_angle_x"] = math.radians(30)

    same_cameras(read_views(nerf(edit=edit)).cameras, views.cameras)


def test_intrinsics_of_a_frame_win_over_those_of_the_file(nerf: Callable[..., Path]) -> None:
    read = read_views(nerf(edit=lambda document: document["frames"][2].update(fl_x=111.0, cy=20.0)))
    assert read.cameras.intrinsics[2].tolist()[::3] == [111.0, 20.0]
    assert read.cameras.intrinsics[1, 0] != 111.0


def test_intrinsics_for_another_resolution_are_scaled(nerf: Callable[..., Path], views: Views) -> None:
    def edit(document: dict) -> None:
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            document[key] *= 10

    same_cameras(read_views(nerf(edit=edit)).cameras, views.cameras)


def drop(*keys: str) -> Callable[[dict], None]:
    def edit(document: dict) -> None:
        for key in keys:
            del document[key]

    return edit


def change_frame(index: int, **values: object) -> Callable[[dict], None]:
    def edit(document: dict) -> None:
        for key, value in values.items():
            if value is None:
                del document["frames"][index][key]
            else:
                document["frames"][index][key] = value

    return edit


EYE = np.eye(4)
MIRROR = np.diag([-1.0, 1, 1, 1])
NAN = np.full((4, 4), np.nan)
FAULTS = {
    "no frames": (lambda d: d.update(frames=[]), ErrorCode.BAD_INPUT, ["transforms.json", "no frames"]),
    "unknown up": (lambda d: d.update(world_up="x"), ErrorCode.BAD_INPUT, ["world_up"]),
    "frame is a list": (lambda d: d["frames"].append([]), ErrorCode.BAD_INPUT, ["Frame 7"]),
    "no file name": (change_frame(2, file_path=None), ErrorCode.BAD_INPUT, ["Frame 3", "file_path"]),
    "no picture": (change_frame(2, file_path="train/gone"), ErrorCode.BAD_INPUT, ["train/gone", "frame 3"]),
    "no camera": (change_frame(4, transform_matrix=None), ErrorCode.CAMERA_MISSING, ["r_4.png"]),
    "3 x 4 camera": (change_frame(4, transform_matrix=EYE[:3].tolist()), ErrorCode.CAMERA_INVALID, ["3 x 4"]),
    "text camera": (change_frame(4, transform_matrix="eye"), ErrorCode.CAMERA_INVALID, ["r_4.png"]),
    "singular camera": (change_frame(4, transform_matrix=(0 * EYE).tolist()), ErrorCode.CAMERA_INVALID, ["r_4.png"]),
    "scaled camera": (change_frame(4, transform_matrix=(2 * EYE).tolist()), ErrorCode.CAMERA_INVALID, ["r_4.png"]),
    "mirrored camera": (change_frame(4, transform_matrix=MIRROR.tolist()), ErrorCode.CAMERA_INVALID, ["r_4.png"]),
    "nan camera": (change_frame(4, transform_matrix=NAN.tolist()), ErrorCode.CAMERA_INVALID, ["r_4.png"]),
    "no focal length": (drop("fl_x", "fl_y"), ErrorCode.CAMERA_MISSING, ["r_0.png", "focal length"]),
    "focal length 0": (change_frame(1, fl_x=0), ErrorCode.CAMERA_INVALID, ["r_1.png", "fl_x"]),
    "text focal length": (change_frame(1, fl_x="50mm"), ErrorCode.CAMERA_INVALID, ["r_1.png", "fl_x"]),
    "distorted": (change_frame(1, k1=0.2), ErrorCode.CAMERA_INVALID, ["r_1.png", "distortion", "k1"]),
    "one depth less": (change_frame(3, depth_file_path=None), ErrorCode.BAD_INPUT, ["r_3.png", "depth"]),
    "one normal less": (change_frame(3, normal_file_path=None), ErrorCode.BAD_INPUT, ["r_3.png", "normal"]),
    "depth gone": (change_frame(3, depth_file_path="gone.npy"), ErrorCode.BAD_INPUT, ["gone.npy"]),
    "depth is no array": (change_frame(3, depth_file_path="train/r_3.png"), ErrorCode.BAD_INPUT, ["r_3.png"]),
    "depth is normals": (change_frame(3, depth_file_path="train/n_3.npy"), ErrorCode.BAD_INPUT, ["n_3.npy", "any x"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_transforms_file_are_named(name: str, nerf: Callable[..., Path]) -> None:
    edit, code, words = FAULTS[name]
    refused(nerf(edit=edit), code, *words)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"frames": {}}', "\x00"])
def test_broken_json_is_refused(text: str, nerf: Callable[..., Path]) -> None:
    folder = nerf()
    (folder / "transforms.json").write_text(text)
    refused(folder, ErrorCode.BAD_INPUT, "transforms.json")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_impossible_depths_are_refused(value: float, nerf: Callable[..., Path]) -> None:
    folder = nerf()
    depth = np.ones((SIDE, SIDE), np.float32)
    depth[3, 4] = value
    (folder / "train/d_1.npy").write_bytes(write_npy(depth))
    refused(folder, ErrorCode.BAD_INPUT, "d_1.npy")


def test_pictures_of_other_sizes_are_resampled_with_their_cameras(
    nerf: Callable[..., Path], views: Views, blob: Mesh
) -> None:
    folder = nerf(edit=lambda document: [document.pop(key) for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")]
                  and document.update(camera_angle_x=math.radians(30)), maps=False)  # fmt: skip
    large = render_views(blob, camera_set("zero123plus", height=2 * SIDE, width=2 * SIDE)[[1]])
    (folder / "train/r_1.png").write_bytes(encode_png(large.rgba[0]))
    read = read_views(folder)
    same_cameras(read.cameras, views.cameras)
    premultiplied = [v.rgba[1, ..., :3] * v.rgba[1, ..., 3:] for v in (read, views)]
    assert (premultiplied[0] - premultiplied[1]).abs().mean() < 0.01
    assert (read.mask[1] - views.mask[1]).abs().mean() < 0.01
    # No dark or white rim: the colour of a half-covered pixel is still that of the object.
    rim = (read.mask[1] > 0.1) & (read.mask[1] < 0.9)
    inner = views.rgba[1][views.mask[1] > 0.99][:, :3]
    assert (read.rgba[1][rim][:, :3] <= inner.amax(0) + 0.06).all()


def test_size_resamples_everything(nerf: Callable[..., Path], views: Views) -> None:
    read = read_views(nerf(), size=SIDE // 2)
    same_cameras(read.cameras, views.cameras.resized(SIDE // 2, SIDE // 2))
    assert read.depth.shape == read.mask.shape == (6, SIDE // 2, SIDE // 2)
    # Nearest: no depth between surface and background appears.
    assert set(read.depth.unique().tolist()) <= set(views.depth.unique().tolist())


def test_pictures_of_other_proportions_are_stretched_with_their_cameras(blob: Mesh, tmp_path: Path) -> None:
    cameras = orbit([0, 120, 240], [0, 0, 0], height=64, width=64)
    write_views(render_views(blob, cameras), tmp_path)
    wide = render_views(blob, orbit([0], [0], height=64, width=128, fov_degrees=56.36))
    (tmp_path / "view_000.png").write_bytes(encode_png(wide.rgba[0]))
    document = json.loads((tmp_path / "transforms.json").read_text())
    fx, fy, cx, cy = wide.cameras.intrinsics[0].tolist()
    document["frames"][0] |= {"w": 128, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy}
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    read = read_views(tmp_path)
    # The surface points of the depth maps still fall onto the object in every picture.
    points = blob.vertices
    for k in range(3):
        u, v, _ = read.cameras.project(points)[k].T
        assert (read.mask[k][v.long(), u.long()] > 0).float().mean() > 0.98


def test_large_pictures_are_reduced_and_small_ones_stay(wide: Views, tmp_path: Path) -> None:
    write_views(wide, tmp_path)
    same_cameras(read_views(tmp_path, max_size=32).cameras, wide.cameras.resized(20, 32))
    same_cameras(read_views(tmp_path, max_size=65).cameras, wide.cameras)
    same_cameras(read_views(tmp_path, max_size=33, size=48).cameras, wide.cameras.resized(30, 48))


def test_all_pictures_together_have_a_limit(views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gtr_core.io import posed_image

    monkeypatch.setattr(posed_image, "MAX_TOTAL_PIXELS", 4 * SIDE * SIDE)
    write_views(Views(views.rgba, views.cameras), tmp_path)
    assert refused(tmp_path, ErrorCode.IMAGE_TOO_LARGE, "first 5 pictures").view == 4
    assert len(read_views(tmp_path, size=SIDE // 2)) == len(views)


# --- rgb_*.png with cam_*.txt


def write_camera_text(views: Views, folder: Path, *, swapped: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    for k in range(len(views)):
        (folder / f"rgb_{k:03d}.png").write_bytes(encode_png(views.rgba[k]))
        rows = ["".join(f"{value:f} " for value in row) for row in views.cameras.w2c[k, :3].tolist()]
        size = [views.cameras.height, views.cameras.width]
        numbers = [f"{value:f}" for value in views.cameras.intrinsics[k].tolist()]
        numbers += [str(s) for s in (size[::-1] if swapped else size)]
        lines = ["extrinsic", *rows, "0 0 0 1", "", "intrinsic fx, fy, cx, cy, height, width ", " ".join(numbers)]
        # The eight lines of the format: the label and the numbers of the intrinsics are lines 7 and 8.
        (folder / f"cam_{k:03d}.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("swapped", [False, True])
def test_camera_text_is_read(wide: Views, tmp_path: Path, swapped: bool) -> None:
    folder = tmp_path / "rgb_scene.png"  # a folder name that looks like a picture's must not matter
    write_camera_text(wide, folder, swapped=swapped)
    (folder / "preview.png").write_bytes(b"not a view")
    read = read_views(folder)
    same_up_to_8_bits(read, wide)
    same_cameras(read.cameras, wide.cameras, atol=1e-5)


def test_reference_camera_of_zero123plus(views: Views, tmp_path: Path) -> None:
    write_camera_text(views, tmp_path)
    expected = [[0.866025, 0.171010, -0.469846, 1.879385], [0.0, -0.939693, -0.342020, 1.368081],
                [-0.5, 0.296198, -0.813798, 3.255191], [0.0, 0.0, 0.0, 1.0]]  # fmt: skip
    assert torch.allclose(read_views(tmp_path).cameras.c2w[0], torch.tensor(expected), atol=1e-5)


def test_picture_without_camera_file_is_named(views: Views, tmp_path: Path) -> None:
    write_camera_text(views, tmp_path)
    (tmp_path / "cam_002.txt").unlink()
    assert refused(tmp_path, ErrorCode.CAMERA_MISSING, "rgb_002.png", "cam_002.txt").view == 2


def test_camera_file_without_picture_is_named(views: Views, tmp_path: Path) -> None:
    write_camera_text(views, tmp_path)
    (tmp_path / "rgb_002.png").unlink()
    refused(tmp_path, ErrorCode.BAD_INPUT, "cam_002.txt", "rgb_002.png")


def set_line(number: int, line: str) -> Callable[[list[str]], None]:
    return lambda lines: lines.__setitem__(number, line)


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: lines.clear(),
        lambda lines: lines.pop(),
        set_line(1, "1 0 0"),
        set_line(1, "one 0 0 0"),
        set_line(1, "0 0 0 0"),
        set_line(1, "nan 0 0 0"),
        set_line(7, "1 2 3"),
        set_line(7, "0 0 24 24 48 48"),
        set_line(7, "50 50 24 24 0 0"),
    ],
)
def test_broken_camera_files_are_named(views: Views, tmp_path: Path, edit: Callable[[list[str]], object]) -> None:
    write_camera_text(views, tmp_path)
    lines = (tmp_path / "cam_003.txt").read_text().split("\n")
    edit(lines)
    (tmp_path / "cam_003.txt").write_text("\n".join(lines))
    error = refused(tmp_path, ErrorCode.CAMERA_INVALID, "_003.")
    assert error.view == 3


# --- grid


def grid_of(views: Views) -> torch.Tensor:
    tiles = views.rgba.unflatten(0, (3, 2))
    return torch.cat([torch.cat(list(row), 1) for row in tiles], 0)


def test_grid_is_cut_row_by_row(views: Views, tmp_path: Path) -> None:
    (tmp_path / "grid.png").write_bytes(encode_png(grid_of(views)))
    for path in (tmp_path / "grid.png", tmp_path):
        read = read_views(path)
        same_up_to_8_bits(read, views)
        same_cameras(read.cameras, views.cameras)


def test_grid_without_alpha_gets_its_masks(views: Views, tmp_path: Path) -> None:
    grid = grid_of(views)
    grey = grid[..., :3] * grid[..., 3:] + 0.5 * (1 - grid[..., 3:])
    (tmp_path / "grid.png").write_bytes(encode_png(grey))
    read = read_views(tmp_path / "grid.png")
    assert (read.mask - views.mask).abs().mean() < 0.02


@pytest.mark.parametrize("size", [(96, 96), (143, 96), (144, 98)])
def test_other_pictures_are_no_grid(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(encode_png(torch.ones(*size, 4)))
    refused(tmp_path / "one.png", ErrorCode.BAD_INPUT, f"{size[1]} × {size[0]}")


def test_tiny_grid_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(encode_png(torch.ones(93, 62, 4)))
    refused(tmp_path / "one.png", ErrorCode.IMAGE_TOO_SMALL, "31 × 31")


def test_grid_with_another_camera_set_is_refused(views: Views, tmp_path: Path) -> None:
    (tmp_path / "grid.png").write_bytes(encode_png(grid_of(views)))
    refused(tmp_path / "grid.png", ErrorCode.CAMERA_MISSING, "orthogonal", cameras="orthogonal")


# --- loose pictures


def write_loose(blob: Mesh, folder: Path, camera_set_name: str, names: list[str]) -> Views:
    views = render_views(blob, camera_set(camera_set_name, height=SIDE, width=SIDE))
    for k, name in enumerate(names):
        (folder / name).write_bytes(encode_png(views.rgba[k]))
    return views


ORDERS = {
    "by name": ["mug-front.png", "Mug Right.png", "mug_BACK.png", "left.png"],
    "by order": ["2.png", "10.png", "11.png", "100.png"],
    "a name twice": ["a front.png", "b front.png", "c front.png", "d front.png"],
}


@pytest.mark.parametrize("order", ORDERS)
def test_four_pictures_are_front_right_back_left(order: str, blob: Mesh, tmp_path: Path) -> None:
    views = write_loose(blob, tmp_path, "orthogonal", ORDERS[order])
    (tmp_path / "notes.txt").write_text("no picture")
    read = read_views(tmp_path)
    same_cameras(read.cameras, views.cameras)
    same_up_to_8_bits(read, views)


def test_names_tell_the_set_of_six(blob: Mesh, tmp_path: Path) -> None:
    names = [f"{name.lower()}.webp.png" for name, _, _ in CAMERA_SETS["sphere6"]]
    views = write_loose(blob, tmp_path, "sphere6", names)
    read = read_views(tmp_path)
    assert {tuple(p) for p in read.cameras.positions.round(decimals=3).tolist()} == {
        tuple(p) for p in views.cameras.positions.round(decimals=3).tolist()
    }


def test_three_named_views_are_enough(blob: Mesh, tmp_path: Path) -> None:
    write_loose(blob, tmp_path, "orthogonal", ["front.png", "right.png", "back.png"])
    assert len(read_views(tmp_path)) == 3


def test_a_set_by_name_follows_the_order(views: Views, tmp_path: Path) -> None:
    for k in range(6):
        (tmp_path / f"{k}.png").write_bytes(encode_png(views.rgba[k]))
    read = read_views(tmp_path, cameras="zero123plus")
    same_cameras(read.cameras, views.cameras)
    same_up_to_8_bits(read, views)


def test_number_of_pictures_must_fit_the_set(blob: Mesh, tmp_path: Path) -> None:
    write_loose(blob, tmp_path, "zero123plus", ["1.png", "2.png", "3.png"])
    refused(tmp_path, ErrorCode.CAMERA_MISSING, "3 pictures")
    refused(tmp_path, ErrorCode.CAMERA_MISSING, "4 cameras", "3 pictures", cameras="orthogonal")


def test_six_unnamed_pictures_need_a_set(blob: Mesh, tmp_path: Path) -> None:
    write_loose(blob, tmp_path, "zero123plus", [f"{k}.png" for k in range(6)])
    refused(tmp_path, ErrorCode.CAMERA_MISSING, "zero123plus", "sphere6")


def test_unknown_camera_set_lists_the_sets(blob: Mesh, tmp_path: Path) -> None:
    write_loose(blob, tmp_path, "orthogonal", ["1.png", "2.png", "3.png", "4.png"])
    refused(tmp_path, ErrorCode.CAMERA_MISSING, "stereo", "orthogonal", cameras="stereo")


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "gone", ErrorCode.BAD_INPUT, "gone")
    refused(tmp_path, ErrorCode.TOO_FEW_VIEWS, "no pictures")


def test_empty_picture_is_named(blob: Mesh, tmp_path: Path) -> None:
    write_loose(blob, tmp_path, "orthogonal", ["1.png", "2.png", "3.png", "4.png"])
    (tmp_path / "3.png").write_bytes(encode_png(torch.zeros(SIDE, SIDE, 4)))
    assert refused(tmp_path, ErrorCode.EMPTY_MASK, "3.png").view == 2


def test_alpha_mode_refuses_pictures_without(blob: Mesh, tmp_path: Path) -> None:
    write_loose(blob, tmp_path, "orthogonal", ["1.png", "2.png", "3.png", "4.png"])
    (tmp_path / "2.png").write_bytes(encode_png(torch.rand(SIDE, SIDE, 3)))
    refused(tmp_path, ErrorCode.NO_ALPHA, "2.png", background=Background("alpha"))


def test_views_are_not_written_where_no_folder_can_be(views: Views, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GtrError) as caught:
        write_views(views, tmp_path / "file")
    assert caught.value.code is ErrorCode.BAD_INPUT
