"""Hostile and broken result files are refused with a reason, before they cost anything."""

import io
import resource
import struct
import zipfile

import numpy as np
import pytest
from fake_gtr_server import grey_png, npz, tetrahedron

from blender_addon.errors import ClientError
from blender_addon.messages import failure
from blender_addon.results import check_mask, read_colors, read_mesh


def reason(data: bytes, read=read_mesh) -> str:
    with pytest.raises(ClientError) as caught:
        read(data)
    assert caught.value.code == "bad_reply"
    return failure(caught.value).text


def with_member(name: str, raw: bytes, **changes) -> bytes:
    """A mesh.npz in which one member is replaced by these bytes."""
    file = io.BytesIO()
    arrays = tetrahedron()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{key}.npy", raw if key == name else buffer.getvalue())
    return file.getvalue()


def npy(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_good_mesh_comes_through_bit_for_bit() -> None:
    wanted = tetrahedron()
    mesh = read_mesh(npz(**wanted))
    for name, array in wanted.items():
        found = getattr(mesh, name)
        assert found.dtype == array.dtype
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, array)


def test_fortran_order_is_read_and_made_contiguous() -> None:
    arrays = tetrahedron()
    arrays["vertices"] = np.asfortranarray(arrays["vertices"])
    mesh = read_mesh(npz(**arrays))
    assert mesh.vertices.flags.c_contiguous
    np.testing.assert_array_equal(mesh.vertices, arrays["vertices"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vertices": np.zeros((4, 3))}, "type float64"),
        ({"faces": np.zeros((4, 3), np.int64)}, "type int64"),
        ({"colors": np.zeros((4, 4), np.uint8)}, "shape (4, 4)"),
        ({"vertices": np.zeros(12, np.float32)}, "shape (12,)"),
        ({"colors": np.zeros((5, 3), np.uint8)}, "5 colours for 4 vertices"),
        ({"faces": np.zeros((0, 3), np.int32)}, "empty"),
        ({"faces": np.array([[0, 1, 4]], np.int32)}, "does not exist"),
        ({"faces": np.array([[0, 1, -1]], np.int32)}, "does not exist"),
        ({"vertices": np.full((4, 3), np.nan, np.float32)}, "not finite"),
        ({"vertices": np.full((4, 3), np.inf, np.float32)}, "not finite"),
        ({"extra": np.zeros(3)}, "other members"),
    ],
)
def test_wrong_arrays(change: dict, words: str) -> None:
    assert words in reason(npz(**{**tetrahedron(), **change}))


def test_missing_member() -> None:
    arrays = tetrahedron()
    del arrays["colors"]
    assert "other members" in reason(npz(**arrays))


def test_pickles_are_never_loaded() -> None:
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    raw = npy(np.array([[Bomb()] * 3], dtype=object), allow_pickle=True)
    assert "type object" in reason(with_member("vertices", raw))


@pytest.mark.parametrize("data", [b"", b"<html>", b"PK\x03\x04", npz(**tetrahedron())[:-30]])
def test_not_an_npz(data: bytes) -> None:
    assert "npz" in reason(data)


@pytest.mark.parametrize("cut", range(0, len(npz(**tetrahedron())), 61))
def test_every_truncation_is_refused(cut: int) -> None:
    reason(npz(**tetrahedron())[:cut])


def test_zip_bomb_is_refused_without_inflating_it() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        zeros = bytes(1 << 20)
        for name in ("colors", "faces", "vertices"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for _ in range(64 if name == "colors" else 1):
                    member.write(zeros)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "would have" in reason(file.getvalue(), read=lambda data: read_mesh(data))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB


def test_member_that_is_longer_than_the_directory_says() -> None:
    data = bytearray(npz(**tetrahedron()))
    at = data.rindex(b"PK\x01\x02")
    (size,) = struct.unpack_from("<I", data, at + 24)
    struct.pack_into("<I", data, at + 24, size - 6)
    reason(bytes(data))


def test_array_shorter_than_its_shape() -> None:
    raw = npy(np.zeros((4, 3), np.float32))[:-4]
    assert "another length" in reason(with_member("vertices", raw))


def test_colors_are_counted() -> None:
    colors = np.arange(12, dtype=np.uint8).reshape(4, 3)
    np.testing.assert_array_equal(read_colors(npz(colors=colors), 4), colors)
    assert "4 colours for 5 points" in reason(npz(colors=colors), read=lambda data: read_colors(data, 5))


def test_masks_must_be_grey_png() -> None:
    good = grey_png(4, 3)
    assert check_mask(good) == good
    colour = bytearray(good)
    colour[25] = 2
    assert "grey" in reason(bytes(colour), read=check_mask)
    huge = bytearray(good)
    huge[16:24] = struct.pack(">II", 1 << 20, 1 << 20)
    assert "sensible" in reason(bytes(huge), read=check_mask)
    assert "PNG" in reason(b"GIF89a", read=check_mask)
