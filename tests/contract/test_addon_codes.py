"""Both sides of the wire know the same codes, cameras and bodies."""

import json

import pytest

from blender_addon.job import bodies as job_bodies
from blender_addon.job import requests as job_requests
from blender_addon.job.follow import STAGE_WORDS
from blender_addon.messages import CLIENT_HANDLED, ROWS, has_row
from blender_addon.values import Background, CapturedView, ReconstructOptions, RefineOptions
from blender_addon.version import API_VERSION, addon_version
from gtr_core import __version__
from gtr_core.errors import ErrorCode
from gtr_core.progress import STAGES
from gtr_server.problems import ProblemCode
from gtr_server.schemas import MasksRequest, RecolourRequest, ReconstructRequest, RefineRequest
from gtr_server.server_routes import API_RANGE


@pytest.mark.parametrize("code", sorted({*map(str, ErrorCode), *map(str, ProblemCode)}))
def test_every_code_of_core_and_server_has_a_sentence(code: str) -> None:
    assert has_row(code) or code in CLIENT_HANDLED


def test_the_addon_lists_no_code_that_the_server_does_not_have() -> None:
    listed = {code for row in ROWS.values() for code in row.server_codes} | CLIENT_HANDLED
    assert listed <= set(map(str, ProblemCode))


def test_every_stage_has_a_word() -> None:
    assert set(STAGES) | {"wait", "load", "save"} <= STAGE_WORDS.keys()


def test_versions() -> None:
    low, high = (tuple(map(int, API_RANGE[end].split("."))) for end in ("min", "max"))
    assert low <= API_VERSION <= high
    assert addon_version() == __version__


DIGEST = "0123456789abcdef" * 4


def views() -> tuple[CapturedView, ...]:
    from blender_addon.camera_sets import cameras

    return tuple(CapturedView(c.name, b"", c.K, c.world_to_camera, b"", b"", b"") for c in cameras(14, 512, 512))


@pytest.mark.parametrize("background", [Background(), Background("alpha"), Background("key", (1, 0, 0.5), 0.1)])
def test_bodies_are_accepted_by_the_servers_schemas(background: Background) -> None:
    task = job_requests.Reconstruct(views(), ReconstructOptions(seed=7, face_limit=1000, background=background), None)
    body = job_bodies.reconstruct_body(task, [DIGEST] * 14 * 4)
    parsed = ReconstructRequest.model_validate(json.loads(json.dumps(body)), strict=True)
    assert (parsed.options.seed, parsed.options.face_limit, len(parsed.images)) == (7, 1000, 14)
    assert all(image.mask_blob and image.depth_blob and image.normal_blob for image in parsed.images)
    masks = {"images": [{"blob": DIGEST}], "background": job_bodies.background_body(background)}
    MasksRequest.model_validate(json.loads(json.dumps(masks)), strict=True)


@pytest.mark.parametrize("options", [RefineOptions(), RefineOptions(steps=20, strength=0.5, views=(0, 3), seed=1)])
def test_refine_bodies_are_accepted(options: RefineOptions) -> None:
    parsed = RefineRequest.model_validate(json.loads(json.dumps(job_bodies.refine_body(options))), strict=True)
    assert (parsed.steps, parsed.seed) == (options.steps, options.seed)
    RecolourRequest.model_validate({"points_blob": DIGEST}, strict=True)
