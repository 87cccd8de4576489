"""The add-on's version, read from the manifest that is packed with it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

API_VERSION = (1, 0)
"""The server API that this add-on speaks: same major, and at least this minor."""


@lru_cache(maxsize=1)
def addon_version() -> str:
    """Version string such as ``0.1.0``.

    Raises:
        RuntimeError: the manifest beside this file has no version line.
    """
    text = (Path(__file__).parent / "blender_manifest.toml").read_text(encoding="utf-8")
    match = re.search(r'^version\s*=\s*"([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise RuntimeError("blender_manifest.toml has no version")
    return match.group(1)
