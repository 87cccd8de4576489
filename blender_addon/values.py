"""The values that pass between capture, worker thread and panel: plain data, no bpy, safe on any thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union

from .job.seen import JobSeen
from .link.server_line import ServerLine
from .texture.values import TextureReady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Matrix = list[list[float]]
Handle = str
"""Name of one submitted request inside this Blender session; every event about the request carries it."""


@dataclass
class CapturedView:
    """One picture of the object with its camera, ready to be sent.

    Args:
        name: shown to the user ("Front", "view_03.png").
        png: the encoded image file (PNG, JPEG or WEBP; straight alpha when it has alpha).
        K: 3x3 intrinsics in pixels, pixel centres at +0.5.
        world_to_camera: 4x4, OpenCV camera axes, GTR world (Y up).
        depth_npy: .npy float32 (H,W), camera z in GTR units, 0 = background; None for loaded images.
        normal_npy: .npy float32 (H,W,3), unit, GTR world; None for loaded images.
        mask_png: 8-bit grey mask that replaces the image's own alpha, or None.
    """

    name: str
    png: bytes
    K: Matrix
    world_to_camera: Matrix
    depth_npy: bytes | None = None
    normal_npy: bytes | None = None
    mask_png: bytes | None = None


@dataclass
class Placement:
    """Where the result goes in the scene: all lengths and points in Blender units, Z up.

    Args:
        center: of the captured bounding sphere.
        radius: of the captured bounding sphere; GTR vertices are multiplied by radius / 0.95.
        mode: BESIDE the source, OVER it, or at the 3D CURSOR.
        width: of the source along X; BESIDE moves by 1.2 widths.
        source_names: objects that were captured.
    """

    center: tuple[float, float, float]
    radius: float
    mode: Literal["BESIDE", "OVER", "CURSOR"] = "BESIDE"
    width: float = 2.0
    source_names: list[str] = field(default_factory=list)


@dataclass
class MeshResult:
    """A checked mesh from the server, in the GTR world (Y up, object in [-1,1]^3).

    Args:
        vertices: (N,3) float32, C-contiguous, finite.
        faces: (M,3) int32, C-contiguous, every index in [0,N).
        colors: (N,3) uint8 sRGB.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colors: NDArray[np.uint8]


@dataclass(frozen=True)
class Background:
    """How the background of images is found: their alpha, a key colour, or whichever is there (auto)."""

    mode: Literal["auto", "alpha", "key"] = "auto"
    color: tuple[float, float, float] | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class ReconstructOptions:
    """What the server needs beside the views; ``face_limit`` 0 = no limit."""

    model: str = "fit"
    grid_resolution: int = 256
    face_limit: int = 0
    seed: int = 0
    background: Background = Background()


@dataclass(frozen=True)
class RefineOptions:
    """Texture refinement; ``views`` None = all of them (indices from 0 otherwise)."""

    steps: int = 50
    strength: float = 1.0
    views: tuple[int, ...] | None = None
    seed: int = 0


@dataclass(frozen=True)
class ServerSettings:
    """The server part of the preferences, copied so that the worker thread never reads bpy.

    Args:
        mode: MANAGED starts a server when none runs; ATTACHED only ever talks to ``url``.
        url: attached server: ``host``, ``host:port`` or a URL.
        python: python of the server's environment; empty = look for it.
        state_file: state file of an attached server (holds its key); empty = the user's own.
        device: auto, cpu, cuda:n, mps.
        port: fixed port of a managed server; 0 = any free one.
        stop_with_blender: a managed server ends as soon as the last Blender is gone.
        idle_minutes: a managed server without work and without clients ends after this time.
    """

    mode: Literal["MANAGED", "ATTACHED"] = "MANAGED"
    url: str = ""
    python: str = ""
    state_file: str = ""
    device: str = "auto"
    port: int = 0
    stop_with_blender: bool = False
    idle_minutes: float = 10.0


# --- events: what the worker thread tells the main thread (and ServerLine) -------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Args:
        stage: server stage key (gtr_core.progress.STAGES, wait, load, save) or our own: start, send, fetch.
        fraction: of the stage that is done, 0..1.
        done: steps done, when the stage counts steps (else 0).
        total: steps of the stage (else 0).
        text: ready to show ("Refine 21/50").
        overall: of the whole server job, 0..1, as far as the server knows.
    """

    kind: ClassVar[str] = "progress"
    handle: Handle
    stage: str
    fraction: float
    done: int = 0
    total: int = 0
    text: str = ""
    overall: float = 0.0


@dataclass(frozen=True)
class PreviewMesh:
    """A rough mesh of a reconstruction that still runs."""

    kind: ClassVar[str] = "preview_mesh"
    handle: Handle
    mesh: MeshResult


@dataclass(frozen=True)
class MeshReady:
    """The unrefined mesh of a reconstruction.

    Args:
        job_id: the server's id; refine and recolour refer to it.
        notes: what the result could not know, whole sentences.
        stats: the server's numbers (vertices, faces, seconds by stage).
        refining: a refinement follows by itself (``ColorsReady`` then ``Finished``).
    """

    kind: ClassVar[str] = "mesh"
    handle: Handle
    mesh: MeshResult
    job_id: str
    notes: tuple[str, ...] = ()
    stats: dict[str, Any] = field(default_factory=dict)
    refining: bool = False


@dataclass(frozen=True)
class ColorsReady:
    """New colours: (N,3) uint8 sRGB in vertex order (refine) or in the order of the points (recolour).

    Args:
        step: refinement step they belong to (0 for recolour).
        final: the last ones of this request; ``job_id`` is then the job to continue from.
    """

    kind: ClassVar[str] = "colors"
    handle: Handle
    colors: NDArray[np.uint8]
    step: int
    final: bool
    job_id: str


@dataclass(frozen=True)
class MasksReady:
    """8-bit grey PNG masks, one per image, in the order in which they were sent."""

    kind: ClassVar[str] = "masks"
    handle: Handle
    masks: tuple[bytes, ...]


@dataclass(frozen=True)
class Failed:
    """A request ended with an error; everything that was sent is kept, ``JobRunner.resubmit(handle)`` runs it again.

    Args:
        code: row of messages.py.
        text: the sentence for the panel, filled in.
        details: full text for log and clipboard.
        button: label of the first button, empty when there is none.
        fix: id of the action behind the first button (messages.py), empty when there is none.
        buttons: all buttons (label, action id); a few errors have two ("Wait", "Restart").
        view: index of the image at fault, or None.
        mesh_kept: the mesh came before the failure and stays (only the refinement failed).
        job_id: the job that failed, when the server knew one.
    """

    kind: ClassVar[str] = "failed"
    handle: Handle
    code: str
    text: str
    details: str = ""
    button: str = ""
    fix: str = ""
    view: int | None = None
    mesh_kept: bool = False
    job_id: str = ""
    buttons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Lost:
    """No sign of life; the worker keeps trying. Any later event with this handle means that contact is back."""

    kind: ClassVar[str] = "lost"
    handle: Handle
    silent_seconds: float
    retry_seconds: float


@dataclass(frozen=True)
class Cancelled:
    """The request ended because the user cancelled it (confirmed by the server, or the server is gone)."""

    kind: ClassVar[str] = "cancelled"
    handle: Handle


@dataclass(frozen=True)
class Finished:
    """The request ended well; always the last event of its handle."""

    kind: ClassVar[str] = "finished"
    handle: Handle
    seconds: float
    stopped_early: bool = False


Event = Union[
    ServerLine, Progress, PreviewMesh, MeshReady, ColorsReady, MasksReady, TextureReady, Failed, Lost, Cancelled,
    Finished, JobSeen,
]  # fmt: skip
