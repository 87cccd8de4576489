"""A Blender that goes away while its job runs, and the next one that fetches the result; prints JSON facts.

``python panel_former.py ADDON_ZIP OUT_FOLDER``; GTR_HOME and GTR_PYTHON tell where the server lives.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
from holding import hold, let_go


def settings():
    found = bpy.context.scene.gtr
    found.quality, found.views, found.refine, found.place = "DRAFT", 8, True, "OVER"
    found.steps = 5
    preferences = bpy.context.preferences.addons["gtr"].preferences
    preferences.size, preferences.samples = 128, 1


def enable():
    bpy.ops.preferences.addon_enable(module="gtr")
    from gtr.run.session import session

    return session


def wait_for(session, condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still {session.state} after {seconds} s: {session.error}"
        session.tick()
        time.sleep(0.02)


def bounds(obj):
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = [obj.matrix_world @ vertex.co for vertex in evaluated.data.vertices]
    return [[reach(point[axis] for point in points) for axis in range(3)] for reach in (min, max)]


def first_blender(file, kind):
    """Reconstruct, save while the server does a job of this kind, die without a farewell."""
    session = enable()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.mesh.primitive_monkey_add(size=3, location=(2, -1, 4))
    settings()
    if kind == "refine":
        bpy.context.scene.gtr.steps = 100
    bpy.ops.gtr.reconstruct()
    wait_for(session, lambda: f'"kind": "{kind}"' in bpy.context.scene.gtr.running_job)
    assert session.busy
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    os._exit(0)


def reopen(file, text):
    """The same file with another text in place of the job."""
    bpy.context.scene.gtr.running_job = text
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    bpy.ops.wm.open_mainfile(filepath=str(file))


def fetch(facts, session, file):
    bpy.ops.wm.open_mainfile(filepath=str(file))
    stored = json.loads(bpy.context.scene.gtr.running_job)
    facts["stored"] = stored
    for _ in range(5):
        session.tick()
    facts["opened"] = [session.state.value, session.busy, session.former.offered is None]
    session.start_server()
    wait_for(session, lambda: session.former.offered)
    facts["offered"] = [session.busy, len(bpy.data.objects)]
    facts["fetch"] = sorted(bpy.ops.gtr.fetch_result(wait=True))
    facts["error"], facts["message"] = str(session.error), session.message
    source, result = bpy.data.objects["Suzanne"], bpy.data.objects["Suzanne_GTR"]
    facts["source_bounds"], facts["result_bounds"] = bounds(source), bounds(result)
    facts["record"] = json.loads(result["gtr"])
    facts["left"] = [bpy.context.scene.gtr.running_job, session.former.offered is None]
    return stored


def fetch_colors(facts, session, file):
    """The same for a job that refines: its mesh is in the file, its colours come now."""
    bpy.ops.wm.open_mainfile(filepath=str(file))
    facts["refine_stored"] = json.loads(bpy.context.scene.gtr.running_job)
    result = bpy.data.objects["Suzanne_GTR"]
    facts["refine_before"] = [json.loads(result["gtr"])["refined"], len(bpy.data.objects)]
    wait_for(session, lambda: session.former.offered)
    facts["refine_fetch"] = sorted(bpy.ops.gtr.fetch_result(wait=True))
    facts["refine_error"] = str(session.error)
    facts["refine_record"] = json.loads(bpy.data.objects["Suzanne_GTR"]["gtr"])
    facts["refine_left"] = [bpy.context.scene.gtr.running_job, len(bpy.data.objects)]


def stale(facts, session, file, stored):
    for name, text in (
        ("unknown", json.dumps({**stored, "job": "nobody_knows_this"})),
        ("unlike", json.dumps({**stored, "kind": "other"})),
        ("broken", "[1"),
    ):
        reopen(file, text)
        count = len(bpy.data.objects)
        # One question and its answer; a text that is none of ours is not even asked about.
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and bpy.context.scene.gtr.running_job and name == "unknown":
            session.tick()
            time.sleep(0.02)
        session.tick()
        outcome = [session.former.offered is None, session.error is None, len(bpy.data.objects) - count]
        facts[name] = [bpy.context.scene.gtr.running_job == "", *outcome]


def keep(facts, session):
    """Captures are kept beside the saved file, and can be loaded again."""
    bpy.context.preferences.addons["gtr"].preferences.keep_captures = True
    source = bpy.data.objects["Suzanne"]
    source.hide_set(False)
    source.select_set(True)
    bpy.context.view_layer.objects.active = source
    bpy.ops.gtr.reconstruct(wait=True)
    facts["keep_error"] = str(session.error)
    record = json.loads(bpy.context.view_layer.objects.active["gtr"])
    facts["kept"] = [record["id"], record["views"], str(bpy.path.abspath(record["views"]))]
    facts["kept_cameras"] = record["cameras"]
    facts["running_after"] = bpy.context.scene.gtr.running_job
    bpy.ops.gtr.load_folder(directory=bpy.path.abspath(record["views"]))
    from gtr.views import images_input

    views = images_input.collect_views(bpy.context)
    facts["loaded"] = [len(views), all(view.depth_npy and view.normal_npy for view in views)]


def main():
    addon, out = (Path(path) for path in sys.argv[1:3])
    file, refining = out / "thing.blend", out / "refining.blend"
    if sys.argv[3:]:
        first_blender(refining if sys.argv[3] == "refine" else file, sys.argv[3])
    facts = {}
    bpy.ops.preferences.addon_install(filepath=str(addon), overwrite=True)
    hold("texture")  # and so the second job waits for its turn behind the first
    for kind in ("refine", "reconstruct"):
        subprocess.run([sys.executable, *sys.argv, kind], check=True, timeout=900)
    let_go()
    session = enable()
    stored = fetch(facts, session, file)
    stale(facts, session, file, stored)
    fetch_colors(facts, session, refining)
    settings()
    keep(facts, session)
    bpy.ops.preferences.addon_disable(module="gtr")
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


main()
