"""What a file of weights says about itself. Light: the server's front reads it without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model.config import ModelConfig
from gtr_core.model.weights_parts import weight_files

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
"""Our names of the kinds of numbers in a file."""
_HINT = "Convert or download the weights again, or use the preset fit."


@dataclass(frozen=True)
class ModelHeader:
    """What a file of weights says about itself.

    Args:
        preset: that the network belongs to.
        config: its shape.
        licence: under which the weights may be used.
        source: where they come from.
        num_parameters: numbers in the file.
        dtype: in which most of them are stored: float32, float16 or bfloat16.
    """

    preset: str
    config: ModelConfig
    licence: str
    source: str
    num_parameters: int
    dtype: str


def read_header(path: Path) -> ModelHeader:
    """What the file says about itself, without reading its tensors.

    Raises:
        GtrError: ``model_unavailable`` when it is missing, damaged or no file of GTR weights.
    """
    header, _ = read_header_and_shapes(path)
    return header


def read_header_and_shapes(path: Path) -> tuple[ModelHeader, dict[str, tuple[int, ...]]]:
    """The header and the shapes of all tensors.

    Raises:
        GtrError: ``model_unavailable``, see :func:`read_header`.
    """
    metadata: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    counts: dict[str, int] = {}
    for part in weight_files(path):
        _add_part(part, metadata, shapes, counts)
    if "gtr_config" not in metadata:
        raise unavailable(path, "holds no GTR network")
    try:
        config = ModelConfig.from_json(metadata["gtr_config"])
    except (ValueError, RecursionError) as error:
        raise unavailable(path, f"has a configuration that this version does not understand: {error}") from error
    preset, licence, source = (metadata.get(key, "") for key in ("preset", "licence", "source"))
    most = max(counts, key=lambda stored: counts[stored], default="float32")
    return ModelHeader(preset, config, licence, source, sum(counts.values()), most), shapes


def _add_part(path: Path, metadata: dict[str, str], shapes: dict[str, tuple[int, ...]], counts: dict[str, int]) -> None:
    """Add what one file holds: words about it, shapes of its tensors, how many numbers of each kind."""
    try:
        with safe_open(path, framework="np") as file:
            metadata |= file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            shapes |= {name: tuple(part.get_shape()) for name, part in slices.items()}
            for name, part in slices.items():
                stored = DTYPES.get(part.get_dtype(), "float32")
                counts[stored] = counts.get(stored, 0) + prod(shapes[name])
    except FileNotFoundError as error:
        raise GtrError(ErrorCode.MODEL_UNAVAILABLE, f"There is no file of weights at {path}.", _HINT) from error
    except (SafetensorError, OSError) as error:
        raise unavailable(path, "cannot be read: it is damaged, cut short or of another kind") from error


def unavailable(path: Path, what: str) -> GtrError:
    """The error of a file that cannot be used; ``what`` goes on after its name."""
    return GtrError(ErrorCode.MODEL_UNAVAILABLE, f"The file of weights {path.name} {what}.", _HINT)
