"""Decoding of pictures: what is read exactly, and every refusal."""

import contextlib
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.images import MAX_PIXELS, decode_image, encode_png


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=image_format, **options)
    return stream.getvalue()


def noise(channels: int, dtype: type = np.uint8, height: int = 48, width: int = 40) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, (height, width, channels), dtype, endpoint=True).squeeze()


def refused(data: bytes | Path, code: ErrorCode, index: int = 0) -> GtrError:
    with pytest.raises(GtrError) as caught:
        decode_image(data, index=index)
    assert caught.value.code is code
    assert caught.value.view == index
    return caught.value


@pytest.mark.parametrize("channels", [3, 4])
def test_png_is_read_bit_for_bit(channels: int) -> None:
    pixels = noise(channels)
    image = decode_image(encoded(Image.fromarray(pixels)))
    assert image.dtype == torch.float32
    assert torch.equal((image * 255).round().byte(), torch.from_numpy(pixels))


@pytest.mark.parametrize("channels", [3, 4])
def test_encoded_png_decodes_to_itself(channels: int) -> None:
    image = torch.from_numpy(noise(channels)).float() / 255
    assert torch.equal(decode_image(encode_png(image)), image)


def test_lossless_webp_with_alpha_is_read_bit_for_bit() -> None:
    pixels = noise(4)
    image = decode_image(encoded(Image.fromarray(pixels), "WEBP", lossless=True, exact=True))
    assert torch.equal((image * 255).round().byte(), torch.from_numpy(pixels))


def test_jpeg_is_close() -> None:
    ramp = np.repeat(np.linspace(0, 255, 64)[None, :, None], 64, 0).repeat(3, 2).astype(np.uint8)
    image = decode_image(encoded(Image.fromarray(ramp), "JPEG", quality=95))
    assert (image - torch.from_numpy(ramp) / 255).abs().max() < 0.02


def test_grey_becomes_three_equal_channels() -> None:
    grey = noise(1)
    image = decode_image(encoded(Image.fromarray(grey)))
    assert torch.equal((image * 255).round().byte(), torch.from_numpy(grey)[..., None].repeat(1, 1, 3))


def test_grey_with_alpha_keeps_its_alpha() -> None:
    pixels = noise(2)
    image = decode_image(encoded(Image.fromarray(pixels, "LA")))
    assert torch.equal((image[..., 3] * 255).round().byte(), torch.from_numpy(pixels[..., 1].copy()))


def test_sixteen_bit_grey_keeps_its_precision() -> None:
    grey = noise(1, np.uint16)
    image = decode_image(encoded(Image.fromarray(grey)))
    assert torch.allclose(image[..., 0], torch.from_numpy(grey.astype(np.float32)) / 65535, atol=1e-7)


def test_sixteen_bit_colour_is_scaled_not_cut() -> None:
    image = decode_image(png_rgb16(40, 36, (0xC8FF, 0x6400, 0x3280)))
    assert torch.equal((image * 255).round()[0, 0], torch.tensor([200.0, 100.0, 50.0]))


def png_rgb16(width: int, height: int, color: tuple[int, int, int]) -> bytes:
    row = b"\0" + b"".join(value.to_bytes(2, "big") for value in color) * width
    return png(width, height, row * height, depth=16, kind=2)


def png(width: int, height: int, raw: bytes, *, depth: int, kind: int, extra: bytes = b"") -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, kind, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(raw, 9))
        + chunk(b"IEND", b"")
    )


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def test_palette_is_resolved() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    decoded = decode_image(encoded(image))
    assert decoded.shape == (40, 40, 3)
    assert torch.equal((decoded * 255).round()[7, 9], torch.tensor([200.0, 100.0, 50.0]))


def test_palette_transparency_becomes_alpha() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.paste(0, (0, 0, 20, 40))
    decoded = decode_image(encoded(image, transparency=0))
    assert decoded.shape == (40, 40, 4)
    assert decoded[:, :20, 3].max() == 0
    assert decoded[:, 20:, 3].min() == 1


def test_cmyk_jpeg_becomes_rgb() -> None:
    decoded = decode_image(encoded(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG", quality=95))
    assert (decoded[5, 5] - torch.tensor([1.0, 0.0, 0.0])).abs().max() < 0.03


def test_colour_profile_is_ignored() -> None:
    pixels = noise(3)
    decoded = decode_image(encoded(Image.fromarray(pixels), icc_profile=b"no profile at all"))
    assert torch.equal((decoded * 255).round().byte(), torch.from_numpy(pixels))


def test_empty_file_is_corrupt() -> None:
    refused(b"", ErrorCode.IMAGE_CORRUPT)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("sixteenth", range(1, 16))
def test_cut_off_files_are_corrupt(image_format: str, sixteenth: int) -> None:
    whole = encoded(Image.fromarray(noise(3)), image_format)
    refused(whole[: len(whole) * sixteenth // 16], ErrorCode.IMAGE_CORRUPT)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_give_a_picture_or_a_typed_error(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(encoded(Image.fromarray(noise(4)), ["PNG", "WEBP"][seed % 2]))
    for place in random.integers(0, len(data), 4):
        data[place] = random.integers(0, 256)
    with contextlib.suppress(GtrError):  # any other error fails the test
        image = decode_image(bytes(data))
        assert image.min() >= 0
        assert image.max() <= 1


@pytest.mark.parametrize("image_format", ["GIF", "TIFF", "BMP", "PPM"])
def test_other_formats_are_refused_whatever_they_are_called(image_format: str, tmp_path: Path) -> None:
    path = tmp_path / "front.png"
    path.write_bytes(encoded(Image.fromarray(noise(3)), image_format))
    assert "front.png" in refused(path, ErrorCode.IMAGE_FORMAT, 2).message


def test_text_is_no_picture() -> None:
    refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>", ErrorCode.IMAGE_FORMAT)


@pytest.mark.parametrize("side", [13_000, 16_384])
def test_bombs_are_refused_by_their_header(side: int) -> None:
    data = png(side, side, b"", depth=8, kind=2)
    error = refused(data, ErrorCode.IMAGE_TOO_LARGE, 2)
    assert "Image 3" in error.message
    assert f"{MAX_PIXELS // 10**6} MP" in error.message


def test_largest_allowed_size_is_not_refused_for_its_size() -> None:
    # Its pixels are missing: past the size check it can only be corrupt.
    refused(png(8000, 8000, b"", depth=8, kind=2), ErrorCode.IMAGE_CORRUPT)


@pytest.mark.parametrize("size", [(1, 1), (16, 1), (31, 64), (64, 31)])
def test_small_pictures_are_refused_with_their_size(size: tuple[int, int]) -> None:
    error = refused(encoded(Image.new("RGB", size)), ErrorCode.IMAGE_TOO_SMALL)
    assert f"{size[0]} × {size[1]}" in error.message


def test_smallest_allowed_size_is_read() -> None:
    assert decode_image(encoded(Image.new("RGB", (32, 32)))).shape == (32, 32, 3)


def test_turned_picture_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(noise(3)), "JPEG", exif=exif.tobytes())
    assert "orientation 6" in refused(data, ErrorCode.IMAGE_FORMAT).message


def test_upright_mark_is_accepted() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    assert decode_image(encoded(Image.fromarray(noise(3)), "JPEG", exif=exif.tobytes())).shape == (48, 40, 3)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_animations_are_refused(image_format: str) -> None:
    frames = [Image.new("RGB", (40, 40), color) for color in ("red", "green", "blue")]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:])
    assert "3 frames" in refused(data, ErrorCode.IMAGE_FORMAT).message


def test_text_bomb_is_corrupt() -> None:
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(64 << 20), 9))
    refused(png(40, 40, bytes(41 * 40), depth=8, kind=0, extra=bomb), ErrorCode.IMAGE_CORRUPT)


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert "gone.png" in refused(tmp_path / "gone.png", ErrorCode.BAD_INPUT, 1).message
