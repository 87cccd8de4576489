"""What calls remember of each other: one small file per step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from job import Outcome


@dataclass(frozen=True)
class Entry:
    """A step as the last call left it.

    Args:
        outcome: of it.
        attempts: how often it failed.
        seconds: that it took, over all calls.
    """

    outcome: Outcome
    attempts: int
    seconds: float


class Record:
    """Entries of steps in a folder.

    Args:
        folder: of the files; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> Entry | None:
        """What is known of a step; None when it was never tried."""
        path = self._folder / f"{name}.json"
        if not path.is_file():
            return None
        values: dict[str, Any] = json.loads(path.read_text())
        return Entry(Outcome(**values["outcome"]), values["attempts"], values["seconds"])

    def write(self, name: str, outcome: Outcome, seconds: float) -> None:
        """Remember how a step went; the file is whole or the old one."""
        before = self.read(name)
        attempts = (before.attempts if before else 0) + (outcome.status == "failed")
        entry = Entry(outcome, attempts, (before.seconds if before else 0.0) + seconds)
        part = self._folder / f".{name}.part"
        part.write_text(json.dumps(asdict(entry), indent=1) + "\n")
        part.replace(self._folder / f"{name}.json")

    def all(self) -> dict[str, Entry]:
        """Entries by name."""
        found = {path.stem: self.read(path.stem) for path in sorted(self._folder.glob("[!.]*.json"))}
        return {name: entry for name, entry in found.items() if entry is not None}
