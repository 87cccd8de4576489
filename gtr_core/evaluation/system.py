"""What can be judged: anything that gives a mesh or pictures from the input views of an object."""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gtr_core.evaluation.rows import digest
from gtr_core.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from gtr_core.evaluation.ground_truth import GroundTruth
    from gtr_core.evaluation.protocol import Protocol
    from gtr_core.fields.field import Field
    from gtr_core.geometry.mesh import Mesh


@dataclass(frozen=True)
class SystemResult:
    """What a system gave for one object, in one variant.

    Args:
        variant: "" as it comes; "+20 steps" or "+4 s" after so much refinement.
        mesh: the surface, with colours or a texture if it has any; None when there is none at all.
        field: the colour of every surface point; None when the mesh's own colours or texture are meant.
        images: (V, H, W, 3) sRGB in [0, 1]: the novel views as the system renders them itself; None draws the mesh.
        seconds: wall time of the system alone, since the inputs were there; None when it is not known.
        cpu_seconds: processor time of the same; likewise.
        notes: sentences on what the result could not know.
    """

    variant: str
    mesh: Mesh | None
    field: Field | None = None
    images: Tensor | None = None
    seconds: float | None = 0.0
    cpu_seconds: float | None = 0.0
    notes: tuple[str, ...] = ()


class System(typing.Protocol):
    """One system with its settings; a picklable value, so that any process can run it."""

    @property
    def name(self) -> str:
        """Short, unique in a run and safe as a file name: ``fit``, ``gtr-mini@nerf``."""
        ...

    @property
    def title(self) -> str:
        """What the tables call it."""
        ...

    @property
    def key(self) -> str:
        """JSON with every setting that changes a result."""
        ...

    @property
    def external(self) -> bool:
        """Whether the meshes come in a frame of their own, so that they have to be aligned before they are drawn."""
        ...

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that :meth:`results` gives, in its order."""
        ...

    def digest(self, name: str) -> str:
        """16 hex digits that change with whatever changes the results on the object of this name."""
        ...

    def carried(self, name: str) -> Self:
        """The same system with what it reads for the object of this name inside, to run where its files are not.

        Networks are not carried: every machine has a copy of its own, told by its checksum. What is missing is said by
        :meth:`results`.
        """
        ...

    def results(self, truth: GroundTruth, protocol: Protocol, progress: Progress) -> Iterator[SystemResult]:
        """Run on the input views of an object. Only a system that is meant to cheat looks at the rest of the truth.

        Raises:
            GtrError: with the reason why there is no result, or no further one.
        """
        ...


class SelfContained(ABC):
    """What systems have in common that read no file of an object and work in the frame of the input cameras."""

    @property
    @abstractmethod
    def key(self) -> str:
        """See :class:`System`."""

    @property
    def external(self) -> bool:
        """In the frame of the input cameras."""
        return False

    def digest(self, name: str) -> str:
        """The same for every object."""
        del name
        return digest(self.key)

    def carried(self, name: str) -> Self:
        """Itself."""
        del name
        return self
