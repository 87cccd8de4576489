"""Images as input, several objects at once, and everything that can be wrong with an input; prints JSON facts.

``python panel_inputs.py ADDON_ZIP OUT_FOLDER``; GTR_HOME and GTR_PYTHON tell where the server lives.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import bpy
import numpy as np

VIEWS = ("front", "right", "back", "left")


class Gradio(BaseHTTPRequestHandler):
    """Some other local web program."""

    def do_GET(self):
        page = b"<html><title>Gradio</title></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_arguments):
        pass


def settings():
    return bpy.context.scene.gtr


def preferences():
    return bpy.context.preferences.addons["gtr"].preferences


def select(*objects):
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj in objects)
    bpy.context.view_layer.objects.active = objects[0] if objects else None


def write_images(folder, pixels):
    """Four files of the same picture, named after their views."""
    from gtr.formats.picture_files import encode_png

    folder.mkdir()
    for name in VIEWS:
        (folder / f"{name}.png").write_bytes(encode_png(pixels))
    return folder


def disc(alpha):
    """128 x 128 pixels: an orange disc, the rest as given."""
    y, x = np.mgrid[:128, :128] - 63.5
    inside = x * x + y * y < 40 * 40
    pixels = np.zeros((128, 128, 4), np.uint8)
    pixels[inside] = (200, 100, 50, 255)
    pixels[~inside] = (255, 255, 255, alpha)
    return pixels


def fault(facts, session, name):
    """Press Reconstruct and note what the panel says."""
    outcome = sorted(bpy.ops.gtr.reconstruct(wait=True))
    box = session.error
    facts[name] = {
        "outcome": outcome,
        "code": box.code if box else "",
        "text": box.text if box else "",
        "buttons": [label for label, _ in box.buttons] if box else [],
        "view": box.view if box else None,
    }


def each_separately(facts, session):
    first = bpy.data.objects["Cube"]
    bpy.ops.mesh.primitive_cube_add(size=1, location=(5, 0, 0))
    second = bpy.context.object
    select(first, second)
    settings().each = True
    facts["each"] = sorted(bpy.ops.gtr.reconstruct(wait=True))
    facts["each_error"] = str(session.error)
    facts["each_names"] = sorted(obj.name for obj in bpy.data.collections["GTR"].objects)
    facts["each_sources"] = sorted(json.loads(obj["gtr"])["sources"] for obj in bpy.data.collections["GTR"].objects)
    settings().each = False
    select(first)


def from_images(facts, session, out):
    settings().views = 4
    bpy.ops.gtr.capture(wait=True)
    folder = out / "views"
    folder.mkdir()
    for view in session.capturing.taken.views:
        (folder / f"{view.name.lower()}.png").write_bytes(view.png)
    bpy.ops.gtr.load_folder(directory=str(folder))
    facts["slots"] = [[slot.view, Path(slot.filepath).name] for slot in settings().slots]
    facts["masks"] = sorted(bpy.ops.gtr.show_masks())
    session.pump()
    facts["mask_states"] = [slot.mask for slot in settings().slots]
    settings().height = 3
    bpy.ops.gtr.show_cameras()
    bpy.ops.gtr.show_cameras()
    facts["images"] = sorted(bpy.ops.gtr.reconstruct(wait=True))
    facts["images_error"] = str(session.error)
    result = bpy.context.view_layer.objects.active
    facts["images_bottom"] = min(vertex.co.z for vertex in result.data.vertices) + result.location.z
    facts["images_size"], facts["images_notes"] = list(result.dimensions), list(session.notes)


def wrong_images(facts, session, out):
    bpy.ops.gtr.load_folder(directory=str(write_images(out / "opaque", disc(255)[:, :, :3])))
    settings().background = "ALPHA"
    fault(facts, session, "no_alpha")
    settings().background = "AUTO"
    empty = np.zeros((128, 128, 4), np.uint8)
    bpy.ops.gtr.load_folder(directory=str(write_images(out / "empty", empty)))
    fault(facts, session, "empty_mask")
    good = write_images(out / "good", disc(0))
    bpy.ops.gtr.load_folder(directory=str(good))
    settings().camera_set, settings().camera_file = "file", str(good)
    fault(facts, session, "camera_missing")
    matrix = [[0] * 4] * 4
    frames = [{"file_path": f"{name}.png", "transform_matrix": matrix} for name in VIEWS]
    (good / "transforms.json").write_text(json.dumps({"fl_x": 100, "w": 128, "h": 128, "frames": frames}))
    fault(facts, session, "camera_invalid")
    (good / "transforms.json").unlink()
    settings().camera_set = "orthogonal"
    for _ in range(3):
        bpy.ops.gtr.remove_image()
    fault(facts, session, "too_few_views")
    bpy.ops.gtr.load_folder(directory=str(good))
    (good / "back.png").write_bytes((good / "back.png").read_bytes()[:60])
    fault(facts, session, "bad_image")
    count = len(settings().slots)
    bpy.ops.gtr.fix(action="remove_image")
    facts["removed"] = [count - len(settings().slots), "Back" in [slot.view for slot in settings().slots]]


def wrong_server(facts, session):
    settings().source = "SCENE"
    other = HTTPServer(("127.0.0.1", 0), Gradio)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    preferences().server_mode, preferences().server_url = "ATTACHED", f"http://localhost:{other.server_port}/"
    settings().seed = 3
    fault(facts, session, "not_gtr")
    facts["not_gtr"]["port"] = other.server_port
    other.shutdown()
    preferences().server_mode = "MANAGED"
    session.mailbox.runner().stop_server()
    preferences().server_python = "/nonexistent/python"
    fault(facts, session, "server_not_installed")
    facts["not_set_up"] = session.state.value


def main():
    addon, out = (Path(path) for path in sys.argv[1:3])
    facts = {}
    bpy.ops.preferences.addon_install(filepath=str(addon), overwrite=True)
    bpy.ops.preferences.addon_enable(module="gtr")
    from gtr.run.session import session

    preferences().size, preferences().samples = 128, 1
    settings().quality, settings().views, settings().refine = "DRAFT", 6, False
    bpy.ops.object.select_all(action="DESELECT")
    fault(facts, session, "no_selection")
    select(bpy.data.objects["Light"])
    fault(facts, session, "nothing_renderable")
    each_separately(facts, session)
    from_images(facts, session, out)
    wrong_images(facts, session, out)
    select(bpy.data.objects["Cube"])
    wrong_server(facts, session)
    bpy.ops.preferences.addon_disable(module="gtr")
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


main()
