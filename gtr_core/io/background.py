"""From a picture to a picture with transparent background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError

Array = NDArray[Any]

OPAQUE = 0.999
"""Alpha from here on counts as opaque."""
MIN_BORDER_SHARE = 0.25
"""Least share of the border that must show the key colour, else the background is not plain."""
_FIT_TERMS = (1, 3, 3, 3, 3, 6, 6, 6)
"""Terms of the background's polynomial in the rounds of its fit: a constant, then linear, then quadratic."""
_STARTS = 4
"""Border colours with which that fit is tried."""
_MIN_FIT_SHARE = 0.05
"""Least share of the border that tells anything about a polynomial."""
_WINDOW = 7
"""Side in pixels of the window in which the object's own colour is looked for behind a mixed edge pixel."""


@dataclass(frozen=True)
class Background:
    """How to tell the object from what is behind it.

    Args:
        mode: ``alpha`` takes the alpha channel, ``key`` removes a plain colour, ``auto`` takes alpha where there is
            some and a plain colour otherwise.
        color: the plain colour, sRGB in [0, 1]; None takes it from the border of the picture.
        tolerance: largest Euclidean distance in sRGB from the plain colour that is still background, in (0, 1).
    """

    mode: Literal["auto", "alpha", "key"] = "auto"
    color: tuple[float, float, float] | None = None
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "alpha", "key"):
            raise GtrError(ErrorCode.BAD_INPUT, f"There is no background mode {self.mode}.", "Use auto, alpha or key.")
        if not 0 < self.tolerance < 1:
            raise GtrError(ErrorCode.BAD_INPUT, f"A tolerance of {self.tolerance} is not between 0 and 1.", "Try 0.1.")
        if self.color is not None and not (len(self.color) == 3 and all(0 <= c <= 1 for c in self.color)):
            raise GtrError(ErrorCode.BAD_INPUT, f"{self.color} is not an sRGB colour.", "Give three numbers in 0..1.")


def foreground(image: Tensor, background: Background, *, index: int = 0, name: str = "") -> Tensor:
    """Give a picture a transparent background.

    A plain background is flooded from the border, so parts of the object that have its colour stay as long as no
    way leads to them from outside. Edge pixels, mixtures of object and background, get the share of the object as
    alpha and the object's own colour.

    Args:
        image: (H, W, 3 or 4) sRGB in [0, 1], straight alpha.
        background: how to find it.
        index: of the view (from 0), for the error.
        name: what the error calls the picture; empty for "image 1" and so on.

    Returns:
        (H, W, 4) in [0, 1], straight alpha.

    Raises:
        GtrError: ``no_alpha`` when alpha is asked for or no plain background is found; ``empty_mask``.
    """
    name = name or f"image {index + 1}"
    transparent = image.shape[-1] == 4 and bool((image[..., 3] < OPAQUE).any())
    if background.mode == "alpha" and not transparent:
        raise GtrError(
            ErrorCode.NO_ALPHA,
            f"There is no transparent background in {name}.",
            "Remove its background first, or choose a key colour.",
            view=index,
        )
    if transparent and background.mode != "key":
        result = image
    else:
        result = _remove_key_color(_over_white(image), background, index, name)
    if not bool((result[..., 3] > 0.5).any()):
        raise GtrError(
            ErrorCode.EMPTY_MASK,
            f"Nothing is left of {name} without its background.",
            "Check its transparency, the key colour and the tolerance.",
            view=index,
        )
    return result


def _over_white(image: Tensor) -> Tensor:
    if image.shape[-1] == 3:
        return image
    return image[..., :3] * image[..., 3:] + (1 - image[..., 3:])


def _remove_key_color(rgb: Tensor, background: Background, index: int, name: str) -> Tensor:
    pixels = rgb.detach().cpu().float().numpy()
    if background.color is not None:
        key = np.broadcast_to(np.array(background.color, np.float32), pixels.shape)
    else:
        key = _backdrop(pixels, background.tolerance)
    like_key = _distance(pixels, key) <= background.tolerance
    if background.color is None and _border(like_key).mean() < MIN_BORDER_SHARE:
        raise GtrError(
            ErrorCode.NO_ALPHA,
            f"There is neither transparency nor a plain background in {name}.",
            "Remove its background first, or give the key colour.",
            view=index,
        )
    inside = ~_connected_to_border(like_key)
    result = np.concatenate([pixels, inside[..., None]], axis=-1, dtype=np.float32)
    area = _around(inside)
    result[area] = _soften_edge(pixels[area], inside[area], key[area])
    return torch.from_numpy(result).to(rgb)


def _distance(a: Array, b: Array) -> Array:
    """Euclidean distance over the last axis; by channels, as large pictures fill the memory soon enough."""
    squared = np.zeros(a.shape[:-1], np.float32)
    for channel in range(a.shape[-1]):
        squared += (a[..., channel] - b[..., channel]) ** 2
    return np.asarray(np.sqrt(squared))


def _around(inside: Array) -> tuple[slice, slice]:
    """Rows and columns that hold the object and the edge around it."""
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    margin = _WINDOW
    return (
        slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
        slice(max(0, columns[0] - margin), columns[-1] + 1 + margin),
    )


def _border(image: Array) -> Array:
    """(P, ...) pixels of the outermost rows and columns."""
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def _backdrop(pixels: Array, tolerance: float) -> Array:
    """(H, W, 3) colour of the background everywhere, continued from the border.

    A wall is rarely lit evenly: its colour is a polynomial of the place, fitted to the border pixels that agree with
    it. The fit starts at each of the most frequent border colours in turn, and the one that most of the border
    agrees with in the end wins, so an object may touch the border.
    """
    height, width = pixels.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    terms = (np.ones((1, 1)), x, y, x * x, x * y, y * y)
    whole = [np.broadcast_to(term, (height, width)) for term in terms]
    border, border_terms = _border(pixels), np.stack([_border(term) for term in whole], axis=-1)
    fits = [_fit(border, border_terms, start, tolerance) for start in _frequent_colors(border)]
    _, coefficients = max(fits, key=lambda fit: fit[0])
    result = np.empty_like(pixels)
    for channel in range(3):
        parts = (weight * term for weight, term in zip(coefficients[:, channel], terms, strict=True))
        result[..., channel] = sum(parts, start=np.zeros((height, width)))
    return result


def _frequent_colors(border: Array) -> list[Array]:
    """Medians (3,) of the fullest cells of the colour cube, at most ``_STARTS``."""
    cells = (border * 7.999).astype(np.int64) @ np.array([64, 8, 1])
    counts = np.bincount(cells)
    fullest = counts.argsort()[::-1][:_STARTS]
    return [np.median(border[cells == cell], axis=0) for cell in fullest if counts[cell]]


def _fit(border: Array, terms: Array, start: Array, tolerance: float) -> tuple[float, Array]:
    """Share of the border (P, 3) that agrees with the fitted colours, and their coefficients (T, 3)."""
    coefficients = np.zeros((terms.shape[-1], 3))
    coefficients[0] = start
    share = 0.0
    for used in _FIT_TERMS:
        agrees = np.linalg.norm(border - terms @ coefficients, axis=-1) <= tolerance
        share = float(agrees.mean())
        if share < _MIN_FIT_SHARE:
            break
        coefficients[:] = 0
        coefficients[:used] = np.linalg.lstsq(terms[agrees, :used], border[agrees], rcond=None)[0]
    return share, coefficients


def _connected_to_border(candidates: Array) -> Array:
    """Candidate pixels that a 4-connected way of candidates joins to the border."""
    labels, count = ndimage.label(candidates)
    outside = np.zeros(count + 1, dtype=bool)
    outside[_border(labels)] = True
    outside[0] = False  # the label of what is no candidate
    return np.asarray(outside[labels])


def _soften_edge(pixels: Array, inside: Array, key: Array) -> Array:
    """(H, W, 4) own colour, and alpha that is soft on both sides of the outline.

    A pixel on the outline is taken for ``alpha * object + (1 - alpha) * key``; the object's colour there is the mean
    of the surely inner pixels around. Where there are none (hair-thin parts) the hard mask stays.
    """
    square = np.ones((3, 3), dtype=bool)
    # Beyond the picture the object goes on: its edge is no outline.
    inner = ndimage.binary_erosion(inside, square, border_value=1)
    edge = ndimage.binary_dilation(inside, square) & ~inner
    weight = ndimage.uniform_filter(inner.astype(np.float32), _WINDOW)
    known = edge & (weight > 0.5 / _WINDOW**2)
    sums = [ndimage.uniform_filter(pixels[..., c] * inner, _WINDOW)[known] for c in range(3)]
    own = np.stack(sums, axis=-1) / weight[known][:, None]
    seen, behind = pixels[known], key[known]
    step = own - behind
    contrast = (step * step).sum(-1)
    share = np.clip(((seen - behind) * step).sum(-1) / np.maximum(contrast, 1e-9), 0, 1)[:, None]
    unmixed = (seen - (1 - share) * behind) / np.maximum(share, 1e-9)
    # Dividing by a small share magnifies noise: fade to the neighbours' colour there.
    color = np.clip(share * unmixed + (1 - share) * own, 0, 1)
    result = np.concatenate([pixels, inside[..., None]], axis=-1, dtype=np.float32)
    # An object of nearly the background's colour cannot be told from a mixture.
    result[known] = np.where(contrast[:, None] > 1e-3, np.concatenate([color, share], axis=-1), result[known])
    return result
