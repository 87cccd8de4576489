"""Rules of the panel that can be read off its source: labels fit, every button has a tooltip, every fix exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.messages import ROWS

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"
LONGEST_LABEL = 22
"""Characters that fit into the sidebar at its default width."""


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ADDON / folder).glob("*.py")):
            yield path.name, ast.parse(path.read_text("utf-8"))


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for name, tree in trees("operators", "panels"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name.startswith("GTR_"):
                yield name, node


def assigned(node: ast.ClassDef, wanted: str) -> ast.expr | None:
    for entry in node.body:
        if isinstance(entry, ast.Assign) and isinstance(entry.targets[0], ast.Name) and entry.targets[0].id == wanted:
            return entry.value
    return None


def texts_of_labels() -> Iterator[tuple[str, str]]:
    for name, tree in trees("panels", ""):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            for keyword in node.keywords:
                fixed = isinstance(keyword.value, ast.Constant)
                if node.func.attr in ("label", "operator", "prop", "menu") and keyword.arg == "text" and fixed:
                    yield name, keyword.value.value


def test_labels_fit() -> None:
    texts = list(texts_of_labels())
    assert len(texts) > 20
    assert [(name, text) for name, text in texts if len(text) > LONGEST_LABEL] == []


def test_property_names_and_choices_fit() -> None:
    tree = ast.parse((ADDON / "properties.py").read_text("utf-8"))
    names = [
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
    ]
    assert len(names) > 20
    assert [name for name in names if len(name) > LONGEST_LABEL] == []


def test_every_operator_says_what_it_does() -> None:
    operators = [node for _, node in classes() if node.name.startswith("GTR_OT_")]
    assert len(operators) > 20
    for node in operators:
        tooltip = ast.get_docstring(node) or ""
        assert 10 < len(tooltip) < 110, f"{node.name}: {tooltip!r}"
        assert not tooltip.endswith("."), f"{node.name}: Blender adds the full stop"
        assert isinstance(assigned(node, "bl_label"), ast.Constant), node.name


def test_only_direct_changes_of_the_scene_push_undo_by_themselves() -> None:
    pushing = set()
    for _, node in classes():
        options = assigned(node, "bl_options")
        if isinstance(options, ast.Set) and any(getattr(entry, "value", "") == "UNDO" for entry in options.elts):
            pushing.add(node.name)
    # Results push their own step when they arrive; capture, server and export change nothing of the user's.
    images = {"GTR_OT_add_images", "GTR_OT_remove_image", "GTR_OT_paste_grid", "GTR_OT_load_folder"}
    images |= {"GTR_OT_from_active_camera", "GTR_OT_choose_model", "GTR_OT_choose_model_file"}
    assert pushing == {"GTR_OT_revert", *images}


def actions() -> set[str]:
    tree = ast.parse((ADDON / "run" / "fixes.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "ACTIONS":
            assert isinstance(node.value, ast.Dict)
            return {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    raise AssertionError("fixes.py has no ACTIONS")


@pytest.mark.parametrize("code", sorted(ROWS))
def test_every_button_of_an_error_does_something(code: str) -> None:
    for label, action in ROWS[code].buttons:
        assert action in actions()
        assert 0 < len(label) <= LONGEST_LABEL
