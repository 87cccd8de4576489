"""SSIM against the formula of Wang et al., window by window."""

import builtins

import numpy as np
import pytest
import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.metrics.ssim import SIGMA, WINDOW, ssim


def pictures(count, height, width, seed=0):
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_ssim(a, b):
    """Mean over all windows that fit, all channels: equation 13 with alpha = beta = gamma = 1."""
    offset = np.arange(WINDOW) - WINDOW // 2
    line = np.exp(-(offset**2) / (2 * SIGMA**2))
    weight = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for channel in range(3):
        for row in range(a.shape[0] - WINDOW + 1):
            for column in range(a.shape[1] - WINDOW + 1):
                part = slice(row, row + WINDOW), slice(column, column + WINDOW), channel
                x, y = a[part], b[part]
                mean_x, mean_y = (weight * x).sum(), (weight * y).sum()
                var_x, var_y = (weight * (x - mean_x) ** 2).sum(), (weight * (y - mean_y) ** 2).sum()
                both = (weight * (x - mean_x) * (y - mean_y)).sum()
                luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
                values.append(luminance * (2 * both + c2) / (var_x + var_y + c2))
    return np.mean(values)


def test_against_a_loop_over_windows():
    truth = pictures(2, 15, 18)
    image = (truth + 0.2 * (pictures(2, 15, 18, seed=1) - 0.5)).clamp(0, 1)
    image[1] = pictures(1, 15, 18, seed=2)[0]
    expected = [slow_ssim(a, b) for a, b in zip(image.numpy(), truth.numpy(), strict=True)]
    assert ssim(image, truth).tolist() == pytest.approx(expected, abs=1e-9)
    assert ssim(image.float(), truth.float()).tolist() == pytest.approx(expected, abs=1e-6)


def test_equal_pictures_give_one_and_known_constants_the_luminance_term():
    truth = pictures(1, 12, 12)
    assert float(ssim(truth, truth)[0]) == pytest.approx(1, abs=1e-12)
    dark, bright = torch.full((1, 20, 20, 3), 0.2), torch.full((1, 20, 20, 3), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert float(ssim(dark, bright)[0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shapes", [((1, 10, 20, 3),) * 2, ((1, 20, 20, 3), (2, 20, 20, 3)), ((20, 20, 3),) * 2])
def test_pictures_that_cannot_be_compared_are_refused(shapes):
    with pytest.raises(ValueError, match="cannot be compared"):
        ssim(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_without_the_library_it_says_how_to_install_it(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(GtrError, match=r"pip install 'gtr-for-blender\[evaluation\]'") as refused:
        ssim(torch.zeros(1, 16, 16, 3), torch.zeros(1, 16, 16, 3))
    assert refused.value.code is ErrorCode.BACKEND_UNAVAILABLE
