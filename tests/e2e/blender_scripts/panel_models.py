"""Models in the panel, in one Blender without a window; prints what was found as JSON.

``python panel_models.py ADDON_ZIP OUT_FOLDER``; GTR_HOME and GTR_PYTHON tell where the server lives. The folder
``inputs`` beside OUT_FOLDER holds weights and pictures.
"""

import json
import os
import sys
import time
from pathlib import Path

import bpy


def settings():
    return bpy.context.scene.gtr


def box(session):
    error = session.error
    return {
        "code": error.code if error else "",
        "text": error.text if error else "",
        "buttons": [list(button) for button in error.buttons] if error else [],
    }


def line(session):
    model = session.model(settings().model)
    return [model.state, model.text or model.preset]


def result():
    return bpy.context.view_layer.objects.active


def record(obj):
    return json.loads(obj["gtr"])


def look(session, state):
    """Ask the server which models it has, until the chosen one is in this state."""
    wait_for(session, lambda: session.server.state == "ready")
    bpy.ops.gtr.look_for_models()
    wait_for(session, lambda: line(session)[0] == state)


def wait_for(session, condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still {session.server}"
        session.tick()
        time.sleep(0.02)


def missing(facts, session):
    views = {"at first": settings().views}
    bpy.ops.gtr.choose_model(model="gtr-mini")
    views["gtr-mini"] = settings().views
    facts["missing"] = {"outcome": sorted(bpy.ops.gtr.reconstruct(wait=True)), **box(session)}
    facts["missing_line"] = line(session)
    bpy.ops.gtr.fix(action="use_fit")
    session.pump()
    facts["use_fit_error"] = str(session.error)
    facts["use_fit_model"], facts["use_fit_record"] = settings().model, record(result())["settings"]["model"]
    views["fit"] = settings().views
    settings().views = 9
    bpy.ops.gtr.choose_model(model="gtr-mini")
    views["by hand"] = settings().views
    facts["views"] = views


def choose_file(facts, session, inputs):
    bpy.ops.gtr.choose_model_file(filepath=str(inputs / "full_checkpoint.pth"))
    facts["pickle"] = box(session)
    facts["chosen"] = sorted(bpy.ops.gtr.choose_model_file(filepath=str(inputs / "My weights.safetensors")))
    facts["chosen_error"], facts["chosen_model"] = str(session.error), settings().model
    look(session, "ready")
    facts["chosen_line"], facts["device"] = line(session), session.server.device


def reconstruct(session):
    outcome = sorted(bpy.ops.gtr.reconstruct(wait=True))
    found = {"outcome": outcome, "error": str(session.error)}
    if session.error is None:
        found |= {"record": record(result()), "vertices": len(result().data.vertices)}
        found["height"] = result().dimensions[2]
    return found


def learned(facts, session, inputs):
    settings().refine, settings().steps = True, 2
    bpy.ops.gtr.load_folder(directory=str(inputs / "official"))
    facts["official"] = reconstruct(session)
    bpy.ops.gtr.paste_grid(filepath=str(inputs / "grid.png"))
    settings().background = "AUTO"
    facts["grid"] = reconstruct(session)
    settings().source, settings().views = "SCENE", 4
    select(bpy.data.objects["Cube"])
    facts["scene"] = reconstruct(session)
    facts["scene_depth"] = [view.depth_npy is not None for view in session.last.views]


def without_weights(facts, session):
    home = Path(os.environ["GTR_HOME"])
    (home / "models" / "My_weights.safetensors").unlink()
    facts["refine"] = sorted(bpy.ops.gtr.refine(wait=True))
    facts["refine_error"] = str(session.error)
    look(session, "absent")
    facts["gone_line"] = line(session)
    bpy.ops.gtr.reconstruct(wait=True)
    facts["gone"] = box(session)


def select(obj):
    for other in bpy.context.view_layer.objects:
        other.select_set(other is obj)
    bpy.context.view_layer.objects.active = obj


def main():
    addon, out = (Path(path) for path in sys.argv[1:3])
    inputs, facts = out.parent / "inputs", {}
    bpy.ops.preferences.addon_install(filepath=str(addon), overwrite=True)
    bpy.ops.preferences.addon_enable(module="gtr")
    from gtr.run.session import session

    preferences = bpy.context.preferences.addons["gtr"].preferences
    preferences.size, preferences.samples = 96, 1
    settings().quality, settings().refine = "DRAFT", False
    cube = bpy.data.objects["Cube"]
    cube.dimensions = (1, 1, 1)
    select(cube)
    missing(facts, session)
    choose_file(facts, session, inputs)
    learned(facts, session, inputs)
    without_weights(facts, session)
    bpy.ops.preferences.addon_disable(module="gtr")
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


main()
