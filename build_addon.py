"""Pack the Blender add-on: ``python build_addon.py [-o dist/]`` writes one zip for every Blender from 3.4 on.

The zip has the top folder ``gtr/``, with ``bl_info`` (add-on up to 4.1) and a manifest (extension from 4.2 on). The
same sources always give the same bytes. The version is that of pyproject.toml.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import zipfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent
TOP = "gtr"
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say; the time of building is nobody's business."""
PERMISSION_LIMIT = 64
SUFFIXES = {".py", ".toml", ".png", ".svg"}


def project_version(root: Path = ROOT) -> str:
    """The version in pyproject.toml: the only place where it is decided."""
    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def stamped_manifest(text: str, version: str) -> str:
    """The manifest with this version.

    Raises:
        ValueError: the manifest would be refused by Blender.
    """
    text, count = re.subn(r'^version = "[^"]*"$', f'version = "{version}"', text, flags=re.MULTILINE)
    manifest = tomllib.loads(text)
    if count != 1 or manifest["id"] != TOP or manifest["blender_version_min"] != "4.2.0":
        raise ValueError("the manifest lacks its version, id or lowest Blender version")
    for name, reason in manifest["permissions"].items():
        if len(reason) > PERMISSION_LIMIT or reason.endswith("."):
            raise ValueError(f"the permission {name} is longer than {PERMISSION_LIMIT} characters or ends with a stop")
    return text


def stamped_init(text: str, version: str) -> str:
    """``__init__.py`` with this version in its ``bl_info``.

    Raises:
        ValueError: there is no ``bl_info`` that Blender could read without running the file.
    """
    numbers = tuple(int(part) for part in version.split("."))
    text, count = re.subn(r'^(\s*"version": )\([^)]*\)', rf"\g<1>{numbers}", text, flags=re.MULTILINE)
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "bl_info":
            if count == 1 and ast.literal_eval(node.value)["version"] == numbers:
                return text
            break
    raise ValueError("__init__.py has no bl_info with one version")


def contents(root: Path = ROOT) -> dict[str, bytes]:
    """Files of the zip by name, sorted; every text file ends its lines with a line feed."""
    source, version = root / "blender_addon", project_version(root)
    files: dict[str, bytes] = {}
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or path.suffix not in SUFFIXES or "__pycache__" in relative.parts:
            continue
        data = path.read_bytes()
        if path.suffix in (".py", ".toml"):
            text = data.decode("utf-8").replace("\r\n", "\n")
            if relative.as_posix() == "blender_manifest.toml":
                text = stamped_manifest(text, version)
            elif relative.as_posix() == "__init__.py":
                text = stamped_init(text, version)
            data = text.encode("utf-8")
        files[f"{TOP}/{relative.as_posix()}"] = data
    files[f"{TOP}/LICENSE"] = (root / "LICENSES" / "GPL-3.0-or-later.txt").read_bytes()
    return dict(sorted(files.items()))


def build(folder: Path, root: Path = ROOT) -> Path:
    """Write the zip into ``folder`` (made when it is absent) and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gtr-{project_version(root)}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents(root).items():
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            # Stored, not deflated: compressed bytes differ between versions of zlib.
            archive.writestr(entry, data, zipfile.ZIP_STORED)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Pack the Blender add-on into one zip.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder for the zip (default: dist/)")
    path = build(parser.parse_args(arguments).output)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
