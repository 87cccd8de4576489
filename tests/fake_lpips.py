"""Weights of the right names and shapes for LPIPS, drawn at random: they measure nothing, but they compute."""

import torch

from gtr_core.metrics.lpips_files import weight_shapes


def fake_weights(net, seed=0):
    """Backbone tensors that keep features alive, linear weights in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in weight_shapes(net).items():
        if name.startswith("lin"):
            tensors[name] = torch.rand(shape, generator=generator)
        elif name.endswith(".bias"):
            tensors[name] = 0.1 * torch.randn(shape, generator=generator)
        else:
            tensors[name] = torch.randn(shape, generator=generator) * (2 / torch.Size(shape[1:]).numel()) ** 0.5
    return tensors


def split(tensors):
    """Backbone and linear layers, as they are published: in two files."""
    backbone = {name: value for name, value in tensors.items() if name.startswith("features.")}
    return backbone, {name: value for name, value in tensors.items() if name not in backbone}


def write_fake_weights(net, folder, seed=0):
    """Both files; returns their paths."""
    paths = folder / f"{net}_backbone.pth", folder / f"{net}_linear.pth"
    for path, part in zip(paths, split(fake_weights(net, seed)), strict=True):
        torch.save(part, path)
    return paths
