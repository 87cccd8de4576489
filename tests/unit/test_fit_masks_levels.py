"""Trilinear enlargement by matrix products against torch's own, and what a step on the levels can move."""

import pytest
import torch
from torch.nn.functional import interpolate

from gtr_core.fit.levels import LevelsOfDetail, enlarged, interpolation_matrix


@pytest.mark.parametrize(("coarse", "fine"), [(6, 24), (12, 24), (5, 13), (2, 9)])
def test_enlarging_equals_interpolate_in_value_and_gradient(coarse: int, fine: int) -> None:
    values = torch.randn(coarse, coarse, coarse, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours = enlarged(values, interpolation_matrix(coarse, fine))
    theirs = interpolate(values[None, None], (fine,) * 3, mode="trilinear", align_corners=True)[0, 0]
    assert torch.allclose(ours, theirs, atol=1e-5)
    pull = torch.randn(fine, fine, fine, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad((grid * pull).sum(), values, retain_graph=True)[0] for grid in (ours, theirs)]
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


def test_levels_add_up_from_zero() -> None:
    levels = LevelsOfDetail(16)
    assert torch.equal(levels.values(), torch.zeros(16, 16, 16))
    with torch.no_grad():
        for grid, value in zip(levels.grids, (1.0, 20.0, 300.0), strict=True):
            grid.fill_(value)
    assert torch.allclose(levels.values(), torch.full((16, 16, 16), 321.0))
    levels.values().sum().backward()  # type: ignore[no-untyped-call]
    assert all(grid.grad is not None and float(grid.grad.sum()) == pytest.approx(16**3) for grid in levels.grids)
