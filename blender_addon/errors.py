"""The one exception of the add-on's client side."""

from __future__ import annotations


class ClientError(Exception):
    """Something went wrong that the panel can say in one sentence.

    Args:
        code: a row of messages.py, or a server code that one of its rows lists.
        text: a sentence of the server's (or ours) that is better than the row's own; may be empty.
        details: for the log and the clipboard.
        view: index of the image at fault (from 0), or None.
        status: HTTP status that carried it, 0 when there was none.
        retry_after: seconds that the server asks us to wait, or None.
        values: numbers and names for the row's text.
    """

    def __init__(
        self,
        code: str,
        text: str = "",
        details: str = "",
        *,
        view: int | None = None,
        status: int = 0,
        retry_after: float | None = None,
        values: dict[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {text or details}")
        self.code = code
        self.text = text
        self.details = details
        self.view = view
        self.status = status
        self.retry_after = retry_after
        self.values = values or {}


class Interrupted(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The call was given up because the user cancelled or Blender shuts down."""
