"""Pictures from files: the list, grids, folders with cameras."""

import io
import json
import math
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import numpy as np
from mathutils import Matrix
from scenario import add, block_counts, raises, run, sphere

from blender_addon import camera_sets, properties
from blender_addon.formats.picture_files import encode_png
from blender_addon.views import cameras_preview, images_input

properties.register()
FOLDER = tempfile.TemporaryDirectory()


def settings():
    return bpy.context.scene.gtr


def picture(name, width=32, height=32, folder=None):
    """A picture whose every pixel tells its place."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    pixels = np.stack([rows, columns, rows ^ columns, np.full_like(rows, 200)], -1)
    path = Path(folder or FOLDER.name) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(pixels))
    return path, pixels


def check_views_are_found_by_name():
    names = ["mug_left.png", "mug_front.png", "mug_back.png", "mug_right.png"]
    for name in names:
        picture(name)
    images_input.add_files(bpy.context, FOLDER.name, names)
    assert [slot.view for slot in settings().slots] == ["Left", "Front", "Back", "Right"]
    views = images_input.collect_views(bpy.context)
    wanted = {camera.name: camera for camera in camera_sets.named_cameras("orthogonal", 32, 32)}
    for view, name in zip(views, ["Left", "Front", "Back", "Right"], strict=True):
        assert (view.name, view.K, view.world_to_camera) == (name, wanted[name].K, wanted[name].world_to_camera)
        assert view.depth_npy is None
    assert views[0].png == Path(FOLDER.name, names[0]).read_bytes()


def check_order_counts_without_names():
    names = [picture(f"{i}.png")[0].name for i in range(4)]
    images_input.add_files(bpy.context, FOLDER.name, names)
    assert [view.name for view in images_input.collect_views(bpy.context)] == ["Front", "Right", "Back", "Left"]


def check_refusals():
    error = raises("too_few_views", images_input.collect_views, bpy.context)
    assert error.values == {"needed": 4, "loaded": 0}
    broken = Path(FOLDER.name) / "broken.png"
    broken.write_bytes(b"no picture")
    error = raises("bad_image", images_input.add_files, bpy.context, FOLDER.name, ["broken.png"])
    assert error.values == {"name": "broken.png"}
    assert len(settings().slots) == 0
    names = [picture(f"{i}.png")[0].name for i in range(5)]
    images_input.add_files(bpy.context, FOLDER.name, names)
    error = raises("camera_missing", images_input.collect_views, bpy.context)
    assert error.view == 4
    settings().slots.remove(4)
    path = Path(settings().slots[2].filepath)
    path.write_bytes(b"gone bad")
    error = raises("bad_image", images_input.collect_views, bpy.context)
    assert (error.view, error.values["name"]) == (2, "2.png")
    settings().camera_set = "scene"
    raises("camera_missing", images_input.collect_views, bpy.context)


def check_grid_is_cut_into_six():
    path, pixels = picture("grid.png", 80, 120, Path(FOLDER.name) / "grid")
    before = block_counts()
    images_input.paste_grid(bpy.context, str(path))
    assert block_counts() == before
    assert settings().camera_set == "zero123plus"
    tiles = [Path(slot.filepath).read_bytes() for slot in settings().slots]
    expected = [pixels[r * 40 : r * 40 + 40, c * 40 : c * 40 + 40] for r in range(3) for c in range(2)]
    assert tiles == [encode_png(tile) for tile in expected]
    views = images_input.collect_views(bpy.context)
    wanted = camera_sets.named_cameras("zero123plus", 40, 40)
    assert [view.world_to_camera for view in views] == [camera.world_to_camera for camera in wanted]
    raises("bad_input", images_input.paste_grid, bpy.context, str(picture("wrong.png", 50, 50)[0]))


def write_transforms(folder, cameras, **top):
    frames = []
    for index, camera in enumerate(cameras):
        picture(f"images/{index}.png", folder=folder)
        pose = np.linalg.inv(camera.world_to_camera) * (1, -1, -1, 1)
        if top.get("world_up") != "y":
            pose[:3] = pose[[0, 2, 1]] * [[1], [-1], [1]]
        normal = np.zeros((32, 32, 3), np.float32)
        normal[...] = (1, 2, 3)
        np.save(folder / f"depth_{index}.npy", np.full((32, 32), 4 + index, np.float32))
        np.save(folder / f"normal_{index}.npy", normal)
        frames.append(
            {
                "file_path": f"images/{index}",
                "transform_matrix": pose.tolist(),
                "depth_file_path": f"depth_{index}.npy",
                "normal_file_path": f"normal_{index}.npy",
            }
        )
    focal = cameras[0].K[0][0]
    head = {"fl_x": focal, "fl_y": focal, "cx": 16, "cy": 16, "w": 32, "h": 32, "frames": frames, **top}
    (folder / "transforms.json").write_text(json.dumps(head))


def check_folder_with_transforms():
    wanted = camera_sets.cameras(6, 32, 32)
    for up in ("z", "y"):
        folder = Path(FOLDER.name) / f"nerf_{up}"
        folder.mkdir()
        write_transforms(folder, wanted, **({"world_up": "y"} if up == "y" else {}))
        images_input.load_folder(bpy.context, str(folder))
        views = images_input.collect_views(bpy.context)
        for index, (view, camera) in enumerate(zip(views, wanted, strict=True)):
            assert np.abs(np.subtract(view.world_to_camera, camera.world_to_camera)).max() < 1e-9
            assert np.allclose(view.K, camera.K)
            assert view.depth_npy == (folder / f"depth_{index}.npy").read_bytes()
            normal = np.load(io.BytesIO(view.normal_npy), allow_pickle=False)
            assert (normal == ((1, 2, 3) if up == "y" else (1, 3, -2))).all()
            assert normal.dtype == np.float32


def check_folder_with_camera_text():
    wanted = camera_sets.cameras(4, 32, 32)
    folder = Path(FOLDER.name) / "text"
    folder.mkdir()
    for index, camera in enumerate(wanted):
        picture(f"rgb_{index:03d}.png", folder=folder)
        rows = "\n".join(" ".join(f"{value:f}" for value in row) for row in camera.world_to_camera[:3])
        f = camera.K[0][0]
        (folder / f"cam_{index:03d}.txt").write_text(f"extrinsic\n{rows}\n0 0 0 1\n\nintrinsic\n{f} {f} 16 16 32 32")
    images_input.load_folder(bpy.context, str(folder))
    for view, camera in zip(images_input.collect_views(bpy.context), wanted, strict=True):
        assert np.abs(np.subtract(view.world_to_camera, camera.world_to_camera)).max() <= 2e-6
        assert np.allclose(view.K, camera.K, rtol=1e-6)
    (folder / "cam_001.txt").write_text("nothing")
    raises("camera_invalid", images_input.collect_views, bpy.context)


def check_scene_cameras_look_at_the_object():
    center = np.array((3.0, -2.0, 1.0))
    for index, azimuth in enumerate((0, 90, 180, 270)):
        data = bpy.data.cameras.new(f"shot_{index}")
        data.angle = math.radians(30)
        camera = add(data, f"shot_{index}")
        a = math.radians(azimuth)
        camera.matrix_world = Matrix.Translation(center + 8 * np.array((math.sin(a), -math.cos(a), 0))) @ (
            Matrix.Rotation(a, 4, "Z") @ Matrix.Rotation(math.pi / 2, 4, "X")
        )
    bpy.context.view_layer.update()
    names = [picture(f"shot_{i}.png")[0].name for i in (2, 0, 1, 3)]
    images_input.add_files(bpy.context, FOLDER.name, names)
    settings().camera_set = "scene"
    placement = images_input.placement(bpy.context)
    assert np.allclose(placement.center, center, atol=1e-4)
    wanted = camera_sets.named_cameras("orthogonal", 32, 32)
    for view, index in zip(images_input.collect_views(bpy.context), (2, 0, 1, 3), strict=True):
        # The same directions; the distance follows from the sphere that fills the picture.
        assert np.abs(np.subtract(view.world_to_camera, wanted[index].world_to_camera)[:3, :3]).max() < 1e-5
        assert np.allclose(view.K, wanted[index].K, rtol=1e-5)
    ball = sphere(location=tuple(center), radius=2)
    assert bpy.context.selected_objects == [ball]
    assert np.allclose(images_input.placement(bpy.context).center, center, atol=1e-4)


def check_placement_stands_on_the_ground():
    settings().height = 1.5
    placement = images_input.placement(bpy.context)
    assert (placement.center, placement.radius) == ((0, 0, 0.75), 0.75)


def check_too_large_pictures_are_made_smaller():
    limit, images_input.MAX_PIXELS = images_input.MAX_PIXELS, 20 * 20
    try:
        names = [picture(f"{i}.png")[0].name for i in range(4)]
        images_input.add_files(bpy.context, FOLDER.name, names)
        error = raises("image_too_large", images_input.collect_views, bpy.context)
        assert error.view == 0
        images_input.downscale(bpy.context)
        views = images_input.collect_views(bpy.context)
    finally:
        images_input.MAX_PIXELS = limit
    assert views[0].K[0][2] == 10
    assert not bpy.data.images


def check_preview_draws_and_stops():
    before = block_counts()
    cameras_preview.show(camera_sets.cameras(14, 512, 512), (1, 2, 3), 1.9)
    cameras_preview.show(camera_sets.cameras(4, 512, 512), (1, 2, 3), 1.9)
    assert cameras_preview.is_shown()
    cameras_preview.hide()
    cameras_preview.hide()
    assert not cameras_preview.is_shown()
    assert block_counts() == before
    front = camera_sets.cameras(4, 512, 512)[0]
    points = cameras_preview.outline(front, (1, 2, 3), 2.0)
    assert len(points) == 22
    assert np.allclose(points[0], (1, 2 - 8, 3)), "the front camera stands on -Y"
    assert np.allclose(np.mean(points[1:16:4], axis=0), (1, 2 - 8 + 1.2, 3)), "and looks at the object"


run(globals())
