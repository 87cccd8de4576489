"""The folder of a report: where what lies, and how rows come back from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.scores import Row, rows_from_json, rows_to_json
from gtr_core.io.atomic import making_folder, write_atomic

SHOWN_VIEWS = (0, 5, 10, 15)
"""The novel views that the pictures of a report show."""


def file_stem(system: str, variant: str) -> str:
    """Name of the files of a result, without suffix: ``fit``, ``fit+20-steps``, ``fit+4-s``."""
    return system + re.sub(r"[^A-Za-z0-9.+]+", "-", variant)


def digest(text: str) -> str:
    """16 hex digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SystemEntry:
    """A system as a report's header lists it; see :class:`gtr_core.evaluation.system.System`."""

    name: str
    key: str
    title: str
    variants: tuple[str, ...]


@dataclass(frozen=True)
class ReportHeader:
    """What ``protocol.json`` holds.

    Args:
        protocol: every convention, as :meth:`gtr_core.evaluation.protocol.Protocol.to_json` gives them, parsed.
        protocol_digest: of the protocol.
        commit: state of the code at the last run; every row has its own.
        device: of the last run; every row has its own.
        started: of the first run, ISO 8601 in UTC.
        objects: names, sorted.
        systems: in the order of the tables.
    """

    protocol: dict[str, Any]
    protocol_digest: str
    commit: str
    device: str
    started: str
    objects: tuple[str, ...]
    systems: tuple[SystemEntry, ...]


@dataclass(frozen=True)
class ReportFolder:
    """The files of a report."""

    root: Path

    @property
    def header_file(self) -> Path:
        """Protocol, objects and systems."""
        return self.root / "protocol.json"

    def rows_file(self, name: str, system: str) -> Path:
        """Rows of all variants of a system on an object."""
        return self.root / "rows" / name / f"{system}.json"

    def truth_picture(self, name: str) -> Path:
        """Truth in the shown views: a row of colours, a row of normals."""
        return self.root / "pictures" / name / "truth.png"

    def inputs_picture(self, name: str) -> Path:
        """The input views side by side."""
        return self.root / "pictures" / name / "inputs.png"

    def result_picture(self, name: str, system: str, variant: str) -> Path:
        """A result in the shown views: a row of colours, a row of normals, a row of errors."""
        return self.root / "pictures" / name / f"{file_stem(system, variant)}.png"

    def truth_mesh(self, name: str) -> Path:
        """The true mesh for the 3D view: few faces, vertex colours."""
        return self.root / "meshes" / name / "truth.glb"

    def result_mesh(self, name: str, system: str, variant: str) -> Path:
        """A result's mesh for the 3D view; absent when it has no surface."""
        return self.root / "meshes" / name / f"{file_stem(system, variant)}.glb"

    def write(self, path: Path, data: bytes) -> None:
        """Write a file of this folder; it is whole or not there.

        Raises:
            GtrError: ``bad_input`` when it cannot be written, ``disk_full``.
        """
        making_folder(path.parent)
        write_atomic(path, data)

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one object and system.

        Raises:
            GtrError: as :meth:`write`.
        """
        self.write(self.rows_file(rows[0].object, rows[0].system), rows_to_json(list(rows)))

    def rows(self, name: str, system: str) -> list[Row]:
        """The rows of an object and system; empty when there are none yet or their file is damaged."""
        try:
            return rows_from_json(self.rows_file(name, system).read_bytes())
        except (FileNotFoundError, ValueError):
            return []

    def all_rows(self, header: ReportHeader) -> list[Row]:
        """All rows of the header's objects and systems that are there by now, object by object."""
        return [row for name in header.objects for entry in header.systems for row in self.rows(name, entry.name)]

    def write_header(self, header: ReportHeader) -> None:
        """Keep the header.

        Raises:
            GtrError: as :meth:`write`.
        """
        self.write(self.header_file, (json.dumps(asdict(header), indent=1) + "\n").encode())

    def header(self) -> ReportHeader | None:
        """The header; None when the folder holds no report.

        Raises:
            GtrError: ``bad_input`` when it is damaged.
        """
        try:
            values = json.loads(self.header_file.read_bytes())
            systems = tuple(
                SystemEntry(**{**entry, "variants": tuple(entry["variants"])}) for entry in values["systems"]
            )
            return ReportHeader(**{**values, "objects": tuple(values["objects"]), "systems": systems})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise GtrError(
                ErrorCode.BAD_INPUT, f"{self.header_file} is damaged.", "Choose another folder for the report."
            ) from error
