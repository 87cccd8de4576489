"""Pictures through the scene's active camera: in the list, paired with it, exact for any lens and format."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from capturing import pixels
from mathutils import Vector
from scenario import add, block_counts, monkey, raises, run, sphere

from blender_addon import coords, preferences, properties
from blender_addon.formats.picture_files import read_picture
from blender_addon.preferences import get_preferences
from blender_addon.views import active_camera, images_input, kept_files

properties.register()


def eye(name="Eye", location=(3, -9, 4), target=(3, 1, 2)):
    """A camera that looks at the target, active."""
    camera = add(bpy.data.cameras.new(name), name, location)
    camera.rotation_euler = (Vector(target) - Vector(location)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.camera = camera
    bpy.context.view_layer.update()
    return camera


def slots():
    return bpy.context.scene.gtr.slots


def opaque(slot):
    """Whether the object is seen, by pixel."""
    data = Path(slot.filepath).read_bytes()
    return pixels(type("View", (), {"png": data}))[..., 3] > 127


def projected(obj, view):
    """(N,2) pixels of all vertices, by the camera that is sent with the picture."""
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    placement = images_input.placement(bpy.context)
    center, unit = np.array(placement.center), placement.radius / 0.95
    points = np.array([obj.matrix_world @ vertex.co for vertex in evaluated.data.vertices])
    world = coords.gtr_from_blender((points - center) / unit)
    pose, K = np.array(view.world_to_camera), np.array(view.K)
    image = (world @ pose[:3, :3].T + pose[:3, 3]) @ K.T
    return image[:, :2] / image[:, 2:]


def check_the_picture_has_the_camera_it_is_paired_with():
    obj = monkey()
    render = bpy.context.scene.render
    camera = eye()
    camera.scale = (2, 0.5, 1)
    for fit in ("AUTO", "HORIZONTAL", "VERTICAL"):
        for width, height, aspect in ((1920, 1080, (1, 1)), (300, 400, (1, 1)), (640, 480, (1, 1.5))):
            slots().clear()
            camera.data.sensor_fit, camera.data.lens = fit, 30
            camera.data.shift_x, camera.data.shift_y = 0.1, -0.06
            camera.data.dof.use_dof, camera.data.dof.aperture_fstop = True, 0.01
            render.resolution_x, render.resolution_y = width, height
            render.pixel_aspect_x, render.pixel_aspect_y = aspect
            bpy.context.view_layer.update()
            active_camera.add_slot(bpy.context)
            _, w, h = read_picture(Path(slots()[0].filepath))
            assert max(w, h) == 512
            assert abs(w / h - width / height) < 0.01
            slots().add().filepath = slots()[0].filepath  # one picture alone has no shape
            seen = opaque(slots()[0])
            rows, columns = np.nonzero(seen)
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            points = projected(obj, images_input.collect_views(bpy.context)[0])
            error = np.abs([points.min(0) - low, points.max(0) - high]).max()
            assert error < 1.0, (fit, width, height, aspect, error)


def check_it_shows_the_selected_or_all():
    left, right = sphere("Left", (-2, 0, 0)), sphere("Right", (2, 0, 0))
    camera = eye(location=(0, -12, 0), target=(0, 0, 0))
    shown = []
    for chosen in ([left], [], [camera], [left, right]):
        for obj in bpy.context.view_layer.objects:
            obj.select_set(obj in chosen)
        active_camera.add_slot(bpy.context)
        seen = opaque(slots()[0])
        half = seen.shape[1] // 2
        shown.append((bool(seen[:, :half].any()), bool(seen[:, half:].any())))
    assert shown == [(True, False), (True, True), (True, True), (True, True)]
    assert len(slots()) == 1, "one picture for each camera"


def check_every_camera_has_its_own_picture():
    sphere()
    cameras = [eye(name, location, (0, 0, 0)) for name, location in (("Eye.001", (0, -9, 0)), ("a/b", (9, 0, 0)))]
    for camera in cameras:
        bpy.context.scene.camera = camera
        active_camera.add_slot(bpy.context)
    settings = bpy.context.scene.gtr
    assert (settings.source, settings.camera_set, settings.slot_index) == ("IMAGES", "scene", 1)
    views = images_input.collect_views(bpy.context)
    assert [view.name for view in views] == [slot.view for slot in slots()] == ["Eye.001", "a/b"]
    for view, camera in zip(views, cameras, strict=True):
        inside = coords.gtr_from_blender(camera.matrix_world.translation.normalized())
        where = np.linalg.inv(view.world_to_camera)[:3, 3]
        assert np.allclose(where / np.linalg.norm(where), inside, atol=1e-5)


def check_nothing_is_left_behind():
    monkey()
    eye()
    active_camera.add_slot(bpy.context)
    slots().clear()
    before, selected = block_counts(), list(bpy.context.selected_objects)
    render = bpy.context.scene.render
    settings = (render.engine, render.resolution_x, render.filepath, bpy.context.scene.name)
    active_camera.add_slot(bpy.context)
    assert block_counts() == before
    assert list(bpy.context.selected_objects) == selected
    assert (render.engine, render.resolution_x, render.filepath, bpy.context.scene.name) == settings


def check_refusals():
    sphere()
    error = raises("camera_missing", active_camera.add_slot, bpy.context)
    assert error.text == "The scene has no active camera."
    camera = eye()
    camera.data.type = "ORTHO"
    raises("camera_invalid", active_camera.add_slot, bpy.context)
    camera.data.type = "PERSP"
    bpy.data.objects.remove(bpy.data.objects["Ball"])
    raises("nothing_renderable", active_camera.add_slot, bpy.context)
    assert len(slots()) == 0


def check_kept_beside_a_saved_file():
    def keeping(context):
        found = get_preferences(context)
        found.keep_captures = True
        return found

    sphere()
    eye()
    kept_files.get_preferences = keeping
    try:
        active_camera.add_slot(bpy.context)
        assert Path(bpy.app.tempdir) in Path(slots()[0].filepath).parents, "the file is not saved yet"
        with tempfile.TemporaryDirectory() as folder:
            bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "thing.blend"))
            slots().clear()
            active_camera.add_slot(bpy.context)
            assert Path(slots()[0].filepath).resolve() == (Path(folder) / "gtr/cameras/Eye.png").resolve()
            assert Path(slots()[0].filepath).is_file()
    finally:
        kept_files.get_preferences = preferences.get_preferences


run(globals())
