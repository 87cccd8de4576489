"""One SQLite connection in one thread: every action is a transaction, and its result means it is on disk."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
Action = Callable[[sqlite3.Connection], Result]
log = logging.getLogger(__name__)

WAL_SAFE = (3, 51, 3)
"""From this version on SQLite's write-ahead log is free of the reset bug that can corrupt the file."""


class Database:
    """Owner of the connection.

    Args:
        path: the file; a damaged one is moved aside and replaced by an empty one.
        schema: statements that create what is missing.

    Raises:
        sqlite3.OperationalError: the file cannot be opened.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self.recovered: Path | None = None
        """Where a damaged file was moved to, if that happened."""
        self._thread = ThreadPoolExecutor(1, "database")
        self._connection = self._thread.submit(self._open, schema).result()

    def run(self, action: Action[Result]) -> Result:
        """Run one transaction; returns after its commit, or raises what ``action`` raised (rolled back)."""
        return self._thread.submit(_transaction, self._connection, action).result()

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _open(self, schema: str) -> sqlite3.Connection:
        try:
            return _connect(self.path, schema)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self.recovered = self.path.with_suffix(f".damaged-{int(time.time())}")
            log.warning("The list of jobs is damaged (%s); it was moved aside and starts empty", error)
            self.path.replace(self.recovered)
            for leftover in self.path.parent.glob(self.path.name + "-*"):
                leftover.unlink()
            return _connect(self.path, schema)


def _connect(path: Path, schema: str) -> sqlite3.Connection:
    with ExitStack() as on_failure:
        connection = sqlite3.connect(path, isolation_level=None)
        on_failure.callback(connection.close)
        connection.row_factory = sqlite3.Row
        mode = "WAL" if sqlite3.sqlite_version_info >= WAL_SAFE else "TRUNCATE"
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA synchronous=FULL")
        answer = connection.execute("PRAGMA quick_check").fetchone()[0]
        if answer != "ok":
            raise sqlite3.DatabaseError(answer)
        connection.executescript(schema)
        on_failure.pop_all()
    return connection


def _transaction(connection: sqlite3.Connection, action: Action[Result]) -> Result:
    with connection:  # commits, or rolls back when something is raised
        connection.execute("BEGIN IMMEDIATE")
        return action(connection)
