"""Uploaded bytes, stored under their own SHA-256: uploading twice is free, and no name comes from a client."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from gtr_server.problems import Problem, ProblemCode

CHUNK = 1 << 20


def blob_path(root: Path, digest: str) -> Path:
    """Where the blob of this digest lies, if it is there."""
    return root / digest[:2] / digest


class BlobStore:
    """Content-addressed files below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self.incoming.iterdir():
            leftover.unlink()

    def has(self, digest: str) -> bool:
        """Whether the blob is there; being asked for keeps it from ageing."""
        try:
            os.utime(blob_path(self.root, digest))
        except FileNotFoundError:
            return False
        return True

    def put(self, digest: str, stream: BinaryIO) -> bool:
        """Store a stream; it appears under its digest whole or not at all.

        Returns:
            True when it is new.

        Raises:
            Problem: ``digest_mismatch``.
        """
        if self.has(digest):
            return False
        temporary = self.incoming / secrets.token_hex(8)
        try:
            if _copy(stream, temporary) != digest:
                raise Problem(ProblemCode.DIGEST_MISMATCH, "The body's SHA-256 is not the one in the address.")
            target = blob_path(self.root, digest)
            target.parent.mkdir(exist_ok=True)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those that must still be uploaded, each once, in order."""
        return [digest for digest in dict.fromkeys(digests) if not self.has(digest)]

    def collect(self, needed: set[str], older_than_seconds: float) -> int:
        """Remove blobs that nothing needs and nobody has asked for in this time; returns how many."""
        limit, removed = time.time() - older_than_seconds, 0
        for path in self.root.glob("??/*"):
            if path.name not in needed and path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
        return removed


def _copy(stream: BinaryIO, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def digests_in(request: object) -> set[str]:
    """All digests that a request body names (values of the members ``blob`` and ``*_blob``)."""
    if isinstance(request, list):
        return set().union(*(digests_in(entry) for entry in request))
    if not isinstance(request, dict):
        return set()
    named = {value for key, value in request.items() if key.endswith("blob") and isinstance(value, str)}
    return named.union(*(digests_in(value) for value in request.values()))
