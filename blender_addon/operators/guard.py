"""What every operator does around its work: explain a greyed-out button, turn errors into the error box."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from .. import packages
from ..errors import ClientError
from ..run.run import ErrorBox
from ..run.session import session

_REASONS: dict[str, tuple[str]] = {}
"""Arguments of ``poll_message_set``, kept for good."""


def explain(cls: type[bpy.types.Operator], reason: str | None) -> bool:
    """For ``poll``: True without a reason, else False with the reason as the button's tooltip."""
    if reason is None:
        return True
    # Blender drops its reference to these arguments without holding Python's lock, and must not be the last to do so:
    # a tuple that is kept here never dies.
    cls.poll_message_set(*_REASONS.setdefault(reason, (reason,)))
    return False


def why_not_start() -> str | None:
    """Why no new run can start now, or None."""
    if packages.missing():
        return f"Blender's Python lacks {' and '.join(packages.missing())}"
    if session.busy:
        return "Something runs already: wait for it or cancel it"
    return None


@contextmanager
def error_box() -> Iterator[None]:
    """Show an error of the client or the scene in the panel; in background mode it is raised to the script as well.

    Raises:
        RuntimeError: in background mode, with the sentence of the error.
    """
    try:
        yield
    except (ClientError, packages.MissingPackages) as error:
        box = ErrorBox.of(error)
        session.fail(box)


def outcome(operator: bpy.types.Operator) -> set[str]:
    """FINISHED, or CANCELLED with a report when the action left an error."""
    if session.error is None:
        return {"FINISHED"}
    if bpy.app.background:
        # Scripts see the sentence; an ERROR report would become an exception that hides the state.
        operator.report({"WARNING"}, session.error.text)
    return {"CANCELLED"}
