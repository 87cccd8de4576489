"""A capture leaves nothing behind."""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
from capturing import SMALL, array, brown_image, take
from scenario import add, block_counts, monkey, node_material, raises, run, sphere

from blender_addon import capture
from blender_addon.capture import Capture
from blender_addon.views import capture_scene


def snapshot():
    scene = bpy.context.scene
    settings = {
        f"{group}.{prop.identifier}": repr(getattr(block, prop.identifier))
        for group, block in (
            ("render", scene.render), ("image", scene.render.image_settings), ("view", scene.view_settings),
            ("cycles", getattr(scene, "cycles", scene.render)),
        )
        for prop in block.bl_rna.properties
        if prop.type in {"BOOLEAN", "INT", "FLOAT", "ENUM", "STRING"}
        and not getattr(prop, "is_array", False)
    }  # fmt: skip
    layer = bpy.context.view_layer
    return {
        "blocks": block_counts(),
        "settings": settings,
        "scene": (scene.name, scene.frame_current, scene.camera and scene.camera.name),
        "selected": sorted(obj.name for obj in layer.objects if obj.select_get()),
        "active": layer.objects.active and layer.objects.active.name,
        "mode": bpy.context.mode,
        "matrices": {obj.name: [tuple(row) for row in obj.matrix_world] for obj in bpy.data.objects},
        "files": sorted(path.name for path in Path(bpy.app.tempdir or tempfile.gettempdir()).glob("gtr_capture_*")),
    }


def assert_same(before, after):
    flat = [{**state, **state["blocks"], **state["settings"]} for state in (before, after)]
    changed = {key: (flat[0][key], flat[1][key]) for key in flat[0] if flat[0][key] != flat[1][key]}
    changed.pop("blocks", None), changed.pop("settings", None)
    assert not changed, changed


def busy_scene():
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x, scene.render.filepath = 333, "//mine.png"
    scene.camera = add(bpy.data.cameras.new("Mine"), "Mine")
    scene.frame_set(7)
    sphere("Other", (9, 0, 0))
    material, tree, shader = node_material()
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = brown_image()
    tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    obj = monkey(levels=1)
    obj.data.materials.append(material)
    obj.keyframe_insert("location", frame=7)
    bpy.context.view_layer.update()
    return obj


def check_untouched_in_every_mode():
    obj = busy_scene()
    calls = []
    handlers = (bpy.app.handlers.render_pre, bpy.app.handlers.render_complete, bpy.app.handlers.frame_change_post)
    for handler in handlers:
        handler.append(lambda *args: calls.append(args))
    for mode in ("OBJECT", "EDIT", "SCULPT", "VERTEX_PAINT"):
        bpy.ops.object.mode_set(mode=mode)
        before = snapshot()
        shot = take([obj], SMALL, 2)
        assert len(shot.views) == 2
        assert (array(shot.views[0].depth_npy) > 0).any(), mode
        assert_same(before, snapshot())
    bpy.ops.object.mode_set(mode="OBJECT")
    assert not calls
    assert [len(handler) for handler in handlers] == [1, 1, 1]


def check_untouched_after_a_failure():
    obj = busy_scene()
    before = snapshot()
    real = capture.exr.read_channels

    def broken(data):
        raise ValueError("cut off")

    capture.exr.read_channels = broken
    try:
        raises("internal", take, [obj])
    finally:
        capture.exr.read_channels = real
    assert_same(before, snapshot())
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    folder, shot._folder = shot._folder, Path(__file__) / "no folder"
    raises("internal", shot.step)
    assert shot.step() is None
    shot.close()
    shutil.rmtree(folder)
    assert_same(before, snapshot())
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    shot.close()
    shot.close()
    assert_same(before, snapshot())


def check_goes_on_when_its_scene_vanishes():
    obj = monkey(levels=1)
    whole = take([obj])
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    capture_scene.remove_temporary()
    while shot.step() is not None:
        pass
    assert [view.name for view in shot.views] == [view.name for view in whole.views]
    assert all(a.depth_npy == b.depth_npy for a, b in zip(shot.views, whole.views, strict=True))
    shot = Capture(bpy.context, [obj], SMALL)
    shot.step()
    capture_scene.remove_temporary()
    bpy.data.objects.remove(obj)
    raises("no_selection", shot.step)
    assert not bpy.data.scenes[1:]


run(globals())
