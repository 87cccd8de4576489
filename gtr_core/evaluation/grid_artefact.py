"""The grid that upsampling leaves in planes and pictures, as a number (paper section 3.1).

A triplane is upsampled from tokens. Whatever error the upsampler makes in the same way inside every token has the
period p of a token: in the spectrum along an axis it is a set of lines at the frequencies k / p (cycles per texel,
0 < k / p <= 1/2). What belongs to the object is spread over all frequencies, so a line is compared with its
neighbours.

An error can also be uneven inside every token without being the same: larger at the borders, say, with the sign of
whatever is drawn there. It has no lines itself, but its square has: ``measure_grid(error.square(), p)`` finds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_APART = 2
"""Bins beside a line that are neither line nor neighbour: a pattern whose strength varies slowly spills into them."""


@dataclass(frozen=True)
class GridArtefact:
    """How much of an error is periodic; means over both axes.

    Args:
        rms: root mean square of what stands out at the lines, in the units of the values; 0 when nothing does. An
            error that is exactly periodic along both axes, with mean zero along each, is measured exactly.
        contrast: power at the lines over the power that their neighbours let expect; about 1 when no line stands out,
            inf when there are lines and nothing else.
        share: power that stands out at the lines over the power of the whole error without its means, in [0, 1].
    """

    rms: float
    contrast: float
    share: float


@dataclass(frozen=True)
class Spectrum:
    """Mean power along one axis.

    Args:
        frequency: (F,) cycles per texel, 0 to 1/2.
        power: (F,) mean square of the part of the values with this frequency, both signs together. Without the first
            it adds up to the mean of the variances along the axis.
        lines: (L,) indices of the frequencies k / period.
        expected: (L,) power at the lines if they were like their neighbours: the geometric mean over the frequencies
            that are nearer to this line than to another one, and not right beside it.
    """

    frequency: Tensor
    power: Tensor
    lines: Tensor
    expected: Tensor


def measure_grid(values: Tensor, period: int) -> GridArtefact:
    """Find what is periodic along the axes of an error.

    Args:
        values: (..., H, W) planes or pictures minus the true ones. Smooth values may be given as they are when there
            is no truth: they have no lines of their own.
        period: texels or pixels of a token, at least 2.

    Raises:
        ValueError: when an axis holds too few periods, see :func:`line_spectrum`.
    """
    spectra = [line_spectrum(values, period, axis=axis) for axis in (-1, -2)]
    at = torch.cat([spectrum.power[spectrum.lines] for spectrum in spectra])
    expected = torch.cat([spectrum.expected for spectrum in spectra])
    excess = float((at - expected).clamp(min=0).sum())
    total = sum(float(spectrum.power[1:].sum()) for spectrum in spectra)
    found, usual = float(at.sum()), float(expected.sum())
    contrast = found / usual if usual > 0 else (math.inf if found > 0 else 1.0)
    return GridArtefact(math.sqrt(excess / 2), contrast, excess / total if total > 0 else 0.0)


def line_spectrum(values: Tensor, period: int, *, axis: int = -1) -> Spectrum:
    """The power spectrum along one axis, a mean over everything else.

    The axis is cut to whole periods, so that every k / period is a frequency of its own; there is no window, as it
    would widen the lines.

    Args:
        values: (..., H, W).
        period: of the tokens.
        axis: -1 along the rows, -2 along the columns.

    Raises:
        ValueError: when the axis holds less than six periods, too few to tell lines from their neighbours.
    """
    spacing = values.shape[axis] // period if period > 1 else 0
    if spacing <= 2 * _APART + 1:
        raise ValueError(f"{values.shape[axis]} texels hold too few periods of {period}")
    length = spacing * period
    rows = values.detach().double().movedim(axis, -1)[..., :length]
    power = (torch.fft.rfft(rows, dim=-1).abs() / length).square().reshape(-1, length // 2 + 1).mean(0)
    twice = torch.full_like(power, 2)  # the negative frequencies; the first and an even length's last have none
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    lines = torch.arange(spacing, len(power), spacing, device=power.device)
    expected = [_geometric_mean(power, int(line), spacing) * twice[line] for line in lines]
    frequency = torch.arange(len(power), device=power.device, dtype=torch.float64) / length
    return Spectrum(frequency, power * twice, lines, torch.stack(expected))


def _geometric_mean(power: Tensor, line: int, spacing: int) -> Tensor:
    """Of the power, one sign only, around a line."""
    reach = spacing // 2
    below = power[line - reach : line - _APART]
    above = power[line + _APART + 1 : line + reach + 1]
    return torch.cat([below, above]).log().mean().exp()
