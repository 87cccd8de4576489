"""What can go wrong in the scene, said with a code of messages.py."""

from __future__ import annotations

from .errors import ClientError


class SceneFault(ClientError):  # noqa: N818 - the scene is at fault, not the program
    """Something in the scene does not allow what was asked.

    Args:
        code: row of messages.py (``no_selection``, ``nothing_renderable``, ``tiny_object``, ``folder_denied``, ...).
        details: for the log and the clipboard.
        values: numbers and names that fill in the sentence of the code.
    """

    def __init__(self, code: str, details: str = "", **values: object) -> None:
        super().__init__(code, details=details, values=dict(values))
