"""How far a run is as one number, and how long it still takes, learned from the last runs. No bpy."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

STAGE_WEIGHTS = {
    "reconstruct": (
        ("capture", 30.0),
        ("start", 2.0),
        ("send", 2.0),
        ("wait", 1.0),
        ("load", 2.0),
        ("encode", 3.0),
        ("hull", 3.0),
        ("fit", 25.0),
        ("fuse", 15.0),
        ("extract", 10.0),
        ("color", 10.0),
        ("save", 1.0),
        ("fetch", 1.0),
        ("place", 1.0),
        ("texture", 25.0),
    ),
    "refine": (
        ("start", 1.0),
        ("wait", 1.0),
        ("load", 2.0),
        ("encode", 2.0),
        ("texture", 90.0),
        ("save", 1.0),
        ("fetch", 1.0),
    ),
    "recolour": (
        ("start", 1.0),
        ("send", 5.0),
        ("wait", 1.0),
        ("load", 5.0),
        ("color", 60.0),
        ("save", 5.0),
        ("fetch", 5.0),
    ),
    "bake": (("start", 1.0), ("unwrap", 40.0), ("color", 45.0), ("picture", 14.0)),
    "capture": (("capture", 1.0),),
    "masks": (("start", 1.0), ("send", 2.0), ("wait", 1.0), ("encode", 5.0), ("fetch", 1.0)),
}
"""Shares of the stages in the whole of a run; only their proportions matter."""

KEPT_RUNS = 5
MOST_KEYS = 64


def overall_fraction(kind: str, stage: str, fraction: float) -> float:
    """Share of the whole run that is done when ``fraction`` of ``stage`` is; 0 for a stage that is not known."""
    weights = STAGE_WEIGHTS[kind]
    before = 0.0
    for name, weight in weights:
        if name == stage:
            return (before + weight * min(max(fraction, 0.0), 1.0)) / sum(weight for _, weight in weights)
        before += weight
    return 0.0


def in_words(seconds: float) -> str:
    """``8 s``, ``1 min 5 s``, ``1 h 2 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Durations:
    """Seconds of the last five runs for each combination of settings, kept in a small file.

    Args:
        path: JSON file; None keeps them in memory only. A file that cannot be read counts as empty.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seconds: dict[str, list[float]] = self._read()

    def left(self, key: str, elapsed: float) -> float | None:
        """Seconds that a run with these settings still needs; None when nothing is known or it is overdue."""
        known = self._seconds.get(key)
        if not known:
            return None
        left = statistics.median(known) - elapsed
        return left if left > 0 else None

    def add(self, key: str, seconds: float) -> None:
        """Remember a finished run."""
        known = self._seconds.pop(key, [])
        self._seconds[key] = [*known, float(seconds)][-KEPT_RUNS:]
        while len(self._seconds) > MOST_KEYS:
            del self._seconds[next(iter(self._seconds))]
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text(json.dumps(self._seconds), encoding="utf-8")
            except OSError:
                self._path = None  # a read-only folder costs the estimate of the next session, nothing else

    def _read(self) -> dict[str, list[float]]:
        if self._path is None:
            return {}
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(stored, dict):
            return {}
        return {
            str(key): [float(value) for value in values if isinstance(value, (int, float))][-KEPT_RUNS:]
            for key, values in stored.items()
            if isinstance(values, list)
        }
