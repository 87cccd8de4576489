"""Rules of the add-on's code that a reviewer would otherwise have to remember."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADDON = ROOT / "blender_addon"
FILES = sorted(path for path in ADDON.rglob("*.py") if "__pycache__" not in path.parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


def test_client_loads_without_bpy_numpy_and_requests() -> None:
    code = (
        "import sys\nfor name in ('bpy', 'numpy', 'requests', 'torch'): sys.modules[name] = None\n"
        "import blender_addon.jobs, blender_addon.client, blender_addon.camera_sets, blender_addon.formats.glb"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ADDON)))
def test_forbidden_calls(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in {"os.system", "os.popen"}, node.lineno
            # Inside Blender it may be any Python: only for the process that needs Blender's packages and tries others.
            assert ast.unparse(node) != "sys.executable" or path.name == "job_process.py", node.lineno
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "marshal", "shelve", "pip", "urllib.request"}, node.lineno
        elif isinstance(node, ast.Call):
            called, options = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert called not in {"eval", "exec", "__import__"}, node.lineno
            assert options.get("shell") is None, node.lineno
            if called == "np.load":
                assert options.get("allow_pickle") == "False", node.lineno
            if called.endswith("session.request") or called.startswith("requests."):
                assert "timeout" in options, node.lineno
                assert options.get("allow_redirects") == "False", node.lineno


def test_broad_except_only_at_the_boundary_of_the_worker_thread() -> None:
    places = [
        path.name
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    ]
    assert places == ["jobs.py"]
