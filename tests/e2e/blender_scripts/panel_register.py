"""Registering without numpy and requests: no traceback, one reason on the button, nothing left afterwards.

``panel_register.py`` in any Blender, the add-on being installed as ``gtr``; prints GTR_FACTS and JSON.
"""

import json
import re
import sys
from pathlib import Path

import bpy

for name in ("numpy", "requests"):
    sys.modules[name] = None


def reason(operator):
    """Why a button is grey, as Blender tells scripts."""
    try:
        operator()
    except RuntimeError as error:
        return str(error)
    return ""


def handlers():
    """How many functions listen to files and undo."""
    return sum(len(getattr(bpy.app.handlers, name)) for name in ("load_pre", "save_pre", "undo_pre"))


facts = {"before": hasattr(bpy.types.Scene, "gtr"), "handlers": [handlers()]}
facts["enable"] = sorted(bpy.ops.preferences.addon_enable(module="gtr"))
facts["there"] = [hasattr(bpy.types.Scene, "gtr"), hasattr(bpy.types, "GTR_PT_reconstruct")]
facts["reconstruct"] = reason(bpy.ops.gtr.reconstruct)
facts["start"] = reason(bpy.ops.gtr.server_start)
facts["views"] = bpy.context.scene.gtr.views
facts["handlers"].append(handlers())
bpy.ops.preferences.addon_disable(module="gtr")
facts["left"] = [
    hasattr(bpy.types.Scene, "gtr"),
    hasattr(bpy.types, "GTR_PT_reconstruct"),
    hasattr(bpy.types.WindowManager, "gtr"),
]
facts["handlers"].append(handlers())
known = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys()
sources = [path.read_text("utf-8") for path in Path(sys.modules["gtr"].__file__).parent.glob("panels/*.py")]
icons = set(re.findall(r"icon=\"([A-Z0-9_]+)\"", "".join(sources)))
facts["icons"] = [len(icons), sorted(icons - set(known))]
facts["again"] = sorted(bpy.ops.preferences.addon_enable(module="gtr"))
print("GTR_FACTS " + json.dumps(facts), flush=True)
