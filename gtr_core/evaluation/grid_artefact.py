"""The grid that upsampling leaves in planes and pictures, as numbers (paper section 3.1).

A triplane is upsampled from tokens of p x p texels. Three traces of that can be told from the object itself:

- An error that is the same in every token has the period p. In the spectrum along an axis it is a set of *lines* at
  the frequencies k / p (cycles per texel, 0 < k / p <= 1/2), while the object is spread over all frequencies.
- An error that changes from token to token with what is drawn there (blocks, checkerboards) has *images* instead:
  copies of the slowly varying content beside every k / p, as sampling theory calls them.
- Where tokens are drawn apart from each other there are *seams*: steps across their borders.
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
    """How much of an error is a grid; means over both axes.

    Args:
        rms: root mean square of what stands out at the lines, in the units of the values; 0 when nothing does. An
            error that is exactly periodic along both axes, with mean zero along each, is measured exactly.
        share: power that stands out at the lines over the power of the whole error without its means, in [0, 1].
        lines: power at the lines over what their neighbours let expect; about 1 without a grid, inf when there is
            nothing else.
        images: mean power nearer than 1 / (4 p) to a line over the (geometric) mean power farther from it; about 1
            without a grid, inf when there is nothing else.
        seams: mean square of the steps between neighbouring texels of different tokens over that of all steps; 1
            without a grid, about p when all steps are at borders.
    """

    rms: float
    share: float
    lines: float
    images: float
    seams: float


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
        near: (L,) mean power nearer than a quarter of the lines' distance, per frequency of one sign.
        far: (L,) geometric mean of the power from there to half of the distance, likewise.
    """

    frequency: Tensor
    power: Tensor
    lines: Tensor
    expected: Tensor
    near: Tensor
    far: Tensor


def measure_grid(values: Tensor, period: int) -> GridArtefact:
    """Find the traces of tokens in an error.

    Args:
        values: (..., H, W) planes or pictures minus the true ones; tokens begin at the first texel. Smooth values may
            be given as they are when there is no truth: they have no traces of their own.
        period: texels or pixels of a token, at least 2.

    Raises:
        ValueError: when an axis holds too few periods, see :func:`line_spectrum`.
    """
    spectra = [line_spectrum(values, period, axis=axis) for axis in (-1, -2)]
    at = torch.cat([spectrum.power[spectrum.lines] for spectrum in spectra])
    expected = torch.cat([spectrum.expected for spectrum in spectra])
    excess = float((at - expected).clamp(min=0).sum())
    total = sum(float(spectrum.power[1:].sum()) for spectrum in spectra)
    near = sum(float(spectrum.near.sum()) for spectrum in spectra)
    far = sum(float(spectrum.far.sum()) for spectrum in spectra)
    return GridArtefact(
        rms=math.sqrt(excess / 2),
        share=excess / total if total > 0 else 0.0,
        lines=_ratio(float(at.sum()), float(expected.sum())),
        images=_ratio(near, far),
        seams=_seams(values, period),
    )


def line_spectrum(values: Tensor, period: int, *, axis: int = -1) -> Spectrum:
    """The power spectrum along one axis, a mean over everything else.

    The axis is cut to whole periods, so that every k / period is a frequency of its own; there is no window, as it
    would widen the lines.

    Args:
        values: (..., H, W).
        period: of the tokens.
        axis: -1 along the rows, -2 along the columns.

    Raises:
        ValueError: when the axis holds less than eight periods, too few to tell lines from their neighbours.
    """
    spacing = values.shape[axis] // period if period > 1 else 0
    if spacing < 4 * _APART:
        raise ValueError(f"{values.shape[axis]} texels hold too few periods of {period}")
    length = spacing * period
    rows = values.detach().double().movedim(axis, -1)[..., :length]
    power = (torch.fft.rfft(rows, dim=-1).abs() / length).square().reshape(-1, length // 2 + 1).mean(0)
    twice = torch.full_like(power, 2)  # the negative frequencies; the first and an even length's last have none
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    lines = torch.arange(spacing, len(power), spacing, device=power.device)
    # beyond the last frequency the spectrum of real values is that before it
    mirrored = torch.cat([power, power.flip(0)[1 - length % 2 :]])
    around = torch.stack([mirrored[line - spacing // 2 : line + spacing // 2 + 1] for line in lines.tolist()])
    offset = (torch.arange(around.shape[1], device=power.device) - spacing // 2).abs()
    expected = _geometric_mean(around[:, offset > _APART])
    near, far = around[:, offset <= spacing / 4].mean(1), _geometric_mean(around[:, offset > spacing / 4])
    frequency = torch.arange(len(power), device=power.device, dtype=torch.float64) / length
    return Spectrum(frequency, power * twice, lines, expected * twice[lines], near, far)


def _seams(values: Tensor, period: int) -> float:
    at_borders, anywhere = [], []
    for axis in (-1, -2):
        steps = values.detach().double().diff(dim=axis).square().movedim(axis, -1)
        at_borders.append(steps[..., period - 1 :: period].mean())
        anywhere.append(steps.mean())
    return _ratio(float(sum(at_borders)), float(sum(anywhere)))


def _geometric_mean(power: Tensor) -> Tensor:
    """(L, N) -> (L,); the mean in decibels, which a falling spectrum does not pull to one side."""
    return power.log().mean(1).exp()


def _ratio(found: float, usual: float) -> float:
    return found / usual if usual > 0 else (math.inf if found > 0 else 1.0)
