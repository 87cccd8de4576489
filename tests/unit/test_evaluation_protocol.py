"""The conventions of the evaluation: defaults, refusals, and what their names stand for."""

import json
from dataclasses import fields, replace

import pytest
import torch

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.protocol import Protocol


def test_defaults_are_those_of_the_paper() -> None:
    protocol = Protocol()
    assert len(protocol.input_camera_set) == 4
    assert (protocol.input_camera_set.height, protocol.input_camera_set.width) == (512, 512)
    assert protocol.surface_samples == 16_000
    heights = protocol.novel_cameras.positions[:, 1] / 4
    assert len(heights) == 20
    torch.testing.assert_close(heights[:3], torch.tensor([-0.5, 0.0, 0.5]), atol=1e-6, rtol=0)
    ring = protocol.novel_cameras.positions[:, [2, 0]]
    azimuths = torch.rad2deg(torch.atan2(ring[:, 1], ring[:, 0])) % 360
    torch.testing.assert_close(azimuths, torch.arange(20) * 18.0 + 9, atol=1e-3, rtol=0)


def test_no_novel_view_is_an_input_view() -> None:
    protocol = Protocol()
    for camera_set in ("orthogonal", "sphere14", "zero123plus"):
        inputs = replace(protocol, input_cameras=camera_set).input_camera_set.positions
        assert torch.cdist(inputs, protocol.novel_cameras.positions).min() > 0.1


def test_json_there_and_back() -> None:
    protocol = Protocol(iou="surface", elevations=(10.0,), chamfer="result_to_truth", with_depth=True)
    again = Protocol.from_json(protocol.to_json())
    assert again.digest == protocol.digest
    assert again == replace(protocol, iou_resolution=16)
    assert set(json.loads(protocol.to_json())) == {field.name for field in fields(Protocol)}


def test_digest_changes_with_every_field() -> None:
    other = {
        "input_cameras": "sphere6", "input_size": 256, "with_depth": True, "num_novel": 4, "novel_size": 128,
        "elevations": (0.0,), "background": 0.5, "supersample": 1, "surface_samples": 100,
        "chamfer": "two_sided_mean", "chamfer_squared": False, "iou": "surface", "iou_resolution": 32,
        "alignment": "none", "icp_scale": False, "seed": 1,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(Protocol)}
    digests = {replace(Protocol(), **{name: value}).digest for name, value in other.items()}
    assert len(digests | {Protocol().digest}) == len(other) + 1


def test_resolution_of_the_iou_belongs_to_its_kind_unless_it_is_given() -> None:
    assert (Protocol().iou_voxels, replace(Protocol(), iou="surface").iou_voxels) == (64, 16)
    assert Protocol(iou="surface", iou_resolution=40).iou_voxels == 40
    assert Protocol(iou_resolution=64).digest == Protocol().digest


@pytest.mark.parametrize(
    "wrong",
    [{"chamfer": "both"}, {"iou": "box"}, {"alignment": "by hand"}, {"input_cameras": "ring"}, {"num_novel": 0},
     {"surface_samples": 0}, {"iou_resolution": 5000}, {"iou_resolution": -1}, {"elevations": ()}, {"supersample": 0}],
)  # fmt: skip
def test_what_is_no_convention_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(GtrError) as caught:
        Protocol(**wrong)  # type: ignore[arg-type]
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert next(iter(wrong)) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"elevations": 3}', "null"])
def test_text_that_is_no_protocol_is_refused(text: str) -> None:
    with pytest.raises(GtrError, match="no protocol"):
        Protocol.from_json(text)
