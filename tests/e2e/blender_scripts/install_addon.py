"""Runs inside Blender: install, enable, disable, enable again, install over it, remove. Prints one line of JSON.

Arguments after ``--``: the zip, "legacy" or "extension", and "packages" or "blocked" (numpy and requests are missing).
"""

import importlib
import json
import sys
import time
from pathlib import Path

import bpy

ARGUMENTS = sys.argv[sys.argv.index("--") + 1 :]
ZIP, WAY, PACKAGES = ARGUMENTS
MODULE = "gtr" if WAY == "legacy" else "bl_ext.user_default.gtr"


def install() -> None:
    if WAY == "legacy":
        bpy.ops.preferences.addon_install(filepath=ZIP, overwrite=True)
    else:
        bpy.ops.extensions.package_install_files(filepath=ZIP, repo="user_default", enable_on_install=False)


def ours() -> list[str]:
    """Classes, timers apart, that Blender knows of us."""
    kinds = (bpy.types.Panel, bpy.types.Operator, bpy.types.PropertyGroup, bpy.types.AddonPreferences, bpy.types.UIList)
    classes = {c for kind in kinds for c in kind.__subclasses__() if c.__module__.startswith(MODULE)}
    return sorted(c.__name__ for c in classes if getattr(c, "is_registered", False))


def enable() -> None:
    bpy.ops.preferences.addon_enable(module=MODULE)
    addon = bpy.context.preferences.addons[MODULE]
    assert addon.preferences.bl_rna.identifier, "the preferences are there"
    assert bpy.context.scene.gtr.bl_rna.identifier
    assert bpy.ops.gtr.reconstruct.get_rna_type().name


def disable() -> None:
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert MODULE not in bpy.context.preferences.addons
    assert not hasattr(bpy.types.Scene, "gtr")
    assert not hasattr(bpy.types.WindowManager, "gtr")


def server_line() -> str:
    """What the job process of the installed add-on says of a server that does not run."""
    mailbox = importlib.import_module(f"{MODULE}.run.session").session.mailbox
    mailbox.runner().check_server()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        for event in mailbox.poll():
            return event.state
        time.sleep(0.02)
    return "silence"


def main() -> dict:
    if WAY == "extension":
        import addon_utils

        addon_utils.enable("bl_pkg")
    before = set(bpy.data.texts.keys()) | set(bpy.data.objects.keys())
    install()
    if PACKAGES == "blocked":
        sys.modules["numpy"] = sys.modules["requests"] = None
    enable()
    registered = ours()
    handlers = [h.__module__ for hs in bpy.app.handlers for h in (hs if isinstance(hs, list) else [])]
    disable()
    left = [h.__module__ for hs in bpy.app.handlers for h in (hs if isinstance(hs, list) else [])]
    enable()
    again = ours()
    install()
    if MODULE not in bpy.context.preferences.addons:
        enable()
    third = ours()
    line = "" if PACKAGES == "blocked" else server_line()
    disable()
    package = sys.modules[MODULE]
    folder = Path(package.__file__).parent
    return {
        "version": importlib.import_module(f"{MODULE}.version").addon_version(),
        # Blender takes bl_info away from extensions: their manifest counts.
        "bl_info": list(package.bl_info["version"]) if hasattr(package, "bl_info") else None,
        "registered": registered,
        "server_line": line,
        "same": registered == again == third,
        "handlers": sum(module.startswith(MODULE) for module in handlers),
        "handlers_left": sum(module.startswith(MODULE) for module in left),
        "data_same": before == set(bpy.data.texts.keys()) | set(bpy.data.objects.keys()),
        "folder": folder.name,
        "siblings": sorted(p.name for p in folder.parent.iterdir() if not p.name.startswith((".", "__"))),
        "missing": sys.modules[f"{MODULE}.packages"].missing(),
    }


print("INSTALL " + json.dumps(main()))
