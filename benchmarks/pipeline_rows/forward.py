"""The network from conditioning to planes: bfloat16 and tiles against the straightforward float32 network."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gtr_core.model.config import ModelConfig
from gtr_core.model.configs import CONFIGS
from gtr_core.model.gtr import GTR
from gtr_core.model.precision import fast_dtype
from gtr_core.model.straightforward import straightforward_planes
from pipeline_rows.row import Row, Scale, Timing, row, timed


def measure(scale: Scale) -> Row:
    """Forward of a network of the released shape with random weights.

    On a GPU all blocks run. On a CPU the networks are shortened: the seconds of one block are the difference between
    ``scale.blocks`` blocks and one block, and the seconds of all blocks are the sum. Encoder, upsampler and the shorter
    last block of the fast version so count once, as they do in the whole network.
    """
    config = _config(scale)
    depth = config.num_blocks if scale.device.type == "cuda" else max(2, scale.blocks)
    whole = _Networks(replace(config, num_blocks=depth), scale)
    fast, exact, half = whole.fast(scale), whole.straightforward(scale, torch.float32), None
    if whole.dtype != torch.float32:
        half = whole.straightforward(scale, whole.dtype)
    error = _relative_rms(fast.planes, exact.planes)
    timings = [part.timing for part in (fast, exact, half) if part is not None]
    if depth < config.num_blocks:
        one = _Networks(replace(config, num_blocks=1), scale)
        singles = [one.fast(scale), one.straightforward(scale, torch.float32)]
        if half is not None:
            singles.append(one.straightforward(scale, whole.dtype))
        missing = (config.num_blocks - depth) / (depth - 1)
        timings = [_extended(many, single.timing, missing) for many, single in zip(timings, singles, strict=True)]
        timings[0] = replace(
            timings[0], peak_mb=timings[0].peak_mb + (config.num_blocks - depth) * whole.block_bytes / 1e6
        )
    note = f"{str(whole.dtype).removeprefix('torch.')}, rel. rms {error:.1e} against float32"
    if half is not None:
        note += f"; {timings[2].cpu_s / max(timings[0].cpu_s, 1e-9):.2f}x against straightforward bfloat16"
    if depth < config.num_blocks:
        note += f"; seconds of {config.num_blocks} blocks computed from 1 and {depth}, error after {depth}"
    return row("forward", timings[0], timings[1], note=note)


@dataclass(frozen=True)
class _Run:
    timing: Timing
    planes: Tensor


class _Networks:
    """One network with random weights, in each precision when it is wanted."""

    def __init__(self, config: ModelConfig, scale: Scale) -> None:
        self.dtype = fast_dtype(scale.device)
        self.model = GTR(config, generator=torch.Generator().manual_seed(0)).eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(1)
        size = (1, scale.num_views, 10, config.image_size, config.image_size)
        self.images = torch.rand(size, generator=generator).to(scale.device)

    @property
    def block_bytes(self) -> int:
        """Memory of one block's weights in the fast precision."""
        numbers = sum(parameter.numel() for parameter in self.model.transformer.blocks[0].parameters())
        return int(numbers * self.dtype.itemsize)

    def fast(self, scale: Scale) -> _Run:
        """The network as it reconstructs."""
        model = copy.deepcopy(self.model).compute_in(self.dtype).to(scale.device)
        planes: list[Tensor] = []
        with torch.no_grad():
            timing = timed(lambda: planes.append(model.planes_from(self.images)), scale.device, scale.repeats)
        return _Run(timing, planes[-1].float().cpu())

    def straightforward(self, scale: Scale, dtype: torch.dtype) -> _Run:
        """Everything in one precision, all rows, torch's own attention."""
        model = copy.deepcopy(self.model).to(scale.device, dtype)
        planes: list[Tensor] = []
        with torch.no_grad():
            timing = timed(
                lambda: planes.append(straightforward_planes(model, self.images, dtype=dtype)),
                scale.device,
                min(2, scale.repeats),
            )
        return _Run(timing, planes[-1].float().cpu())


def _config(scale: Scale) -> ModelConfig:
    released = CONFIGS["gtr-release"]
    width = 4 * scale.plane_resolution
    return replace(
        released,
        image_size=scale.image_size,
        width=width,
        num_heads=max(1, width // 64),
        plane_tokens=scale.plane_resolution // released.upsample,
        plane_channels=scale.plane_channels,
    )


def _extended(many: Timing, single: Timing, missing: float) -> Timing:
    """Seconds of a network that is ``missing`` times the difference of the two deeper than the deep one."""
    return replace(
        many,
        cpu_s=many.cpu_s + missing * (many.cpu_s - single.cpu_s),
        wall_s=many.wall_s + missing * (many.wall_s - single.wall_s),
    )


def _relative_rms(planes: Tensor, exact: Tensor) -> float:
    return float((planes - exact).norm() / exact.norm())
