"""The 3D view of a report in a real browser: the very meshes, drawn, turned, and side by side under one camera."""

import io
import time

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from gtr_core.io.mesh_files import read_mesh

MINUTE = 60.0


def pixels(page) -> np.ndarray:
    """(H, W, 3) what is on the screen where the meshes are."""
    return np.asarray(Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB")).astype(int)


def eventually(page, good) -> np.ndarray:
    """Look until what is on the screen is good: it follows the page by a frame or two."""
    deadline = time.monotonic() + MINUTE
    while True:
        seen = pixels(page)
        if good(seen):
            return seen
        assert time.monotonic() < deadline, "the screen never showed it"


def panes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right mesh, below the captions, without the line between them and the frame that shows the focus."""
    middle = image.shape[1] // 2
    return image[90:-8, 8 : middle - 8], image[90:-8, middle + 8 : -8]


def drawn(pane: np.ndarray) -> float:
    """Share of the pixels that are not background."""
    return float((np.abs(pane - pane[0, 0]).max(-1) > 20).mean())


def both_drawn(image: np.ndarray) -> bool:
    return all(drawn(pane) > 0.05 for pane in panes(image))


def unlike(before: np.ndarray):
    """Whether both panes show something else than before."""
    return lambda now: all(
        (np.abs(a - b).max(-1) > 24).mean() > 0.01 for a, b in zip(panes(before), panes(now), strict=True)
    )


def like(before: np.ndarray):
    """Whether both panes show the same as before."""
    return lambda now: all(
        (np.abs(a - b).max(-1) > 24).mean() < 0.001 for a, b in zip(panes(before), panes(now), strict=True)
    )


@pytest.fixture
def viewed(open_report, report_folder):
    """The page with truth and first result of the torus in the 3D view, and what is seen then."""
    page = open_report(report_folder, viewport={"width": 800, "height": 600})
    page.locator("#object-3").get_by_role("button", name="Compare in 3D").click()
    expect(page.locator("#stage")).to_have_attribute("data-shown", "3 -1 0")
    return page, eventually(page, both_drawn)


def test_the_browser_unpacks_the_very_mesh(report_page, report_folder) -> None:
    got = report_page.evaluate(
        """async () => {
            const { positions, colors, indices } = await unpackedMesh(data.objects[3].mesh);
            return [[...positions], [...colors], [...indices]];
        }"""
    )
    positions, colors, faces = (np.array(values).reshape(-1, 3) for values in got)
    mesh = read_mesh(report_folder / "meshes" / "torus" / "truth.glb")
    vertices = mesh.vertices.double().numpy()
    nearest = ((positions[:, None] - vertices) ** 2).sum(-1).argmin(1)
    assert sorted(nearest.tolist()) == list(range(len(vertices)))
    step = float(np.ptp(vertices, axis=0).max()) / (2**13 - 1)
    assert np.abs(positions - vertices[nearest]).max() <= 0.51 * step
    assert np.abs(colors - mesh.colors.numpy()[nearest] * 255).max() <= 0.51
    assert turned(nearest[faces]) == turned(mesh.faces.numpy())


def turned(faces: np.ndarray) -> set[tuple[int, ...]]:
    """Faces that start at their smallest vertex; the way round stays."""
    return {tuple(np.roll(face, -int(face.argmin())).tolist()) for face in faces}


def test_truth_and_result_are_drawn_and_turn_together(viewed) -> None:
    page, start = viewed
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 40, steps=4)
    page.mouse.up()
    dragged = eventually(page, unlike(start))
    assert both_drawn(dragged)
    page.get_by_role("button", name="Reset view").click()
    eventually(page, like(start))


def test_keys_turn_zoom_and_reset(viewed) -> None:
    page, start = viewed
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        for _ in range(3):
            page.keyboard.press(key)
        moved = eventually(page, unlike(start))
        page.keyboard.press("r")
        eventually(page, like(start))
    share = drawn(panes(start)[0])
    for _ in range(4):
        page.keyboard.press("-")
    small = eventually(page, lambda now: drawn(panes(now)[0]) < 0.5 * share)
    for _ in range(6):
        page.keyboard.press("+")
    large = eventually(page, lambda now: drawn(panes(now)[0]) > 1.1 * share)
    assert both_drawn(moved)
    assert both_drawn(small)
    assert both_drawn(large)


def test_shadings_differ(viewed) -> None:
    page, seen = viewed
    grey = eventually_pressed(page, "Shape", seen)
    # Without colours, red, green and blue are nearly the same everywhere.
    assert np.ptp(panes(grey)[0], axis=-1).max() < 40
    normals = eventually_pressed(page, "Normals", grey)
    wires = eventually_pressed(page, "Wireframe", normals)
    assert drawn(panes(wires)[1]) < drawn(panes(normals)[1])


def eventually_pressed(page, name: str, before: np.ndarray) -> np.ndarray:
    button = page.get_by_role("button", name=name, exact=True)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    return eventually(page, unlike(before))


def test_any_two_meshes_can_be_compared_and_objects_follow_each_other(viewed) -> None:
    page, seen = viewed
    stage = page.locator("#stage")
    page.get_by_label("Left mesh").select_option("2")
    expect(stage).to_have_attribute("data-shown", "3 2 0")
    eventually(page, lambda now: bool((np.abs(panes(now)[0] - panes(seen)[0]).max(-1) > 24).mean() > 0.01))
    page.get_by_role("button", name="‹ Object").click()
    expect(stage).to_have_attribute("data-shown", "2 2 0")
    expect(page.locator("#viewer-title")).to_have_text("crate")
    expect(page.locator("#pane-left p")).to_have_text("Failed: There is no surface at all.")
    eventually(page, lambda now: drawn(panes(now)[0]) == 0 and drawn(panes(now)[1]) > 0.05)
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()


def test_a_narrow_window_has_one_mesh_above_the_other(open_report, report_folder) -> None:
    page = open_report(report_folder, viewport={"width": 480, "height": 900})
    page.locator("#object-3").get_by_role("button", name="60 faces in 3D").click()
    expect(page.locator("#stage")).to_have_attribute("data-shown", "3 -1 2")
    upper, lower = (page.locator(f"#pane-{side}").bounding_box() for side in ("left", "right"))
    assert upper["y"] + upper["height"] <= lower["y"] + 1

    def halves_drawn(image: np.ndarray) -> bool:
        middle = image.shape[0] // 2
        return drawn(image[80 : middle - 8, 8:-8]) > 0.05 and drawn(image[middle + 80 : -8, 8:-8]) > 0.05

    eventually(page, halves_drawn)
