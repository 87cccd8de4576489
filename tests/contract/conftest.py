"""Fronts of the server, for the tests of its API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_under_test import Client, front

from gtr_server.services import Services


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Client, Services]]:
    with front(tmp_path / "home") as pair:
        yield pair


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Services]]:
    """A server for tests that leave nothing behind that others could stumble over."""
    with front(tmp_path_factory.mktemp("api") / "home") as pair:
        yield pair
