"""Colours of a part, written to be read: the oracle of kernel/texture.h.

Patterns take a record of ``layout.LAYER``, texture coordinates (N,) and points (N, 3) in cells of the pattern, and give
the share (N,) of the layer's second colour.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gtr_core.data.procedural.font import glyph_pixels
from gtr_core.data.procedural.layout import LAYERS, Pattern, Projection, Record

_BITS = 0xFFFFFFFF


def part_color(part: Record, q: Tensor) -> Tensor:
    """sRGB colours (N, 3) at points q (N, 3) in the frame of a part."""
    u, v, front = texture_coordinates(part, q)
    color = paint_layer(part["layers"][0], u, v, q, _color(part["layers"][0]["color_a"], q).expand_as(q))
    for index in range(1, LAYERS):
        if part["layers"][index]["opacity"] > 0:
            color = paint_layer(part["layers"][index], u, v, q, color)
    if part["label"]["half"][0] > 0:
        color = paint_label(part["label"], u, v, front, color)
    return color


def texture_coordinates(part: Record, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u, v (N,) in units of the object, and whether the point is on the side (N,) that carries the label."""
    extent = q.new_tensor(part["extent"].tolist())
    x, y, z = q.unbind(-1)
    if part["projection"] == Projection.CYLINDER:
        cap = y.abs() > 0.985 * extent[1]
        return torch.where(cap, x, torch.atan2(x, z) * extent[0]), torch.where(cap, -z, y), ~cap
    ax, ay, az = (q.abs() / extent).unbind(-1)
    side = (ax > az) & (ax > ay)
    top = (ay > az) & ~(ax > ay)
    u = torch.where(side, torch.where(x < 0, z, -z), torch.where(~top & (z < 0), -x, x))
    v = torch.where(top, torch.where(y < 0, z, -z), y)
    return u, v, ~side & ~top & (z > 0)


def paint_layer(layer: Record, u: Tensor, v: Tensor, q: Tensor, under: Tensor) -> Tensor:
    """A layer over the colours (N, 3) below it."""
    frequency, shift = float(layer["frequency"]), q.new_tensor(layer["shift"].tolist())
    cosine, sine = (float(value) for value in layer["turn"])
    tu, tv = (u * cosine - v * sine) * frequency + shift[0], (u * sine + v * cosine) * frequency + shift[1]
    value = pattern_value(layer, tu, tv, q * frequency + shift)[:, None]
    opacity, second = float(layer["opacity"]), _color(layer["color_b"], q)
    if layer["through"] > 0:
        return torch.lerp(under, second.expand_as(under), value * opacity)
    own = torch.lerp(_color(layer["color_a"], q).expand_as(under), second.expand_as(under), value.expand_as(under))
    return torch.lerp(under, own, opacity)


def paint_label(label: Record, u: Tensor, v: Tensor, front: Tensor, under: Tensor) -> Tensor:
    """A sheet of paper with a coloured band and lines of text over the colours (N, 3) below it."""
    half_u, half_v = (float(value) for value in label["half"])
    letter = float(label["letter"])
    x, y = u - float(label["center"][0]), v - float(label["center"][1])
    inset = torch.minimum(half_u - x.abs(), half_v - y.abs())
    ink = text((x + half_u) / letter, (half_v - y) / letter, int(label["seed"])) * (inset > 4 * letter)
    sheet = torch.lerp(_color(label["paper"], u), _color(label["ink"], u), ink[:, None])
    sheet = torch.where((y > 0.45 * half_v)[:, None], _color(label["band"], u), sheet)
    return torch.where((front & (inset > 0))[:, None], sheet, under)


def pattern_value(layer: Record, u: Tensor, v: Tensor, p: Tensor) -> Tensor:
    """Share (N,) of the layer's second colour."""
    amount, seed = float(layer["amount"]), int(layer["seed"])
    match Pattern(int(layer["pattern"])):
        case Pattern.STRIPES:
            return (_fraction(u) < 0.15 + 0.7 * amount).to(u.dtype)
        case Pattern.CHECKS:
            return (_fraction((u.floor() + v.floor()) * 0.5) > 0.25).to(u.dtype)
        case Pattern.VORONOI:
            return voronoi(p, amount, seed)
        case Pattern.MARBLE:
            wave = torch.sin(p[:, 0] * 2 + p[:, 1] + fractal_noise(p, seed) * 9) * 0.5 + 0.5
            return wave.clamp(min=0) ** (0.7 + 4 * amount)
        case Pattern.WOOD:
            return wood(p, amount, seed)
        case Pattern.NOISE:
            return ((fractal_noise(p, seed) - 0.5) * (1.5 + 4 * amount) + 0.5).clamp(0, 1)
        case Pattern.DOTS:
            dx, dy = _fraction(u + _fraction(v.floor() * 0.5)) - 0.5, _fraction(v) - 0.5
            return (torch.hypot(dx, dy) < 0.14 + 0.3 * amount).to(u.dtype)
        case Pattern.BRICK:
            return brick(u, v, amount, seed)
        case Pattern.TEXT:
            return text(u * 10, v * -10, seed)
        case Pattern.PRINT:
            field = value_noise(torch.stack([u, v, torch.full_like(u, 0.5)], dim=-1), seed)
            return (field > 0.72 - 0.3 * amount).to(u.dtype)
    return torch.zeros_like(u)


def lattice_hash(x: Tensor, y: Tensor, z: Tensor, seed: int) -> Tensor:
    """32 well mixed bits (N,), as int64, of lattice points given as whole numbers."""
    h = (x.long() * 0x9E3779B1) ^ (y.long() * 0x85EBCA77) ^ (z.long() * 0xC2B2AE3D)
    h = (h & _BITS) ^ seed
    h = ((h ^ (h >> 16)) * 0x7FEB352D) & _BITS
    h = ((h ^ (h >> 15)) * 0x846CA68B) & _BITS
    return h ^ (h >> 16)


def lattice_unit(x: Tensor, y: Tensor, z: Tensor, seed: int) -> Tensor:
    """The hash as a number in [0, 1)."""
    return (lattice_hash(x, y, z, seed) >> 8).to(x.dtype) / 2**24


def value_noise(p: Tensor, seed: int) -> Tensor:
    """Random values at the lattice points, smoothly interpolated at p (N, 3); in [0, 1)."""
    i = p.floor()
    f = p - i
    f = f * f * (3 - 2 * f)
    x, y, z = i.unbind(-1)
    planes = []
    for k in (0, 1):
        low = torch.lerp(lattice_unit(x, y, z + k, seed), lattice_unit(x + 1, y, z + k, seed), f[:, 0])
        high = torch.lerp(lattice_unit(x, y + 1, z + k, seed), lattice_unit(x + 1, y + 1, z + k, seed), f[:, 0])
        planes.append(torch.lerp(low, high, f[:, 1]))
    return torch.lerp(planes[0], planes[1], f[:, 2])


def fractal_noise(p: Tensor, seed: int) -> Tensor:
    """Four octaves of noise, in [0, 1)."""
    total, weight, frequency = torch.zeros_like(p[:, 0]), 0.5, 1.0
    for octave in range(4):
        total = total + value_noise(p * frequency, seed + octave) * weight
        weight, frequency = weight / 2, frequency * 2.03
    return total / 0.9375


def voronoi(p: Tensor, amount: float, seed: int) -> Tensor:
    """A tint per cell (amount below a half) or the seams between cells, of one random point per lattice cell."""
    i = p.floor()
    distances, tints = [], []
    for k in range(27):
        x, y, z = (i + p.new_tensor([k % 3 - 1, k // 3 % 3 - 1, k // 9 - 1])).unbind(-1)
        point = torch.stack([c + lattice_unit(x, y, z, seed + n) for n, c in enumerate((x, y, z))], dim=-1)
        distances.append((point - p).norm(dim=-1))
        tints.append(lattice_unit(x, y, z, seed + 3))
    nearest = torch.stack(distances, dim=-1).topk(2, largest=False)
    if amount < 0.5:
        return torch.stack(tints, dim=-1).gather(-1, nearest.indices[:, :1]).squeeze(-1)
    return (nearest.values[:, 1] - nearest.values[:, 0] < 0.12).to(p.dtype)


def wood(p: Tensor, amount: float, seed: int) -> Tensor:
    """Year rings around y, bent by noise, with fibres."""
    bend = value_noise(p * p.new_tensor([0.7, 0.25, 0.7]), seed) * (0.4 + amount)
    ring = _fraction(torch.hypot(p[:, 0], p[:, 2]) + bend)
    fibre = value_noise(p * p.new_tensor([9.0, 0.6, 9.0]), seed + 1)
    return (ring * ring * 0.75 + fibre * 0.35).clamp(0, 1)


def brick(u: Tensor, v: Tensor, amount: float, seed: int) -> Tensor:
    """Rows of bricks of several tints, with mortar."""
    row = (v * 2).floor()
    along = u + _fraction(row * 0.5)
    tint = lattice_unit(along.floor(), row, torch.zeros_like(u), seed) * 0.45
    mortar = 0.04 + 0.08 * amount
    return torch.where((_fraction(along) < mortar) | (_fraction(v * 2) < 2 * mortar), 1.0, tint)


def text(x: Tensor, y: Tensor, seed: int) -> Tensor:
    """Ink (N,), 0 or 1, of lines of random words in pixels of the font, x to the right and y down."""
    font = torch.from_numpy(glyph_pixels()).to(x.device)
    line, letter = (y * 0.1).floor(), (x / 6).floor()
    column, row = x - letter * 6 - 0.5, y - line * 10 - 1.5
    drawn = lattice_unit(letter, line, torch.zeros_like(x), seed) > 0.18
    glyph = (lattice_unit(letter, line, torch.ones_like(x), seed) * len(font)).long()
    padded = torch.nn.functional.pad(font, (1, 2, 3, 3))
    c, r = column.floor(), row.floor()

    def pixel(dc: int, dr: int) -> Tensor:
        return padded[glyph, (r.long() + dr + 3).clamp(0, 12), (c.long() + dc + 1).clamp(0, 7)].to(x.dtype)

    top = torch.lerp(pixel(0, 0), pixel(1, 0), column - c)
    low = torch.lerp(pixel(0, 1), pixel(1, 1), column - c)
    return ((torch.lerp(top, low, row - r) > 0.5) & drawn).to(x.dtype)


def _fraction(x: Tensor) -> Tensor:
    return x - x.floor()


def _color(value: Record, like: Tensor) -> Tensor:
    return like.new_tensor(value.tolist())
