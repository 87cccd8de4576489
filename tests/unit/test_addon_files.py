"""Formats that the add-on reads without Blender: EXR, image headers, camera files."""

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_addon.errors import ClientError
from blender_addon.formats import camera_files, exr, picture_files
from gtr_core.geometry.cameras import camera_set
from gtr_core.io.background import Background
from gtr_core.io.views_files import read_views, write_views
from gtr_core.views import Views


def exr_file(channels: dict[str, np.ndarray], *, parts: int = 1, compression: int = 0, version: int = 2) -> bytes:
    """An OpenEXR file of scan lines, written from the format's description; channels dealt out to the parts."""
    names = sorted(channels)
    groups = [names[i::parts] for i in range(parts)]
    height, width = channels[names[0]].shape
    multipart = parts > 1

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return f"{name}\0{kind}\0".encode() + struct.pack("<I", len(data)) + data

    headers = b""
    for group in groups:
        kinds = [1 if channels[name].dtype == np.float16 else 2 for name in group]
        entries = [n.encode() + b"\0" + struct.pack("<iiii", k, 0, 1, 1) for n, k in zip(group, kinds, strict=True)]
        headers += attribute("channels", "chlist", b"".join(entries) + b"\0")
        headers += attribute("compression", "compression", bytes([compression]))
        headers += attribute("dataWindow", "box2i", struct.pack("<4i", 3, 5, width + 2, height + 4)) + b"\0"
    headers += b"\0" if multipart else b""
    start = 8 + len(headers) + 8 * height * len(groups)
    offsets, chunks = b"", b""
    for part, group in enumerate(groups):
        for row in range(height):
            line = b"".join(channels[name][row].tobytes() for name in group)
            offsets += struct.pack("<Q", start + len(chunks))
            chunks += (struct.pack("<i", part) if multipart else b"") + struct.pack("<ii", row + 5, len(line)) + line
    return struct.pack("<II", 20000630, version | (0x1000 if multipart else 0)) + headers + offsets + chunks


@pytest.mark.parametrize("parts", [1, 3])
def test_exr_round_trip(parts: int) -> None:
    rng = np.random.default_rng(0)
    wanted = {name: rng.normal(size=(7, 5)).astype(np.float32) for name in ("L.Depth.Z", "L.N.R", "L.N.G")}
    wanted["L.N.B"] = wanted["L.N.R"].astype(np.float16)
    found = exr.read_channels(exr_file(wanted, parts=parts))
    assert sorted(found) == sorted(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], values)


def test_exr_refuses_what_it_cannot_read() -> None:
    good = exr_file({"Z": np.zeros((4, 4), np.float32)})
    for data in (b"", b"PNG", good[:60], good[:-1], exr_file({"Z": np.zeros((4, 4), np.float32)}, compression=3)):
        with pytest.raises(ValueError, match=r"EXR|buffer"):
            exr.read_channels(data)
    with pytest.raises(ValueError, match="scan lines"):
        exr.read_channels(exr_file({"Z": np.zeros((4, 4), np.float32)}, version=2 | 0x200))


@pytest.mark.parametrize(("suffix", "options"), [
    (".png", {}), (".jpg", {}), (".jpg", {"progressive": True}), (".webp", {"lossless": True}), (".webp", {}),
])  # fmt: skip
def test_picture_sizes_are_what_pillow_says(tmp_path: Path, suffix: str, options: dict[str, bool]) -> None:
    path = tmp_path / f"a{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (37, 61, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    assert picture_files.read_picture(path) == (path.read_bytes(), 61, 37)


def test_webp_with_alpha_has_another_header(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 20), (1, 2, 3, 4)).save(tmp_path / "a.webp", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    assert picture_files.read_picture(tmp_path / "a.webp")[1:] == (300, 20)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF0000WEBPVP8X"])
def test_other_files_are_no_pictures(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ClientError) as caught:
        picture_files.read_picture(tmp_path / "a.png")
    assert (caught.value.code, caught.value.values) == ("bad_image", {"name": "a.png"})


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 3), (5, 3, 4)])
def test_png_writer(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = Image.open(io.BytesIO(picture_files.encode_png(pixels)))
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_cameras_are_the_cores(tmp_path: Path) -> None:
    import torch

    rng = torch.Generator().manual_seed(0)
    cameras = camera_set("sphere14", height=40, width=40)
    shape = (14, 40, 40)
    rgba = torch.ones(*shape, 4)
    rgba[:, :5] = 0
    normal = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=rng), dim=-1)
    write_views(Views(rgba, cameras, torch.full(shape, 4.0), normal), tmp_path)
    core = read_views(tmp_path, background=Background("alpha"))
    found = camera_files.read_cameras(tmp_path)
    for index, camera in enumerate(found):
        K = camera.intrinsics_for(40, 40)
        np.testing.assert_allclose(camera.world_to_camera, core.cameras.w2c[index].numpy(), atol=2e-6)
        np.testing.assert_allclose([K[0][0], K[1][1], K[0][2], K[1][2]], core.cameras.intrinsics[index], rtol=1e-6)
        assert core.normal is not None
        own = np.load(io.BytesIO(camera.normal_npy() or b""), allow_pickle=False)
        np.testing.assert_allclose(own, core.normal[index].numpy(), atol=1e-6)


def frame(**changes: object) -> dict[str, object]:
    pose = [[1, 0, 0, 0], [0, 0, -1, -4], [0, 1, 0, 0], [0, 0, 0, 1]]
    return {"file_path": "a", "transform_matrix": pose, "fl_x": 50, **changes}


@pytest.mark.parametrize(("document", "code"), [
    ("no json", "bad_input"), ({}, "bad_input"), ({"frames": []}, "bad_input"), ({"frames": [3]}, "bad_input"),
    ({"frames": [frame()], "world_up": "x"}, "bad_input"), ({"frames": [{}]}, "bad_input"),
    ({"frames": [{"file_path": "a"}]}, "camera_missing"), ({"frames": [frame(fl_x=None)]}, "camera_missing"),
    ({"frames": [frame(transform_matrix=[[0] * 4] * 4)]}, "camera_invalid"),
    ({"frames": [frame(transform_matrix=[[1, 2], [3, 4]])]}, "camera_invalid"),
    ({"frames": [frame(transform_matrix="pose")]}, "camera_invalid"),
    ({"frames": [frame(transform_matrix=np.diag([1, -1, 1, 1]).tolist())]}, "camera_invalid"),
    ({"frames": [frame(transform_matrix=np.diag([2, 2, 2, 1]).tolist())]}, "camera_invalid"),
    ({"frames": [frame(fl_x="wide")]}, "camera_invalid"), ({"frames": [frame(depth_file_path=3)]}, "bad_input"),
])  # fmt: skip
def test_bad_camera_files(tmp_path: Path, document: object, code: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(ClientError) as caught:
        camera_files.read_cameras(tmp_path)
    assert caught.value.code == code


def test_folder_without_cameras(tmp_path: Path) -> None:
    assert not camera_files.holds_cameras(tmp_path)
    with pytest.raises(ClientError) as caught:
        camera_files.read_cameras(tmp_path)
    assert caught.value.code == "camera_missing"


def test_intrinsics_follow_the_size_of_the_picture() -> None:
    camera = camera_files.FileCamera(Path("a.png"), [[100, 0, 50], [0, 100, 40], [0, 0, 1]], [], 100, 80)
    assert camera.intrinsics_for(200, 160) == [[200, 0, 100], [0, 200, 80], [0, 0, 1]]
    assert camera.intrinsics_for(80, 100) == camera.K, "size written the wrong way round"
