"""The table of one object: everything that its shape and its colours need, as one flat record.

The generator writes it, the readable version and the compiled kernels read it. The kernels get these very records as C
structs (``c_structs``), so that there is one description of the layout. All fields are 32 bits wide: no padding.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

MAX_PARTS = 9
MAX_CUTTERS = 2
LAYERS = 2
RADII = 8
"""Control radii of a lathe, evenly spaced from its lower to its upper end."""


class Kind(IntEnum):
    """Primitive of a part."""

    NONE = 0
    EXTRUSION = 1
    SUPERELLIPSOID = 2
    LATHE = 3
    ARCH = 4
    BOX_CAGE = 5
    GLOBE_CAGE = 6
    BARREL_CAGE = 7


class Profile(IntEnum):
    """Outline of an extrusion, in its local x-z plane."""

    BOX = 0
    CIRCLE = 1
    POLYGON = 2
    FLOWER = 3
    STAR = 4
    CROSS = 5


class Fold(IntEnum):
    """Reflections of the object's space that repeat a part."""

    NONE = 0
    MIRROR_X = 1
    MIRROR_XZ = 2
    RADIAL = 3


class Wave(IntEnum):
    """Height field on the surface of a part."""

    NONE = 0
    SMOOTH = 1
    RIDGED = 2
    RIBS = 3


class Pattern(IntEnum):
    """What mixes the two colours of a layer."""

    SOLID = 0
    STRIPES = 1
    CHECKS = 2
    VORONOI = 3
    MARBLE = 4
    WOOD = 5
    NOISE = 6
    DOTS = 7
    BRICK = 8
    TEXT = 9
    PRINT = 10


class Projection(IntEnum):
    """How a point of a part gets its two texture coordinates."""

    BOX = 0
    CYLINDER = 1


class Layout(IntEnum):
    """How the parts of an object were arranged; the kernels do not read it."""

    SINGLE = 0
    CLUMP = 1
    STACK = 2
    MIRRORED = 3
    RADIAL = 4


ENUMS: tuple[type[IntEnum], ...] = (Kind, Profile, Fold, Wave, Pattern, Projection)

Record = npt.NDArray[np.void]
"""A structured array of one of the types below."""

_F, _I = "<f4", "<i4"

LAYER = np.dtype(
    [
        ("pattern", _I),
        ("seed", _I),
        ("color_a", _F, 3),
        ("color_b", _F, 3),
        ("frequency", _F),  # pattern cells per world unit of the part
        ("turn", _F, 2),  # cosine and sine of the turn of the texture plane
        ("shift", _F, 3),  # of the pattern, in cells
        ("amount", _F),  # the pattern's own parameter, in [0, 1]
        ("opacity", _F),  # of the whole layer; 0 = absent
        ("through", _F),  # 1: where the pattern is 0 the layer below shows
    ]
)

LABEL = np.dtype(
    [
        ("half", _F, 2),  # half width and height; 0 = no label
        ("center", _F, 2),
        ("paper", _F, 3),
        ("ink", _F, 3),
        ("band", _F, 3),
        ("letter", _F),  # pixel of the font, in units of the part
        ("seed", _I),
    ]
)

PART = np.dtype(
    [
        ("kind", _I),
        ("fold", _I),
        ("fold_count", _I),
        ("position", _F, 3),
        ("rotation", _F, (3, 3)),  # rows: the part's axes in the object's space
        ("radius", _F),  # of a sphere around ``position`` that holds the part
        ("size", _F, 3),  # half extents, or the kind's own measures
        ("rounding", _F),
        ("profile", _I),
        ("profile_count", _I),
        ("profile_corner", _F),
        ("taper", _F),
        ("twist", _F),
        ("pipe", _F),  # half thickness of the wall of a pipe; 0 = solid
        ("exponents", _F, 2),
        ("radii", _F, RADII),
        ("smooth_radii", _I),
        ("cup", _F),  # half thickness of the wall of a cup; 0 = closed
        ("cup_height", _F),
        ("wave", _I),
        ("wave_amplitude", _F),
        ("wave_frequency", _F, 3),
        ("wave_phase", _F, 3),
        ("step", _F),  # damping that makes the function a lower bound of the distance
        ("blend", _F),  # radius of the smooth union (parts) or difference (cutters)
        ("projection", _I),
        ("extent", _F, 3),  # half extents of the texture box
        ("layers", LAYER, LAYERS),
        ("label", LABEL),
    ]
)

SCENE = np.dtype(
    [
        ("part_count", _I),
        ("cutter_count", _I),
        ("layout", _I),
        ("rotation", _F, (3, 3)),  # rows: the object's axes in the world
        ("center", _F, 3),  # of the object's bounding box, in its own space
        ("scale", _F),  # world units per unit of the object's space
        ("extent", _F, 3),  # half extents of the object's box in the world
        ("shell", _F),  # half thickness of the shell that cutters open; 0 = solid
        ("lit", _I),
        ("ambient", _F, 3),
        ("sky", _F, 3),
        ("key", _F, 3),
        ("key_direction", _F, 3),
        ("occlusion", _F),
        ("parts", PART, MAX_PARTS),
        ("cutters", PART, MAX_CUTTERS),
    ]
)


def rounded(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values to nine decimals, without negative zeros.

    What should be 0 comes out as 1e-17 on one computer and as 0 on another, and single precision would keep both.
    """
    return np.round(np.asarray(values, dtype=np.float64), 9) + 0.0


def c_structs() -> str:
    """C++ declarations of the enums, sizes and records above."""
    lines = [f"constexpr int {name} = {value};" for name, value in _sizes().items()]
    for enum in ENUMS:
        lines += [f"constexpr int {enum.__name__.upper()}_{member.name} = {member.value};" for member in enum]
    for name, dtype in (("Layer", LAYER), ("Label", LABEL), ("Part", PART), ("Scene", SCENE)):
        lines += [f"struct {name} {{", *(_c_field(dtype, field) for field in dtype.names or ()), "};"]
        lines.append(f'static_assert(sizeof({name}) == {dtype.itemsize}, "the layouts differ");')
    return "\n".join(lines) + "\n"


def _sizes() -> dict[str, int]:
    return {"MAX_PARTS": MAX_PARTS, "MAX_CUTTERS": MAX_CUTTERS, "LAYERS": LAYERS, "RADII": RADII}


def _c_field(dtype: np.dtype[np.void], field: str) -> str:
    base, shape = dtype[field].subdtype or (dtype[field], ())
    if base.names:
        kind = {LAYER: "Layer", LABEL: "Label", PART: "Part"}[base]
    else:
        kind = "float" if base.kind == "f" else "int"
    return f"  {kind} {field}{''.join(f'[{size}]' for size in shape)};"
