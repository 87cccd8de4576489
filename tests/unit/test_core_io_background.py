"""Background removal on pictures whose true alpha is known."""

import pytest
import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.io.background import Background, foreground

SIZE = 96
RED = torch.tensor([0.75, 0.15, 0.1])
GREEN = torch.tensor([0.1, 0.8, 0.2])
WHITE = torch.ones(3)


def disk(radius: float, center: tuple[float, float] = (SIZE / 2, SIZE / 2), samples: int = 8) -> Tensor:
    """(SIZE, SIZE) exact coverage of a disk up to the supersampling."""
    axis = (torch.arange(SIZE * samples) + 0.5) / samples
    inside = ((axis[:, None] - center[0]) ** 2 + (axis[None] - center[1]) ** 2 < radius**2).float()
    return inside.view(SIZE, samples, SIZE, samples).mean((1, 3))


def painted(alpha: Tensor, color: Tensor, key: Tensor) -> Tensor:
    return alpha[..., None] * color + (1 - alpha[..., None]) * key


def code_of(image: Tensor, background: Background, index: int = 0) -> ErrorCode:
    with pytest.raises(GtrError) as caught:
        foreground(image, background, index=index)
    assert caught.value.view == index
    return caught.value.code


@pytest.mark.parametrize("mode", ["auto", "alpha"])
def test_alpha_is_taken_as_it_is(mode: str) -> None:
    image = torch.rand(SIZE, SIZE, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(foreground(image, Background(mode)), image)


@pytest.mark.parametrize("key", [WHITE, GREEN, torch.zeros(3)])
@pytest.mark.parametrize("mode", ["auto", "key"])
def test_alpha_and_colour_come_back_from_a_plain_background(key: Tensor, mode: str) -> None:
    alpha = disk(30)
    result = foreground(painted(alpha, RED, key), Background(mode))
    assert (result[..., 3] - alpha).abs().max() < 0.02
    visible = result[..., 3] > 0.05
    assert (result[visible][:, :3] - RED).abs().max() < 0.02


def test_given_key_colour_is_removed_even_when_the_border_shows_another() -> None:
    alpha = disk(30)
    image = painted(alpha, RED, GREEN)
    image[:, :4] = torch.tensor([0.2, 0.2, 0.9])
    result = foreground(image, Background("key", (0.1, 0.8, 0.2)))
    assert (result[:, 8:, 3] - alpha[:, 8:]).abs().max() < 0.02
    assert result[40, 1, 3] == 1


def test_closed_hole_of_the_background_colour_stays_object() -> None:
    ring = disk(36) - disk(12)
    result = foreground(painted(ring, RED, WHITE), Background())
    assert result[SIZE // 2, SIZE // 2, 3] == 1
    assert result[2, 2, 3] == 0


def test_open_hole_is_removed() -> None:
    ring = disk(36) - disk(12)
    ring[: SIZE // 2, SIZE // 2 - 4 : SIZE // 2 + 4] = 0
    result = foreground(painted(ring, RED, WHITE), Background())
    assert result[SIZE // 2, SIZE // 2, 3] == 0


def test_object_at_the_border_does_not_change_the_key_colour() -> None:
    alpha = disk(40, (SIZE, SIZE / 2))
    result = foreground(painted(alpha, RED, WHITE), Background())
    assert (result[..., 3] - alpha).abs().max() < 0.02


def test_noise_within_the_tolerance_makes_no_specks() -> None:
    alpha = disk(30)
    noise = 0.02 * torch.randn(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(1))
    result = foreground((painted(alpha, RED, WHITE) + noise).clamp(0, 1), Background())
    assert (result[..., 3] - alpha).abs().mean() < 0.005
    assert result[disk(34) == 0][:, 3].max() == 0
    assert result[disk(26) == 1][:, 3].min() == 1


def test_tolerance_widens_what_is_removed() -> None:
    alpha, pale = disk(20), disk(36)
    image = painted(alpha, RED, WHITE)
    halo = (pale > 0.5) & (alpha == 0)
    image[halo] = 0.85
    narrow = foreground(image, Background(tolerance=0.1))[..., 3]
    wide = foreground(image, Background(tolerance=0.4))[..., 3]
    assert narrow[SIZE // 2, SIZE // 2 + 28] == 1
    assert wide[SIZE // 2, SIZE // 2 + 28] == 0


def test_hair_thin_lines_stay() -> None:
    image = WHITE.repeat(SIZE, SIZE, 1)
    image[:, 50] = 0
    result = foreground(image, Background("key", (1, 1, 1)))
    assert result[:, 50, 3].min() == 1
    assert result[:, [48, 52], 3].max() == 0


def test_key_mode_ignores_alpha_but_not_what_is_behind_it() -> None:
    alpha = disk(30)
    image = torch.cat([RED.repeat(SIZE, SIZE, 1), alpha[..., None]], -1)
    result = foreground(image, Background("key"))
    assert (result[..., 3] - alpha).abs().max() < 0.02


@pytest.mark.parametrize("channels", [3, 4])
def test_alpha_mode_needs_alpha(channels: int) -> None:
    assert code_of(torch.ones(SIZE, SIZE, channels), Background("alpha"), 2) is ErrorCode.NO_ALPHA


def test_picture_without_plain_background_is_refused() -> None:
    image = torch.rand(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(0))
    assert code_of(image, Background(), 1) is ErrorCode.NO_ALPHA


def test_fully_transparent_picture_is_empty() -> None:
    assert code_of(torch.zeros(SIZE, SIZE, 4), Background(), 3) is ErrorCode.EMPTY_MASK


def test_errors_call_the_picture_by_number_or_name() -> None:
    for options, name in (({"index": 2}, "image 3"), ({"name": "front.jpg"}, "front.jpg")):
        for background in (Background("alpha"), Background("key")):
            with pytest.raises(GtrError, match=name):
                foreground(torch.ones(SIZE, SIZE, 3), background, **options)


def test_picture_of_nothing_but_background_is_empty() -> None:
    assert code_of(torch.ones(SIZE, SIZE, 3), Background("key"), 1) is ErrorCode.EMPTY_MASK


@pytest.mark.parametrize(
    "arguments", [("blue",), ("key", (2, 0, 0)), ("key", (0, 0)), ("key", None, 0.0), ("key", None, 1.5)]
)
def test_impossible_backgrounds_are_refused(arguments: tuple) -> None:
    with pytest.raises(GtrError) as caught:
        Background(*arguments)
    assert caught.value.code is ErrorCode.BAD_INPUT


def lit_wall(kind: str) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    level = {"slope": 0.7 + 0.15 * y + 0.1 * x, "vignette": 0.9 - 0.1 * (x * x + y * y)}[kind]
    return level[..., None] * torch.tensor([1.0, 0.95, 0.9])


@pytest.mark.parametrize("kind", ["slope", "vignette"])
def test_unevenly_lit_wall_is_removed(kind: str) -> None:
    alpha = disk(30)
    wall = lit_wall(kind)
    assert (wall.amax((0, 1)) - wall.amin((0, 1))).norm() > 0.3  # far more than the tolerance
    result = foreground(painted(alpha, RED, wall), Background())
    assert (result[..., 3] - alpha).abs().max() < 0.03
    assert (result[result[..., 3] > 0.1][:, :3] - RED).abs().max() < 0.05


def test_object_over_half_of_the_border_of_an_uneven_wall() -> None:
    alpha = disk(48, (SIZE, SIZE / 2))
    result = foreground(painted(alpha, RED, lit_wall("slope")), Background())
    assert ((result[..., 3] > 0.5) != (alpha > 0.5)).float().mean() < 0.002


def test_given_key_colour_is_not_fitted_to_the_picture() -> None:
    wall = lit_wall("slope")
    middle = tuple(wall[SIZE // 2, SIZE // 2].tolist())
    result = foreground(painted(disk(20), RED, wall), Background("key", middle))
    assert result[1, 1, 3] == 1
