"""Which objects there are, and how often: a random choice of a layout and of a recipe in it."""

from __future__ import annotations

from dataclasses import replace

from gtr_core.data.procedural import recipes_mirrored, recipes_radial, recipes_stacks, recipes_vessels, shapes
from gtr_core.data.procedural.draw import Draw
from gtr_core.data.procedural.layout import Layout
from gtr_core.data.procedural.palettes import FAMILIES
from gtr_core.data.procedural.part import Part, axis_along
from gtr_core.data.procedural.random_parts import random_part, with_surface
from gtr_core.data.procedural.recipe import Recipe

MATERIALS = 4
"""Different materials in one object."""
CUT_SHARE = 0.55
"""How many of the objects without thin parts get something cut out of them."""


def clump(draw: Draw) -> list[Part]:
    """Random parts at random angles that grow out of each other."""
    parts: list[Part] = []
    for number in range(draw.choice((2, 3, 4, 5, 6, 7, 8, 9), (5, 5, 5, 4, 3, 2, 2, 1))):
        size = draw.uniform(0.2, 0.5), draw.uniform(0.2, 0.6), draw.uniform(0.2, 0.5)
        one = with_surface(draw, random_part(draw, size, material=number % 3))
        one = replace(one, rotation=axis_along(draw.direction()), blend=draw.choice((0.0, 0.0, 0.06, 0.15)))
        if parts:
            host = draw.choice(parts)
            x, y, z = draw.direction()
            reach = 0.75 * min(host.outline_radius, host.half_height) + 0.4 * min(size)
            hx, hy, hz = host.position
            one = one.moved(hx + x * reach, hy + y * reach, hz + z * reach)
        parts.append(one)
    return parts


RECIPES: dict[Layout, tuple[Recipe, ...]] = {
    Layout.SINGLE: recipes_vessels.RECIPES,
    Layout.CLUMP: (Recipe(clump, 1.0),),
    Layout.STACK: recipes_stacks.RECIPES,
    Layout.MIRRORED: recipes_mirrored.RECIPES,
    Layout.RADIAL: recipes_radial.RECIPES,
}
SHARES = {
    Layout.SINGLE: 0.3, Layout.CLUMP: 0.08, Layout.STACK: 0.21, Layout.MIRRORED: 0.25, Layout.RADIAL: 0.16,
}  # fmt: skip
"""How often each layout is chosen; objects that come out empty are drawn again and shift this a little."""


def random_recipe(draw: Draw) -> tuple[Layout, Recipe]:
    """A layout and one of its recipes."""
    layout = draw.choice(list(SHARES), list(SHARES.values()))
    recipes = RECIPES[layout]
    return layout, draw.choice(recipes, [recipe.weight for recipe in recipes])


def random_families(draw: Draw, recipe: Recipe) -> list[str]:
    """A family of colours for each of the ``MATERIALS`` of an object: the usual ones half of the time."""
    if recipe.families and draw.chance(0.5):
        return list(recipe.families)
    return [draw.choice(FAMILIES) for _ in range(MATERIALS)]


def random_cutters(draw: Draw, parts: list[Part], share: float = CUT_SHARE) -> tuple[float, list[Part]]:
    """What is cut out of an object: half thickness of the shell that is left of it (0 = solid), and the cutters.

    Objects with thin parts or walls are left alone, as LRM-Zero found (arXiv:2406.09371); of the others, this share is
    not.
    """
    thin = any(part.pipe > 0 or part.cup > 0 or min(part.size[:2]) < 0.07 for part in parts)
    if thin or not draw.chance(share):
        return 0.0, []
    shell = draw.uniform(0.02, 0.05) if draw.chance(0.5) else 0.0
    cutters = []
    for _ in range(draw.integer(1, 2)):
        host = draw.choice(parts)
        size = draw.uniform(0.15, 0.45) * (1.3 if shell else 1.0)
        cutter = draw.choice((
            shapes.box((size, 0.7 * size, size), 0.1 * size, 0.1 * size),
            shapes.ball((size, size, size)),
            shapes.cylinder(0.6 * size, 2.0, 0.02),
            shapes.prism(draw.choice((3, 6)), 0.6 * size, 2.0),
        ))  # fmt: skip
        x, y, z = draw.direction()
        reach = host.outline_radius * (0.2 if cutter.size[1] > 1.5 else 0.9)
        hx, hy, hz = host.position
        place = hx + x * reach, hy + y * min(reach, host.half_height), hz + z * reach
        straight = draw.chance(0.5)
        axes = cutter.rotation if straight else axis_along(draw.direction())
        cutters.append(
            replace(
                cutter.moved(*place),
                rotation=axes,
                blend=draw.choice((0.0, 0.0, 0.03)),
                fold=host.fold,
                fold_count=host.fold_count,
            )
        )
    return shell, cutters
