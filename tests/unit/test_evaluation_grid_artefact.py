"""The measure of grid patterns on pictures whose periodic error is known."""

import math

import pytest
import torch
from torch.nn import functional

from gtr_core.evaluation.grid_artefact import line_spectrum, measure_grid

PERIOD, SIDE = 8, 128


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pattern(rms=1.0, period=PERIOD, side=SIDE, seed=3):
    """(side, side) of this period along both axes, mean zero along each, the same in all tokens."""
    token = noise(period, period, seed=seed)
    token = token - token.mean(0, keepdim=True)
    token = token - token.mean(1, keepdim=True)
    token = token / token.square().mean().sqrt() * rms
    count = -(-side // period)
    return token.repeat(count, count)[:side, :side]


def smooth(count=8, seed=1):
    """(count, SIDE, SIDE) fields of unit variance without anything finer than two tokens."""
    coarse = noise(count, 1, SIDE // (2 * PERIOD) + 3, SIDE // (2 * PERIOD) + 3, seed=seed)
    field = functional.interpolate(coarse, scale_factor=2 * PERIOD, mode="bicubic", align_corners=False)
    field = field[:, 0, PERIOD : PERIOD + SIDE, PERIOD : PERIOD + SIDE]
    return field / field.std()


@pytest.mark.parametrize("rms", [0.01, 3.0])
def test_a_periodic_error_is_measured_exactly(rms):
    found = measure_grid(pattern(rms), PERIOD)
    assert found.rms == pytest.approx(rms, rel=1e-9)
    assert found.share == pytest.approx(1, abs=1e-9)
    assert found.lines > 1e6


def test_a_checkerboard_has_one_line_at_half_a_cycle():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    spectrum = line_spectrum(board, 2)
    assert spectrum.frequency[spectrum.lines].tolist() == [0.5]
    assert float(spectrum.power[spectrum.lines]) == pytest.approx(1)
    assert measure_grid(board, 2).rms == pytest.approx(1)
    assert measure_grid(board, 2).lines == math.inf


def test_noise_has_no_lines():
    found = measure_grid(noise(16, SIDE, SIDE), PERIOD)
    assert found.lines == pytest.approx(1, abs=0.05)
    assert found.share < 0.005
    assert found.rms < 0.05


@pytest.mark.parametrize("rms", [0.1, 0.3])
def test_a_pattern_is_found_in_noise_and_on_smooth_content(rms):
    in_noise = measure_grid(noise(16, SIDE, SIDE) + pattern(rms), PERIOD)
    assert in_noise.rms == pytest.approx(rms, rel=0.1)
    noise_at_lines = (PERIOD - 1) / SIDE  # seven of 128 frequencies, the negative ones counted
    assert in_noise.lines == pytest.approx(1 + rms**2 / noise_at_lines, rel=0.05)
    on_content = measure_grid(smooth() + pattern(rms), PERIOD)
    assert on_content.rms == pytest.approx(rms, rel=0.1)
    assert on_content.lines > 10 * measure_grid(smooth(), PERIOD).lines


def test_smooth_content_is_no_grid():
    found = measure_grid(smooth(), PERIOD)
    assert found.lines < 1.5
    assert found.share < 1e-3


def test_another_period_is_not_found():
    values = noise(16, 168, 168) + pattern(0.3, period=7, side=168)
    assert measure_grid(values, 7).rms == pytest.approx(0.3, rel=0.1)
    assert measure_grid(values, 8).lines == pytest.approx(1, abs=0.1)


def test_axes_are_equal_and_a_pattern_along_one_counts_half():
    stripes = pattern()[:1].expand(SIDE, SIDE)
    assert measure_grid(stripes, PERIOD).rms == pytest.approx(measure_grid(stripes.T, PERIOD).rms)
    assert measure_grid(stripes, PERIOD).rms == pytest.approx(float(stripes.square().mean() / 2) ** 0.5)


def blocks():
    """Smooth fields drawn with one value for each token, and what is wrong about them."""
    truth = smooth()
    coarse = truth[..., PERIOD // 2 :: PERIOD, PERIOD // 2 :: PERIOD]
    drawn = coarse.repeat_interleave(PERIOD, -1).repeat_interleave(PERIOD, -2)
    return drawn, drawn - truth


def test_blocks_follow_the_content_so_they_are_images_and_seams_but_no_lines():
    drawn, error = blocks()
    found = measure_grid(error, PERIOD)
    assert found.lines < 2
    assert found.images > 10
    assert found.seams > 5
    assert measure_grid(drawn, PERIOD).seams == pytest.approx((SIDE - 1) / (SIDE // PERIOD - 1))


def test_a_checkerboard_that_follows_the_content_is_images_but_no_seams():
    board = (-1.0) ** (torch.arange(SIDE) + torch.arange(SIDE)[:, None])
    found = measure_grid(smooth() * board + 1e-3 * noise(8, SIDE, SIDE), PERIOD)
    assert found.images > 20
    assert found.seams == pytest.approx(1, abs=0.05)


def test_noise_and_smooth_content_have_neither_images_nor_seams():
    found = measure_grid(noise(16, SIDE, SIDE), PERIOD)
    assert found.images == pytest.approx(1, abs=0.03)
    assert found.seams == pytest.approx(1, abs=0.03)
    found = measure_grid(smooth(), PERIOD)
    assert found.images < 2
    assert found.seams == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("length", [96, 101, 72])
def test_power_adds_up_to_the_variance(length):
    values = noise(3, length, 5)
    spectrum = line_spectrum(values, PERIOD, axis=-2)
    whole = values[:, : length // PERIOD * PERIOD]
    variance = whole.var(dim=1, unbiased=False).mean()
    assert float(spectrum.power[1:].sum()) == pytest.approx(float(variance), rel=1e-9)
    assert float(spectrum.power[0]) == pytest.approx(float(whole.mean(1).square().mean()), rel=1e-9)
    assert spectrum.frequency[spectrum.lines].tolist() == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8])


def test_nothing_at_all_is_no_grid():
    found = measure_grid(torch.zeros(64, 64), PERIOD)
    assert (found.rms, found.share, found.lines, found.images, found.seams) == (0, 0, 1, 1, 1)


@pytest.mark.parametrize(("side", "period"), [(63, 8), (64, 1), (3, 8)])
def test_too_few_periods_are_refused(side, period):
    with pytest.raises(ValueError, match="too few periods"):
        measure_grid(torch.zeros(side, side), period)
