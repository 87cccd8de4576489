"""What can be asked of the server, whoever carries it there: the same sentences for a thread and for a process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from . import requests as tasks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..texture.values import BakeSurface
    from ..values import Background, CapturedView, Event, Handle, ReconstructOptions, RefineOptions


class JobDesk(ABC):
    """Takes requests; each returns its handle at once and ends with one of ``Finished``, ``Failed``, ``Cancelled``."""

    @abstractmethod
    def _submit(self, task: tasks.Task) -> Handle:
        """Queue a task."""

    @abstractmethod
    def poll(self) -> list[Event]:
        """All events since the last call, oldest first. Cheap; made for a timer."""

    @abstractmethod
    def known_jobs(self) -> dict[Handle, tuple[str, str]]:
        """Of every request that is kept: ids of its reconstruction that has succeeded and of the job it follows."""

    def jobs_of(self, handle: Handle) -> tuple[str, str]:
        """The server's ids of a request's reconstruction that has succeeded and of the job it follows, or empty."""
        return self.known_jobs().get(handle, ("", ""))

    def can_resubmit(self, handle: Handle) -> bool:
        """Whether the request is kept (only the last few are) and can run again."""
        return handle in self.known_jobs()

    def submit_reconstruct(
        self, views: list[CapturedView], options: ReconstructOptions, refine: RefineOptions | None = None
    ) -> Handle:
        """Views to a mesh; with ``refine`` the texture is refined by a child job and arrives as colours."""
        return self._submit(tasks.Reconstruct(tuple(views), options, refine))

    def submit_refine(self, job_id: str, options: RefineOptions) -> Handle:
        """Refine the texture of a succeeded job further: ``ColorsReady`` while it runs, the last one final."""
        return self._submit(tasks.Refine(job_id, options))

    def submit_recolour(self, job_id: str, points: NDArray[np.float32]) -> Handle:
        """Colours of the job's field at points (N,3) float32, GTR world: one final ``ColorsReady``, same order."""
        return self._submit(tasks.Recolour(job_id, points))

    def submit_bake(self, job_id: str, surface: BakeSurface) -> Handle:
        """A texture of the job's field for a surface: one ``TextureReady``."""
        return self._submit(tasks.Bake(job_id, surface))

    def submit_masks(self, images: list[bytes], background: Background) -> Handle:
        """Foreground masks of image files: one ``MasksReady``."""
        return self._submit(tasks.Masks(tuple(images), background))

    def submit_attach(self, job_id: str, refine: RefineOptions | None = None) -> Handle:
        """Follow a reconstruct job of an earlier Blender: ``MeshReady``, then colours when ``refine`` is given."""
        return self._submit(tasks.Attach(job_id, refine))

    def submit_attach_refine(self, job_id: str, steps: int) -> Handle:
        """Follow a refine job of an earlier Blender, which was asked for so many steps."""
        return self._submit(tasks.AttachRefine(job_id, steps))
