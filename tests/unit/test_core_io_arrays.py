"""The strict reader of bare arrays."""

import io
from pathlib import Path

import numpy as np
import pytest

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.arrays import read_npy, write_npy


def saved(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (4, 3), (2, 3, 4)])
def test_arrays_come_back_bit_for_bit(shape: tuple[int, ...], order: str) -> None:
    array = np.asarray(np.random.default_rng(0).normal(size=shape).astype(np.float32), order=order)
    again = read_npy(saved(array), np.float32, (None,) * len(shape))
    assert np.array_equal(again, array)
    assert again.flags.c_contiguous
    assert again.flags.writeable


def test_written_arrays_are_read(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2]
    (tmp_path / "a.npy").write_bytes(write_npy(array))
    assert np.array_equal(read_npy(tmp_path / "a.npy", np.int32, (3, 2)), array)


GOOD = saved(np.zeros((4, 3), np.float32))
HEADER = b"\x93NUMPY\x01\x00\x76\x00"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04" + bytes(64),
        GOOD[:60],
        GOOD[:-1],
        GOOD + b"\0",
        saved(np.zeros((4, 3), np.float64)),
        saved(np.zeros((4, 3), ">f4")),
        saved(np.zeros((4, 4), np.float32)),
        saved(np.zeros((4, 3, 1), np.float32)),
        saved(np.array([{}] * 12, dtype=object).reshape(4, 3), allow_pickle=True),
        GOOD.replace(b"(4, 3)", b"(-4,3)"),
        GOOD.replace(b"(4, 3)", b"(9**9)"),
        HEADER + b"__import__('os').system('true')".ljust(118),
        b"\x93NUMPY\x03\x00" + GOOD[8:],
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + GOOD[12:],
    ],
)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(GtrError) as caught:
        read_npy(data, np.float32, (None, 3))
    assert caught.value.code is ErrorCode.BAD_INPUT


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GtrError, match=r"gone\.npy"):
        read_npy(tmp_path / "gone.npy", np.float32, (None,))
