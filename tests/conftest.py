"""What all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def objects_dir() -> Path:
    """Folder of real textured objects to measure on; users do not have it."""
    folder = Path(os.environ.get("GTR_OBJECTS", ROOT.parent / "shared" / "objects"))
    if not (folder / "objects.csv").exists():
        pytest.skip("the folder of real objects is absent (set GTR_OBJECTS)")
    return folder


def pytest_configure() -> None:
    # Two spinning thread pools on two cores are slower than one (and the servers under test have theirs).
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
