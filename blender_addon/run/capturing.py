"""The capture of a session, one view per beat, and the views of the last one as long as they show the scene."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import bpy

from .. import windows
from ..views import thumbnails, view_source
from . import stale

if TYPE_CHECKING:
    from ..capture import Capture
    from ..views.view_source import CapturedViews
    from .run import Run

LOOK_SECONDS = 1.0
"""Every object of the scene is asked when the views are compared with it, so not at every movement of the mouse."""


class Capturing:
    """Takes views for runs; what was taken is used again while it is fresh."""

    def __init__(self) -> None:
        self.taken: CapturedViews | None = None
        self.is_stale = False
        self._capture: Capture | None = None
        self._again = self._changed_meanwhile = False
        self._signature = ""
        self._may_be_stale = False
        self._next_look = 0.0

    @property
    def active(self) -> bool:
        """Whether views are being taken."""
        return self._capture is not None or self._again

    @property
    def fraction(self) -> float:
        """Share of the views that are taken."""
        return len(self._capture.views) / self._capture.count if self._capture is not None else 1.0

    def begin(self, run: Run) -> bool:
        """Prepare the views of a run; True when those of before still show its objects.

        Raises:
            SceneFault: nothing to capture.
        """
        if self.taken is not None and not self.is_stale and self.taken.fits(run):
            return True
        self._begin(run)
        return False

    def step(self, run: Run) -> str | None:
        """Take one more view; None when all are there (:attr:`taken`).

        Raises:
            SceneFault: it cannot be taken; the capture is over then.
        """
        capture = self._capture or self._begin(run)
        finished = False
        try:
            with windows.view_context():
                text = capture.step()
            finished = text is None
        except BaseException:
            self.drop()
            raise
        if finished:
            self.taken = view_source.taken(run, capture, self._signature)
            self.is_stale, self._may_be_stale = self._changed_meanwhile, True
            thumbnails.show_views(self.taken.views)
            self.drop()
        return text

    def _begin(self, run: Run) -> Capture:
        self._again = self._changed_meanwhile = False
        self._signature = view_source.signature_of(run.source_names)
        capture = view_source.begin(run)
        with windows.view_context() as context:
            # Copying a material tags the original: that must not count as the user's change of it.
            context.view_layer.update()
        self._capture = capture
        return capture

    def drop(self) -> None:
        """End the capture and leave no trace of it."""
        capture, self._capture, self._again = self._capture, None, False
        if capture is not None:
            capture.close()

    def hide(self) -> None:
        """Undo and save must not see the temporary scene; the next step begins again with the objects as they are then.

        Going on with new copies would mix two states of the scene: what is undone may be a movement of the object.
        """
        if self._capture is not None:
            self.drop()
            self._again = True

    def forget(self) -> None:
        """Another file is opened: nothing that was taken shows it."""
        self.drop()
        self.taken = None
        thumbnails.show_views(())

    def scene_changed(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Blender updated something: the views may have to be looked at again."""
        if self._capture is not None:
            # The views show the copies of the beginning, so what changes meanwhile makes them stale at once.
            names = self._capture.placement.source_names
            self._changed_meanwhile |= stale.looks_changed(depsgraph, names, view_source.materials_of(names))
        elif self.taken is not None:
            self._may_be_stale = True
            self.is_stale = self.is_stale or stale.looks_changed(
                depsgraph, self.taken.placement.source_names, self.taken.materials
            )

    def look_again(self) -> None:
        """Compare what was taken with the scene, after something has changed."""
        now = time.monotonic()
        if self._may_be_stale and self.taken is not None and now >= self._next_look:
            self._may_be_stale, self._next_look = False, now + LOOK_SECONDS
            self.is_stale = self.is_stale or self.taken.signature != view_source.signature_of(self.taken.names)
