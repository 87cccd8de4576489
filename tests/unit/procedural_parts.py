"""Objects of one part, one for every kind, outline, fold, wave and pattern there is."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gtr_core.data.procedural import shapes
from gtr_core.data.procedural.layout import SCENE, Fold, Kind, Pattern, Record, Wave
from gtr_core.data.procedural.materials import Layer, Material, write_material
from gtr_core.data.procedural.part import Part, turned

RADII = (0.3, 0.45, 0.4, 0.55, 0.5, 0.35, 0.3, 0.4)

PARTS = {
    "box": shapes.box((0.5, 0.7, 0.3), 0.1, 0.05),
    "cone": shapes.cylinder(0.4, 0.6, 0.02, taper=-0.6),
    "twisted prism": shapes.prism(5, 0.4, 0.7, 0.05, 0.03, twist=1.2, taper=0.3),
    "flower": shapes.flower(6, 0.6, 0.2, 0.4, 0.05),
    "star": shapes.star(5, 0.7, 0.35, 0.3, 0.05),
    "cross": shapes.cross(0.6, 0.2, 0.4, 0.05, 0.05),
    "pipe": shapes.cylinder(0.5, 0.5, 0.01, pipe=0.06),
    "round": shapes.ball((0.7, 0.5, 0.4), (2.0, 2.0)),
    "squarish": shapes.ball((0.5, 0.6, 0.4), (5.0, 3.0)),
    "pointed": shapes.ball((0.5, 0.6, 0.5), (1.5, 1.6)),
    "vase": replace(shapes.lathe(RADII, 0.7, rounding=0.03), cup=0.03, cup_height=0.6),
    "turned": shapes.lathe(RADII, 0.7, smooth=False),
    "handle": shapes.arch(0.5, 0.1),
    "ring": shapes.arch(0.5, 0.1, closed=True),
    "box cage": Part(Kind.BOX_CAGE, (0.5, 0.6, 0.4), pipe=0.05),
    "globe cage": Part(Kind.GLOBE_CAGE, (0.6, 0.6, 0.6), pipe=0.05, profile_count=4),
    "barrel cage": Part(Kind.BARREL_CAGE, (0.5, 0.6, 0.5), pipe=0.05, profile_count=5),
    "mirrored": shapes.capsule(0.1, 0.4, fold=Fold.MIRROR_X, position=(0.4, 0, 0), rotation=turned(0.5, "z")),
    "four": shapes.box((0.1, 0.4, 0.1), fold=Fold.MIRROR_XZ, position=(0.5, 0, 0.3)),
    "radial": shapes.ball((0.3, 0.1, 0.15), fold=Fold.RADIAL, fold_count=7, position=(0.5, 0, 0)),
    "wavy": shapes.ball(
        (0.6, 0.6, 0.6), wave=Wave.SMOOTH, wave_amplitude=0.04, wave_frequency=(9, 9, 9), wave_phase=(0, 1, 2)
    ),
    "ridged": shapes.box(
        (0.5, 0.5, 0.5), wave=Wave.RIDGED, wave_amplitude=0.04, wave_frequency=(8, 8, 4), wave_phase=(0.5, 1, 2)
    ),
    "ribbed": shapes.cylinder(
        0.5, 0.6, 0.02, wave=Wave.RIBS, wave_amplitude=0.02, wave_frequency=(12, 0, 0), wave_phase=(0.5, 0, 0)
    ),
}  # fmt: skip


def table_of(
    *parts: Part, cutters: tuple[Part, ...] = (), shell: float = 0.0, pattern: Pattern | None = None
) -> Record:
    """A (1,) record of an object in its own space, plain or with a pattern and a label."""
    table = np.zeros(1, dtype=SCENE)
    scene = table[0]
    scene["part_count"], scene["cutter_count"], scene["shell"] = len(parts), len(cutters), shell
    scene["rotation"], scene["scale"], scene["extent"] = np.eye(3), 1.0, (1.2, 1.2, 1.2)
    for part, record in zip(parts, scene["parts"], strict=False):
        part.write(record)
        layer = Layer(
            pattern or Pattern.SOLID, (0.9, 0.2, 0.1), (0.1, 0.3, 0.8), 5.0, 0.4, (3.1, 4.2, 5.3), 0.4, seed=77
        )
        write_material(part, Material((layer,)), 5, record)
    for cutter, record in zip(cutters, scene["cutters"], strict=False):
        cutter.write(record)
    return table


def all_tables() -> Iterator[tuple[str, Record]]:
    """Named objects that together use everything the tables can say about shapes."""
    for name, part in PARTS.items():
        yield name, table_of(part)
    ball, box = shapes.ball((0.6, 0.6, 0.6)), shapes.box((0.3, 0.9, 0.3))
    yield "blended", table_of(ball, replace(box, blend=0.15).moved(0.3, 0.2, 0))
    yield "cut", table_of(ball, cutters=(replace(box, blend=0.03),))
    yield "opened shell", table_of(ball, shell=0.04, cutters=(box.moved(0.4, 0.3, 0.4),))
