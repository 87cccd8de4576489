"""Every error has a sentence; what servers send is never shown raw."""

import re
from pathlib import Path

import pytest

from blender_addon.errors import ClientError
from blender_addon.messages import MAX_TEXT, ROWS, failure, plain, row_of
from blender_addon.packages import MissingPackages

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_complete(name: str) -> None:
    row = ROWS[name]
    assert row.text.endswith((".", "?"))
    assert len(row.text) <= 100, "two lines of the panel"
    assert all(label and len(label) <= 22 and re.fullmatch(r"[a-z_]+", action) for label, action in row.buttons)
    assert len(row.buttons) <= 2
    if not row.buttons:
        assert name in {"nothing_renderable", "tiny_object"}, "only these have no way out but another selection"


def test_no_code_is_in_two_rows() -> None:
    codes = [code for name, row in ROWS.items() for code in (name, *row.server_codes)]
    assert len(codes) == len(set(codes))


def test_every_code_used_in_the_addon_has_a_row() -> None:
    used = set()
    for path in ADDON.rglob("*.py"):
        used |= set(re.findall(r'(?:ClientError|SceneFault)\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert len(used) > 10
    assert {code for code in used if code not in ROWS} == set()


def test_numbers_are_filled_in() -> None:
    error = ClientError("not_gtr", values={"port": 8080, "looks_like": " (looks like gradio)"})
    assert failure(error).text == "Port 8080 answers, but it is not GTR (looks like gradio)."
    assert failure(ClientError("not_gtr")).text == ROWS["not_gtr"].text


def test_server_knows_better_only_where_it_may() -> None:
    assert failure(ClientError("image_too_large", "Image 3 has 169 MP; the limit is 64 MP.")).text.startswith("Image 3")
    assert failure(ClientError("worker_crashed", "Segmentation fault at 0x0")).text == ROWS["worker_lost"].text


def test_server_codes_find_their_row_and_unknown_ones_the_last() -> None:
    assert row_of("image_corrupt") == "bad_image"
    assert row_of("from_the_future") == "internal"
    message = failure(ClientError("from_the_future", "text", "details"))
    assert (message.code, message.fix) == ("internal", "copy_details")
    assert "from_the_future" in message.details


def test_missing_packages() -> None:
    message = failure(MissingPackages(["numpy"]))
    assert message.fix == "copy_install_command"
    assert "apt install" in message.details


def test_text_from_outside_is_one_short_printable_line() -> None:
    assert plain("a\n\tb\x1b[31m\u202ec") == "a b [31m c"
    assert len(plain("x" * 5000)) == MAX_TEXT
