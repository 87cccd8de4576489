"""The zip: whole, deterministic, with one version, and nothing in it that does not belong there."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import build_addon

ROOT = Path(build_addon.__file__).resolve().parent


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of what is packed."""
    root = tmp_path / "copy"
    shutil.copytree(ROOT / "blender_addon", root / "blender_addon")
    shutil.copytree(ROOT / "LICENSES", root / "LICENSES")
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_same_bytes_whatever_the_clock_the_folder_and_the_rights(copy, tmp_path) -> None:
    first = build_addon.build(tmp_path / "a").read_bytes()
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o600)
    (copy / "blender_addon" / "__pycache__").mkdir(exist_ok=True)
    (copy / "blender_addon" / "__pycache__" / "x.py").write_text("")
    (copy / "blender_addon" / "notes.txt").write_text("not packed")
    assert build_addon.build(tmp_path / "b", copy).read_bytes() == first


def test_carriage_returns_do_not_matter(copy, tmp_path) -> None:
    for path in (copy / "blender_addon").glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert build_addon.contents(copy) == build_addon.contents()


def test_contents(tmp_path) -> None:
    with zipfile.ZipFile(build_addon.build(tmp_path)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert names == sorted(names)
        assert {name.split("/")[0] for name in names} == {"gtr"}
        assert {"gtr/__init__.py", "gtr/blender_manifest.toml", "gtr/LICENSE", "gtr/jobs.py"} <= set(names)
        assert not any("__pycache__" in name or "test" in name for name in names)
        packed = {name.removeprefix("gtr/") for name in names if name.endswith(".py")}
        wanted = {p.relative_to(ROOT / "blender_addon").as_posix() for p in (ROOT / "blender_addon").rglob("*.py")}
        assert packed == {name for name in wanted if "__pycache__" not in name}
        assert b"GNU GENERAL PUBLIC LICENSE" in archive.read("gtr/LICENSE")
        assert all(entry.date_time == build_addon.TIMESTAMP for entry in archive.infolist())


def test_version_comes_from_one_place(copy, tmp_path) -> None:
    pyproject = copy / "pyproject.toml"
    version = build_addon.project_version()
    pyproject.write_text(pyproject.read_text().replace(f'version = "{version}"', 'version = "7.8.9"', 1))
    path = build_addon.build(tmp_path, copy)
    assert path.name == "gtr-7.8.9.zip"
    files = build_addon.contents(copy)
    assert b'version = "7.8.9"' in files["gtr/blender_manifest.toml"]
    assert b'"version": (7, 8, 9)' in files["gtr/__init__.py"]


def test_sources_say_the_same_version() -> None:
    """The add-on also runs from the sources, where nobody stamps it."""
    files = build_addon.contents()
    for name in ("__init__.py", "blender_manifest.toml"):
        assert files[f"gtr/{name}"] == (ROOT / "blender_addon" / name).read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "gtr"', 'id = "other"'),
        ('blender_version_min = "4.2.0"', 'blender_version_min = "3.4.0"'),
        ('network = "', 'network = "' + "x" * 65),
        ('on this computer"', 'on this computer."'),
        ('\nversion = "', '\nedition = "'),
    ],
)
def test_manifests_that_blender_would_refuse(old: str, new: str) -> None:
    text = (ROOT / "blender_addon" / "blender_manifest.toml").read_text()
    assert old in text
    with pytest.raises((ValueError, KeyError)):
        build_addon.stamped_manifest(text.replace(old, new, 1), "1.0.0")


def test_licence_is_named() -> None:
    assert 'license = ["SPDX:GPL-3.0-or-later"]' in (ROOT / "blender_addon" / "blender_manifest.toml").read_text()


def test_command_line(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "build_addon.py"), "-o", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == tmp_path / f"gtr-{build_addon.project_version()}.zip"
    assert zipfile.is_zipfile(done.stdout.strip())
