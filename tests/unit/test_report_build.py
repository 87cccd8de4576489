"""The page as a file: the same bytes every time, whole in itself, and nothing in it runs that is not ours."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
from pathlib import Path

import pytest
from report_sample import FAULT, HOSTILE, OBJECTS, write_sample

from gtr_core.errors import GtrError
from gtr_core.evaluation.report_build import build_report
from gtr_core.progress import Cancelled

FILES = ("report.html", "report.json", "rows.csv", "table.csv", "table.md")


class Reader(html.parser.HTMLParser):
    """Collects the tags and the text of every script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and data.strip():
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text("utf-8"))
    return reader


def page_data(page: Path) -> dict:
    return next(json.loads(text) for attributes, text in read(page).scripts if attributes.get("id") == "report-data")


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "report"
    write_sample(folder)
    build_report(folder)
    return folder


@pytest.fixture
def copy(sample, tmp_path) -> Path:
    return Path(shutil.copytree(sample, tmp_path / "copy"))


def test_the_same_folder_gives_the_same_bytes(sample, copy) -> None:
    for name in FILES:
        (copy / name).unlink()
    assert build_report(copy) == copy / "report.html"
    for name in FILES:
        assert (copy / name).read_bytes() == (sample / name).read_bytes()


def test_the_page_needs_nothing_else(sample) -> None:
    reader = read(sample / "report.html")
    assert {tag for tag, _ in reader.tags} & {"link", "iframe", "object", "embed", "base"} == set()
    assert not [attributes for _, attributes in reader.tags if {"src", "srcset", "data"} & set(attributes)]
    hrefs = [attributes["href"] for _, attributes in reader.tags if "href" in attributes]
    assert hrefs == []


def test_the_pages_policy_allows_its_own_script_and_style_only(sample) -> None:
    reader = read(sample / "report.html")
    policy = next(attributes["content"] for tag, attributes in reader.tags if attributes.get("http-equiv"))
    script = next(text for attributes, text in reader.scripts if not attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}' blob:;" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_names_and_reasons_reach_the_page_as_text(sample) -> None:
    text = (sample / "report.html").read_text("utf-8")
    assert "window.pwned" in text
    assert "<script>window.pwned" not in text
    assert "<b>solver" not in text
    data = page_data(sample / "report.html")
    assert [entry["name"] for entry in data["objects"]] == list(OBJECTS)
    assert data["objects"][0]["name"] == HOSTILE
    assert {entry["reason"] for entry in data["rows"] if entry["method"] == 3} == {FAULT}


def test_every_picture_and_mesh_is_in_the_page(sample) -> None:
    data = page_data(sample / "report.html")
    blocks = re.findall(r'<script type="text/plain" id="asset-(\d+)">', (sample / "report.html").read_text("utf-8"))
    used = [data["three"]]
    for entry in data["objects"]:
        used += [*entry["truth"], *entry["inputs"], entry["mesh"]]
        assert [len(entry["truth"]), len(entry["inputs"])] == [2, 1]
    for entry in data["rows"]:
        assert (len(entry["picture"]), entry["mesh"] is None) == ((3, False) if entry["status"] == "ok" else (0, True))
        used += entry["picture"] + ([] if entry["mesh"] is None else [entry["mesh"]])
    # Equal ones are there once only.
    assert sorted(set(used)) == list(range(len(blocks))) == [int(number) for number in blocks]


def test_a_half_done_run(tmp_path) -> None:
    write_sample(tmp_path, done=OBJECTS[1:2], size=16)
    data = page_data(build_report(tmp_path))
    assert (data["pending"], data["failed"], len(data["rows"])) == (12, 1, 4)
    assert data["overview"] == "4 objects, 4 methods, 4 of 16 rows run so far, 1 of 4 rows failed"
    assert [entry["mesh"] is None for entry in data["objects"]] == [True, False, True, True]
    assert data["summary"]["lines"][0]["objects"] == "1 (3 to run)"


def test_a_run_that_has_not_begun(tmp_path) -> None:
    write_sample(tmp_path, done=())
    data = page_data(build_report(tmp_path))
    assert (data["pending"], data["rows"]) == (16, [])


def test_damaged_pictures_and_meshes_are_left_out(copy) -> None:
    (copy / "pictures" / "crate" / "truth.png").write_bytes(b"no picture")
    (copy / "pictures" / "crate" / "half.png").write_bytes((copy / "pictures" / "crate" / "half.png").read_bytes()[:99])
    (copy / "meshes" / "crate" / "half.glb").write_bytes(b"glTF")
    (copy / "rows" / "torus" / "few.json").write_text("{")
    data = page_data(build_report(copy))
    crate = next(entry for entry in data["objects"] if entry["name"] == "crate")
    assert crate["truth"] == []
    half = next(entry for entry in data["rows"] if entry["object"] == 2 and entry["method"] == 0)
    assert (half["picture"], half["mesh"], half["status"]) == ([], None, "ok")
    assert data["pending"] == 1


def test_a_folder_without_a_report_is_refused(tmp_path) -> None:
    with pytest.raises(GtrError, match="holds no report"):
        build_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_cancelling_leaves_the_former_page(copy) -> None:
    before = (copy / "report.html").read_bytes()

    def cancel(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        build_report(copy, cancel)
    assert (copy / "report.html").read_bytes() == before


def test_progress_counts_the_objects(copy) -> None:
    told: list[tuple[str, int, int]] = []
    build_report(copy, lambda *values: told.append(values))
    assert told == [("report", done, 4) for done in range(5)]
