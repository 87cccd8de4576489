"""Files of LPIPS weights: read without running code, checked tensor by tensor."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.metrics.lpips_backbones import BACKBONES, Net

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Subtracted from pictures in [-1, 1], then divided by: what the backbones were trained with, on this range."""
_NAMES = {"vgg": "VGG16", "alex": "AlexNet", "squeeze": "SqueezeNet 1.1"}
_SLICE = re.compile(r"net\.(?:slice\d+|slices\.\d+)\.(\d+\..+)")
_LIN_COPY = re.compile(r"lins\.(\d+)\.model\.1\.weight")
_CONSTANTS = {"scaling_layer.shift": SHIFT, "scaling_layer.scale": SCALE}


def find_weights(net: Net) -> tuple[Path, Path] | None:
    """Backbone and linear weights that already lie on this machine; None unless both do.

    Looked at: for the backbone ``checkpoints`` in ``torch.hub.get_dir()``; for the linear weights the same folder
    (``vgg.pth``, ``alex.pth``, ``squeeze.pth``) and the installed packages lpips and torchmetrics, which are not
    imported. Nothing is fetched.
    """
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    linear_places = [checkpoints]
    for package, inside in (("lpips", "weights/v0.1"), ("torchmetrics", "functional/image/lpips_models")):
        spec = find_spec(package)
        linear_places += [Path(place) / inside for place in (spec.submodule_search_locations if spec else None) or ()]
    backbones = [checkpoints / name for name in BACKBONES[net].cached_as]
    backbone = next((path for path in backbones if path.is_file()), None)
    linear = next((folder / f"{net}.pth" for folder in linear_places if (folder / f"{net}.pth").is_file()), None)
    return None if backbone is None or linear is None else (backbone, linear)


def read_weights(net: Net, backbone: Path, linear: Path | None) -> dict[str, Tensor]:
    """The tensors of the backbone (named ``features. ...``) and of the linear layers (``lin0.model.1.weight`` ...).

    Args:
        net: which backbone the files are for.
        backbone: a state dict of torchvision; or one file with everything, as the state dict of the modules in lpips
            and torchmetrics.
        linear: the linear layers when they are not in the first file.

    Returns:
        Exactly the tensors that the metric needs, float32 on the CPU.

    Raises:
        GtrError: ``model_unavailable`` when a file is missing, damaged, of something else, or when the two disagree.
    """
    found = _tensors(backbone)
    for name, tensor in ({} if linear is None else _tensors(linear)).items():
        if name in found and not torch.equal(found[name], tensor):
            assert linear is not None
            raise _unusable(linear, net, f"its {name} is not the one in {backbone.name}")
        found[name] = tensor
    last = backbone if linear is None else linear
    wanted = weight_shapes(net)
    for name, shape in wanted.items():
        path = backbone if name.startswith("features.") else last
        if name not in found:
            raise _unusable(path, net, f"{name} is missing")
        if tuple(found[name].shape) != shape:
            raise _unusable(path, net, f"{name} is {_size(found[name].shape)} instead of {_size(shape)}")
        if not bool(torch.isfinite(found[name]).all()):
            raise _unusable(path, net, f"{name} holds numbers that are not finite")
    unknown = sorted(name for name in found if name not in wanted and not name.startswith("classifier."))
    if unknown:
        raise _unusable(last, net, f"{unknown[0]} is unknown")
    return {name: found[name].float() for name in wanted}


def weight_shapes(net: Net) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors that LPIPS with this backbone needs."""
    channels = BACKBONES[net].channels()
    return BACKBONES[net].shapes() | {linear_name(index): (1, width, 1, 1) for index, width in enumerate(channels)}


def linear_name(index: int) -> str:
    """Name of the weights of one linear layer."""
    return f"lin{index}.model.1.weight"


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file under torchvision's names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about pickles that are not its own: the sentence below says so
            values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There is no file of LPIPS weights at {path}.") from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError,
            pickle.UnpicklingError, zipfile.BadZipFile) as error:  # fmt: skip
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{path.name} cannot be read as weights: it is damaged, of another kind, or wants to run code.",
            "Give the file as torchvision, lpips or torchmetrics publish it.",
        ) from error
    if not isinstance(values, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in values.items()
    ):
        raise GtrError(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{path.name} is no table of named tensors.",
            "Give the file as torchvision, lpips or torchmetrics publish it.",
        )
    # the state dict of torchmetrics' metric has the network one level deeper
    inner = any(name.startswith("net.net.") for name in values)
    named = {name.removeprefix("net.") if inner else name: value for name, value in values.items()}
    return _plain_names(path, named)


def _plain_names(path: Path, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    for name, tensor in named.items():
        if name in _CONSTANTS:
            if not torch.allclose(tensor.flatten().float(), torch.tensor(_CONSTANTS[name])):
                raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"{path.name} has a {name} that is not LPIPS's.")
        elif in_slice := _SLICE.fullmatch(name):
            result[f"features.{in_slice[1]}"] = tensor
        elif copy := _LIN_COPY.fullmatch(name):
            result.setdefault(linear_name(int(copy[1])), tensor)
        else:
            result[name] = tensor
    return result


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)


def _unusable(path: Path, net: Net, what: str) -> GtrError:
    return GtrError(
        ErrorCode.MODEL_UNAVAILABLE,
        f"{path.name} does not hold the weights of LPIPS with {_NAMES[net]}: {what}.",
        "Give the backbone as torchvision publishes it and the linear layers as lpips does (version 0.1).",
    )
