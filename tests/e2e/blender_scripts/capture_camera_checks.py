"""Cameras, depth and normals of a capture."""

import math
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from capturing import array, take
from mathutils import Matrix, Vector
from scenario import add, monkey, run

from blender_addon import coords
from blender_addon.capture import Capture, CaptureSettings
from blender_addon.views import blender_cameras


def check_views_have_the_cameras_they_say():
    obj = monkey()
    shot = Capture(bpy.context, [obj], CaptureSettings(views=14, size=512))
    scene = bpy.data.scenes[shot._scene.name]
    unit, center = shot.placement.radius / 0.95, Vector(shot.placement.center)
    scene.render.resolution_x = scene.render.resolution_y = 512
    rng, worst = random.Random(1), 0.0
    for camera in shot._cameras:
        scene.camera.matrix_world = blender_cameras.pose_in_blender(camera.world_to_camera, center, unit)
        scene.view_layers[0].update()
        for _ in range(50):
            point = Vector([rng.uniform(-0.6, 0.6) for _ in range(3)])
            view = world_to_camera_view(scene, scene.camera, Vector(coords.blender_from_gtr(point)) * unit + center)
            x, y, z = (Matrix(camera.world_to_camera) @ point.to_4d())[:3]
            u, v = (camera.K[i][i] * c / z + camera.K[i][2] for i, c in ((0, x), (1, y)))
            worst = max(worst, abs(u - view.x * 512), abs(v - (1 - view.y) * 512))
    shot.close()
    assert worst < 1e-3, worst


def check_any_camera_object():
    data = bpy.data.cameras.new("Eye")
    camera = add(data, "Eye", (4, -7, 3))
    camera.rotation_euler, camera.scale = (1.1, 0.2, 0.4), (2, 3, 0.5)
    scene = bpy.context.scene
    rng, worst = random.Random(2), 0.0
    for fit in ("AUTO", "HORIZONTAL", "VERTICAL"):
        for width, height in ((640, 480), (480, 640), (512, 512)):
            for aspect in ((1, 1), (2, 1), (1, 1.5)):
                data.sensor_fit, data.sensor_width, data.sensor_height, data.lens = fit, 36, 22, 41
                data.shift_x, data.shift_y = 0.1, -0.07
                scene.render.resolution_x, scene.render.resolution_y = width, height
                scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
                bpy.context.view_layer.update()
                K = blender_cameras.intrinsics(data, width, height, aspect)
                w2c = Matrix(blender_cameras.world_to_camera(camera, (1, 2, 3), 2.5))
                for _ in range(20):
                    local = Vector((rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4), -1)) * rng.uniform(2, 9)
                    rigid = Matrix.LocRotScale(camera.location, camera.rotation_euler, None)
                    point = rigid @ local
                    seen = world_to_camera_view(scene, camera, point)
                    gtr = Vector(coords.gtr_from_blender((point - Vector((1, 2, 3))) / 2.5))
                    x, y, z = (w2c @ gtr.to_4d())[:3]
                    u, v = (K[i][i] * c / z + K[i][2] for i, c in ((0, x), (1, y)))
                    worst = max(worst, abs(u - seen.x * width), abs(v - (1 - seen.y) * height))
    assert worst < 1e-3, worst


def check_depth_and_normals_are_where_rays_hit():
    obj = monkey()
    shot = take([obj], CaptureSettings(views=6, size=128))
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    center, unit = np.array(shot.placement.center), shot.placement.radius / 0.95
    to_local = obj.matrix_world.inverted()
    rng = random.Random(3)
    distances, angles = [], []
    for view in shot.views:
        depth, normal = array(view.depth_npy), array(view.normal_npy)
        assert (depth.dtype, depth.shape, normal.dtype, normal.shape) == (
            np.float32,
            (128, 128),
            np.float32,
            (128, 128, 3),
        )
        assert ((depth > 0) == (np.linalg.norm(normal, axis=-1) > 0.5)).all()
        pose, K = np.linalg.inv(view.world_to_camera), np.array(view.K)
        rows, columns = np.nonzero(depth)
        for k in rng.sample(range(len(rows)), 150):
            r, c = rows[k], columns[k]
            ray = np.linalg.inv(K) @ (c + 0.5, r + 0.5, 1) * depth[r, c]
            point = pose[:3, :3] @ ray + pose[:3, 3]
            in_scene = Vector(coords.blender_from_gtr(tuple(point))) * unit + Vector(center)
            eye = Vector(coords.blender_from_gtr(tuple(pose[:3, 3]))) * unit + Vector(center)
            start = to_local @ eye
            hit, where, face_normal, _ = evaluated.ray_cast(start, (to_local @ in_scene) - start)
            if hit:
                distances.append(((obj.matrix_world @ where) - in_scene).length)
                world = (to_local.transposed().to_3x3() @ face_normal).normalized()
                cosine = world.dot(Vector(coords.blender_from_gtr(tuple(normal[r, c].tolist()))))
                angles.append(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))
    assert len(distances) > 850, len(distances)
    assert np.median(distances) <= 1e-5 * shot.placement.radius, np.median(distances)
    assert np.median(angles) < 0.1, np.median(angles)


run(globals())
