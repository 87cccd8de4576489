"""One SQLite connection in one thread: every action is a transaction, and its result means it is on disk."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

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
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self.recovered: Path | None = None
        """Where a damaged file was moved to, if that happened."""
        self._actions: queue.SimpleQueue[tuple[Action[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, args=(schema,), name="database", daemon=True)
        self._opened: Future[None] = Future()
        self._thread.start()
        self._opened.result()

    def run(self, action: Action[Result]) -> Result:
        """Run one transaction; returns after its commit, or raises what ``action`` raised (rolled back)."""
        future: Future[Result] = Future()
        self._actions.put((action, future))
        return future.result()

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._actions.put(None)
        self._thread.join()

    def _serve(self, schema: str) -> None:
        try:
            connection = self._open(schema)
        except (sqlite3.Error, OSError) as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        while (item := self._actions.get()) is not None:
            action, future = item
            try:
                future.set_result(_transaction(connection, action))
            except BaseException as error:
                future.set_exception(error)
        connection.close()

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
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    mode = "WAL" if sqlite3.sqlite_version_info >= WAL_SAFE else "TRUNCATE"
    try:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        answer = connection.execute("PRAGMA quick_check").fetchone()[0]
        if answer != "ok":
            raise sqlite3.DatabaseError(answer)
        connection.executescript(schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _transaction(connection: sqlite3.Connection, action: Action[Result]) -> Result:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = action(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
