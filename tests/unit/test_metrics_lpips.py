"""LPIPS against a slow implementation of the paper's equation 1, with weights made up here."""

import numpy as np
import pytest
import torch
from fake_lpips import fake_weights

from gtr_core.metrics.lpips import Lpips
from gtr_core.metrics.lpips_backbones import BACKBONES

SIZES = {"vgg": (16, 19), "alex": (31, 36), "squeeze": (17, 22)}


def pictures(count, size, seed, dtype=torch.float32):
    return torch.rand(count, *size, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def convolve(picture, weight, bias, stride, padding):
    """(C, H, W) by the definition of a convolution, then the rectifier."""
    picture = np.pad(picture, ((0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[-1]
    height, width = ((length - side) // stride + 1 for length in picture.shape[1:])
    result = np.empty((len(weight), height, width))
    for row in range(height):
        for column in range(width):
            part = picture[:, row * stride : row * stride + side, column * stride : column * stride + side]
            result[:, row, column] = (weight * part).sum((1, 2, 3)) + bias
    return result.clip(min=0)


def pool(picture, side, ceil):
    """Largest values of windows 2 apart."""
    height, width = (int(np.ceil((n - side) / 2) if ceil else np.floor((n - side) / 2)) + 1 for n in picture.shape[1:])
    rows = [
        [picture[:, 2 * row : 2 * row + side, 2 * column : 2 * column + side].max((1, 2)) for column in range(width)]
        for row in range(height)
    ]
    return np.array(rows).transpose(2, 0, 1)


def features(net, tensors, picture):
    """The networks as the papers and torchvision have them, spelled out once more."""
    scaled = (2 * picture - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]

    def conv(x, name, stride=1, padding=1):
        return convolve(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride, padding)

    def fire(x, index):
        squeezed = conv(x, f"features.{index}.squeeze", padding=0)
        one = conv(squeezed, f"features.{index}.expand1x1", padding=0)
        return np.concatenate([one, conv(squeezed, f"features.{index}.expand3x3")])

    x, found = scaled.transpose(2, 0, 1), []
    if net == "vgg":
        for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
            x = pool(x, 2, False) if found else x
            for index in block:
                x = conv(x, f"features.{index}")
            found.append(x)
    elif net == "alex":
        for index, stride, padding, pooled in ((0, 4, 2, 0), (3, 1, 2, 1), (6, 1, 1, 1), (8, 1, 1, 0), (10, 1, 1, 0)):
            x = conv(pool(x, 3, False) if pooled else x, f"features.{index}", stride, padding)
            found.append(x)
    else:
        x = conv(x, "features.0", 2, 0)
        found.append(x)
        for block in ((3, 4), (6, 7), (9,), (10,), (11,), (12,)):
            x = pool(x, 3, True) if len(block) == 2 or block == (9,) else x
            for index in block:
                x = fire(x, index)
            found.append(x)
    return found


def slow_lpips(net, tensors, a, b):
    total = 0.0
    for index, (x, y) in enumerate(zip(features(net, tensors, a), features(net, tensors, b), strict=True)):
        weight = tensors[f"lin{index}.model.1.weight"].ravel()
        pixels = []
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                u, v = x[:, row, column], y[:, row, column]
                u, v = u / max(np.linalg.norm(u), 1e-10), v / max(np.linalg.norm(v), 1e-10)
                pixels.append((weight * (u - v) ** 2).sum())
        total += np.mean(pixels)
    return total


@pytest.mark.parametrize("net", BACKBONES)
def test_against_a_slow_loop(net):
    tensors = fake_weights(net)
    image, truth = pictures(2, SIZES[net], 0), pictures(2, SIZES[net], 1)
    truth[1] = (image[1] + 0.05 * truth[1]).clamp(0, 1)
    doubles = {name: value.double().numpy() for name, value in tensors.items()}
    pairs = zip(image.double().numpy(), truth.double().numpy(), strict=True)
    expected = [slow_lpips(net, doubles, a, b) for a, b in pairs]
    assert Lpips(net, tensors)(image, truth).tolist() == pytest.approx(expected, rel=1e-4)
    assert Lpips(net, tensors).double()(image.double(), truth.double()).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("net", BACKBONES)
def test_equal_pictures_give_zero_others_more_and_order_does_not_matter(net):
    metric = Lpips(net, fake_weights(net))
    image, truth = pictures(1, SIZES[net], 0), pictures(1, SIZES[net], 1)
    assert float(metric(image, image)[0]) == 0
    there, back = float(metric(image, truth)[0]), float(metric(truth, image)[0])
    assert there > 0.01
    assert there == pytest.approx(back, rel=1e-5)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_gradient_is_that_of_finite_differences(net):
    metric = Lpips(net, fake_weights(net)).double()
    image, truth = (pictures(2, SIZES[net], seed, torch.float64) for seed in (0, 1))
    image.requires_grad_()
    distance = metric(image, truth)
    (gradient,) = torch.autograd.grad(distance.sum(), image)
    step, direction = 1e-6, torch.randn(image.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.no_grad():
        difference = (metric(image + step * direction, truth) - metric(image - step * direction, truth)).sum()
    assert float((gradient * direction).sum()) == pytest.approx(float(difference) / (2 * step), rel=1e-5)
    with torch.no_grad():
        assert torch.allclose(metric(image, truth), distance), "one by one as all at once"


def test_gradient_is_finite_where_all_features_vanish():
    tensors = {name: value - 1e3 * name.endswith("bias") for name, value in fake_weights("squeeze").items()}
    image = pictures(1, (32, 32), 0).requires_grad_()
    Lpips("squeeze", tensors)(image, pictures(1, (32, 32), 1)).sum().backward()
    assert bool(torch.isfinite(image.grad).all())
    assert float(Lpips("squeeze", tensors)(image.detach(), image.detach() + 0.1)[0]) == 0


def test_nothing_of_it_learns_or_is_stored():
    metric = Lpips("squeeze", fake_weights("squeeze"))
    assert list(metric.parameters()) == []
    assert metric.state_dict() == {}


@pytest.mark.parametrize("side", [32, 96])
def test_resizing_is_the_mean_over_areas_or_bilinear(side):
    tensors = fake_weights("squeeze")
    image, truth = pictures(1, (64, 64), 0), pictures(1, (64, 64), 1)
    as_is, resized = Lpips("squeeze", tensors), Lpips("squeeze", tensors, resize=side)
    by_hand = []
    for picture in (image, truth):
        if side == 32:
            by_hand.append(picture.view(1, 32, 2, 32, 2, 3).mean((2, 4)))
        else:
            options = {"mode": "bilinear", "align_corners": False}
            grown = torch.nn.functional.interpolate(picture.permute(0, 3, 1, 2), (96, 96), **options)
            by_hand.append(grown.permute(0, 2, 3, 1))
    assert resized(image, truth).tolist() == pytest.approx(as_is(*by_hand).tolist(), rel=1e-5)
    assert resized(image, truth).tolist() != pytest.approx(as_is(image, truth).tolist(), rel=1e-3)


@pytest.mark.parametrize("net", BACKBONES)
def test_the_smallest_picture_passes_and_a_smaller_one_is_refused(net):
    metric, smallest = Lpips(net, fake_weights(net)), BACKBONES[net].smallest
    assert bool(torch.isfinite(metric(pictures(1, (smallest, 60), 0), pictures(1, (smallest, 60), 1))).all())
    with pytest.raises(ValueError, match=f"at least {smallest} px"):
        metric(pictures(1, (60, smallest - 1), 0), pictures(1, (60, smallest - 1), 1))
    with pytest.raises(ValueError, match="cannot be compared"):
        metric(pictures(1, (60, 60), 0), pictures(2, (60, 60), 1))
