"""Run as a program by :mod:`..job_process`: makes the add-on's package importable under its name, without Blender.

python -I start_child.py PACKAGE FOLDER HANDLE [PATH ...]
"""

import importlib
import importlib.util
import sys
import types

name, folder, handle, *paths = sys.argv[1:]
sys.path.extend(path for path in paths if path not in sys.path)
# An extension's package lies in packages that exist in Blender only.
parts = name.split(".")
for depth in range(1, len(parts)):
    parent = ".".join(parts[:depth])
    sys.modules[parent] = types.ModuleType(parent)
spec = importlib.util.spec_from_file_location(name, f"{folder}/__init__.py", submodule_search_locations=[folder])
if spec is None or spec.loader is None:
    sys.exit(f"{folder} holds no package")
package = importlib.util.module_from_spec(spec)
sys.modules[name] = package
spec.loader.exec_module(package)
importlib.import_module(f"{name}.job.child").main(int(handle))
