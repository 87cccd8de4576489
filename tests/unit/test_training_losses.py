"""The terms of the losses, against their definitions."""

from pathlib import Path

import pytest
import torch
from fake_lpips import write_fake_weights
from torch.nn.functional import avg_pool2d

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.metrics.ssim import ssim
from gtr_core.training.losses import (
    LossTerms,
    depth_loss,
    gradient_loss,
    mean_squared,
    normal_loss,
    opacity_loss,
    ssim_loss,
    tsdf_loss,
)
from gtr_core.training.perceptual import Perceptual, PerceptualWeights, describe, load_lpips
from gtr_core.training.ssim import differentiable_ssim


def pictures(count: int = 2, side: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand((count, 3, side, side), generator=generator)
    truth = avg_pool2d(truth, 5, stride=1, padding=2)
    image = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(0, 1)
    return image.movedim(1, -1), truth.movedim(1, -1)


def test_ssim_is_the_metric_and_can_be_followed() -> None:
    image, truth = pictures()
    assert torch.allclose(differentiable_ssim(image, truth).double(), ssim(image, truth), atol=1e-5)
    assert torch.allclose(differentiable_ssim(truth, truth), torch.ones(2))
    moving = image.double().requires_grad_(True)
    ssim_loss(moving, truth.double()).backward()
    assert moving.grad is not None
    better = image - 0.1 * moving.grad.float() / moving.grad.abs().max()
    assert float(ssim_loss(better, truth)) < float(ssim_loss(image, truth))


def test_gradient_loss_sees_steps_and_not_levels() -> None:
    image, truth = pictures()
    assert float(gradient_loss(truth + 0.3, truth)) == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 4, 4, 3)
    step[:, :, 2:] = 1
    assert float(gradient_loss(step, torch.zeros_like(step))) == pytest.approx(1 / 3)
    assert float(gradient_loss(image, truth)) > 0


def test_depth_counts_where_both_show_a_surface_and_is_a_mean_over_all_pixels() -> None:
    truth = torch.tensor([[[4.0, 4.0], [0.0, 3.0]]])
    depth = torch.tensor([[[4.5, 0.0], [2.0, 3.0]]], requires_grad=True)
    loss = depth_loss(depth, truth)
    assert loss.item() == pytest.approx(0.25 / 4)
    loss.backward()
    assert depth.grad is not None
    assert (depth.grad != 0).nonzero().tolist() == [[0, 0, 0]]


def test_normals_that_agree_cost_nothing_and_opposite_ones_two() -> None:
    up = torch.tensor([0.0, 1, 0]).expand(1, 2, 2, 3).clone()
    assert float(normal_loss(up, up)) == pytest.approx(0, abs=1e-6)
    assert float(normal_loss(-up, up)) == pytest.approx(2)
    up[0, 0] = 0
    assert float(normal_loss(-up, up)) == pytest.approx(1)


def test_the_signed_distance_is_cut_off_and_turned_into_a_raw_density() -> None:
    distance = torch.tensor([-0.5, -0.05, 0.0, 0.05, 0.5])
    assert float(tsdf_loss(torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0]), distance, 0.1)) == pytest.approx(0)
    assert float(tsdf_loss(torch.tensor([2.0, 0.5, 0.0, -0.5, -1.0]), distance, 0.1)) > 0.1


def test_opacity_of_empty_space_is_nothing_and_of_matter_nearly_one() -> None:
    assert float(opacity_loss(torch.zeros(5), 0.01)) == 0
    assert float(opacity_loss(torch.full((5,), 1e4), 0.01)) == pytest.approx(1)
    small = torch.full((3,), 1e-3)
    assert float(opacity_loss(small, 0.01)) == pytest.approx(1e-5, rel=1e-3), "linear where it is small"


def test_terms_add_up_with_their_weights_and_are_told_without() -> None:
    terms = LossTerms(torch.zeros(1))
    value = torch.tensor(2.0, requires_grad=True)
    terms.add("a", value, 3.0)
    terms.add("b", value * 5, 0.0)
    assert terms.total.item() == 6
    assert {name: float(term) for name, term in terms.values.items()} == {"a": 2, "b": 10}
    terms.total.backward()
    assert value.grad is not None
    assert value.grad.item() == 3


def test_nothing_is_called_lpips_without_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.hub.set_dir(str(tmp_path / "hub"))
    lpips = load_lpips()
    assert lpips is None
    assert "SSIM" in describe(lpips)
    image, truth = pictures()
    terms = LossTerms(image)
    Perceptual(PerceptualWeights(ssim=0.2, gradient=0.3), None)(image, truth, terms, 0.5)
    assert set(terms.values) == {"ssim", "gradient"}
    expected = 0.2 * ssim_loss(image, truth) + 0.3 * gradient_loss(image, truth)
    assert terms.total.item() == pytest.approx(float(expected), rel=1e-5)


def test_lpips_is_taken_from_files_and_weighs_as_the_paper_says(tmp_path: Path) -> None:
    backbone, linear = write_fake_weights("vgg", tmp_path)
    lpips = load_lpips(backbone, linear)
    assert lpips is not None
    assert describe(lpips) == "LPIPS (vgg)"
    lpips.resize = 32
    image, truth = pictures(1)
    image.requires_grad_(True)
    terms = LossTerms(image)
    Perceptual(PerceptualWeights(starts_at=0.25), lpips)(image, truth, terms, 0.2)
    assert not terms.values, "not before its time"
    Perceptual(PerceptualWeights(), lpips)(image, truth, terms, 0.2)
    assert set(terms.values) == {"lpips"}
    assert terms.total.item() == pytest.approx(0.5 * float(lpips(image.detach(), truth).mean()), rel=1e-5)
    terms.total.backward()
    assert image.grad is not None
    assert float(image.grad.abs().max()) > 0


def test_a_named_file_of_lpips_weights_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(GtrError) as caught:
        load_lpips(tmp_path / "missing.pth")
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_squared_error_is_a_mean() -> None:
    assert float(mean_squared(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]))) == 2.5
