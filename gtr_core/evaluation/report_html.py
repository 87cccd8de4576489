"""A report as one HTML file that needs nothing else: no network, no files beside it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

_PAGE = files("gtr_core.evaluation") / "report_page"
_SCRIPTS = ("dom", "assets", "summary", "spread", "rows", "gallery", "lightbox", "viewer", "main")


class Assets:
    """Pictures and meshes of a page; each is known by a number, equal ones by the same."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def add(self, content: bytes) -> int:
        """Put a file into the page."""
        number = self._numbers.setdefault(hashlib.sha256(content).digest(), len(self._texts))
        if number == len(self._texts):
            self._texts.append(base64.b64encode(content).decode("ascii"))
        return number

    def html(self) -> str:
        """Blocks of text that a browser neither runs nor shows."""
        return "\n".join(
            f'<script type="text/plain" id="asset-{number}">{text}</script>' for number, text in enumerate(self._texts)
        )


def add_three(assets: Assets) -> int:
    """Put the library that draws meshes into the page."""
    code = (_PAGE / "vendor" / "three.min.js").read_bytes()
    return assets.add(gzip.compress(code, 9, mtime=0))


def html_page(title: str, data: dict[str, Any], assets: Assets) -> str:
    """The page.

    Args:
        title: of the window.
        data: what the scripts in ``report_page`` show.
        assets: the files that ``data`` refers to by number.
    """
    script = '"use strict";\n' + "".join(_text(f"{name}.js") for name in _SCRIPTS)
    style = _text("page.css")
    parts = {
        "title": html.escape(title),
        "script": script,
        "script_hash": _hash(script),
        "style": style,
        "style_hash": _hash(style),
        # No text of the data can end the block, nor open a comment in it.
        "data": json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "assets": assets.html(),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html"))


def _text(name: str) -> str:
    return (_PAGE / name).read_text("utf-8")


def _hash(content: str) -> str:
    """The name by which the page's own policy allows this one script or style and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode('ascii')}'"
