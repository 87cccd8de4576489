"""Every convention of the protocol appears in the report in words."""

import json
from dataclasses import fields, replace
from typing import get_args

import pytest

from gtr_core.evaluation.protocol import AlignmentKind, ChamferKind, IouKind, Protocol
from gtr_core.evaluation.report_protocol import describe_protocol


def words(protocol: Protocol) -> dict[str, str]:
    return dict(describe_protocol(json.loads(protocol.to_json())))


def test_the_papers_protocol_in_words() -> None:
    told = words(Protocol())
    assert told["Novel views"] == "20 on an orbit of uniform azimuths at 256 px, elevations -30°, 0°, 30° in turn"
    assert told["Input views"] == "orthogonal cameras at 512 px, colour only"
    # Nothing is left over for the lines of unknown conventions.
    assert not set(told) & {field.name.replace("_", " ").capitalize() for field in fields(Protocol)} - {"Background"}


@pytest.mark.parametrize(
    "other",
    [
        *({"chamfer": kind} for kind in get_args(ChamferKind)[1:]),
        *({"alignment": kind} for kind in get_args(AlignmentKind)[1:]),
        {"iou": next(kind for kind in get_args(IouKind) if kind != Protocol().iou)},
        {"chamfer_squared": not Protocol().chamfer_squared},
        {"with_depth": True},
        {"input_cameras": "zero123plus"},
        {"seed": 7},
        {"background": 0.5},
        {"iou_resolution": 48},
    ],
)
def test_another_choice_reads_otherwise_and_is_no_raw_name(other) -> None:
    told = words(replace(Protocol(), **other))
    assert told != words(Protocol())
    assert len(told) == len(words(Protocol()))
    assert not any(str(value) in " ".join(told.values()) for value in other.values() if "_" in str(value))


def test_what_is_unknown_is_told_as_it_is() -> None:
    assert ("New thing", "{} 3") in describe_protocol({"new_thing": "{} 3", "chamfer": "{odd}"})
