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


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights of the preset ``gtr-tiny``."""
    from tiny_model import write_tiny_weights

    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "gtr-tiny.safetensors")


def pytest_configure() -> None:
    # No test shall see or change the models and jobs of the person who runs it.
    os.environ["GTR_HOME"] = str(ROOT / "out" / "no-home")
    os.environ.pop("GTR_MODELS", None)
    # Two spinning thread pools on two cores are slower than one (and the servers under test have theirs).
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
