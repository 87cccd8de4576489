"""Files over HTTP, from servers good and bad."""

import hashlib
import io
import json
import shutil
import socket
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request

import pytest
from file_server import FileServer, serve

from gtr_core.errors import ErrorCode, GtrError
from gtr_core.model import download as module
from gtr_core.model.download import download, parse_sha256, part_of
from gtr_core.model.web_response import _SafeRedirects
from gtr_core.progress import Cancelled

CONTENT = bytes(range(256)) * 12_000  # 3 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve(CONTENT) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "checkpoint.pth"


def stop_after(megabytes: int):
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "download" and done >= megabytes:
            raise Cancelled

    return progress


def ranges(site: FileServer) -> list[str | None]:
    return [request.get("Range") for request in site.requests]


def assert_whole(target: Path) -> None:
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_file_arrives_whole(site: FileServer, target: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    assert download(site.url, target, sha256=DIGEST, progress=lambda *step: seen.append(step)) == DIGEST
    assert_whole(target)
    assert ranges(site) == [None]
    assert seen[0] == ("download", 0, 3)
    assert [step for step in seen if step[0] == "download"][-1] == ("download", 3, 3)
    assert seen[-1] == ("verify", 3, 3)


def test_stopping_keeps_the_beginning_and_the_next_run_goes_on(site: FileServer, target: Path) -> None:
    with pytest.raises(Cancelled):
        download(site.url, target, sha256=DIGEST, progress=stop_after(1))
    kept = part_of(target).stat().st_size
    assert 1_000_000 <= kept < len(CONTENT)
    assert not target.exists()
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert_whole(target)
    assert ranges(site) == [None, f"bytes={kept}-"]
    assert site.requests[1]["If-Range"] == '"one"'


def test_a_broken_connection_is_taken_up_again(site: FileServer, target: Path) -> None:
    site.cut = [700_000, 900_000]
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert_whole(target)
    assert ranges(site) == [None, "bytes=700000-", "bytes=1600000-"]


def test_a_server_that_ignores_ranges_starts_anew(site: FileServer, target: Path) -> None:
    site.ranges, site.cut = False, [700_000]
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert_whole(target)
    assert ranges(site) == [None, "bytes=700000-"]


def test_another_version_on_the_server_is_not_appended(site: FileServer, target: Path) -> None:
    with pytest.raises(Cancelled):
        download(site.url, target, sha256=None, progress=stop_after(1))
    site.content, site.etag = CONTENT[::-1], '"two"'
    assert download(site.url, target, sha256=None) == hashlib.sha256(site.content).hexdigest()
    assert target.read_bytes() == site.content


def test_the_beginning_of_another_address_is_not_used(site: FileServer, target: Path) -> None:
    with pytest.raises(Cancelled):
        download(site.url + "?old", target, sha256=None, progress=stop_after(1))
    download(site.url, target, sha256=DIGEST)
    assert ranges(site) == [None, None]
    assert_whole(target)


def test_a_server_without_versions_is_checked_by_the_hash(site: FileServer, target: Path) -> None:
    site.etag, site.cut = "", [700_000]
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert "If-Range" not in site.requests[1]


@pytest.mark.parametrize("content", [CONTENT[:500_000], CONTENT[:-1]])
def test_a_beginning_longer_than_the_file_is_thrown_away(site: FileServer, target: Path, content: bytes) -> None:
    site.etag, site.cut = "", [len(CONTENT) - 1]
    with pytest.raises(Cancelled):
        download(site.url, target, sha256=None, progress=stop_after(2))
    beginning = part_of(target)
    beginning.write_bytes(CONTENT[:-1])
    site.content, site.cut = content, []
    assert download(site.url, target, sha256=None) in (
        hashlib.sha256(content).hexdigest(),  # 416 says that the end is reached, or that too much is here
    )
    assert target.read_bytes() == content


def test_a_part_from_elsewhere_is_not_appended(site: FileServer, target: Path) -> None:
    site.cut, site.shift = [700_000], 5
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert ranges(site) == [None, "bytes=700000-", None]
    assert_whole(target)


def test_a_length_that_is_not_told(site: FileServer, target: Path) -> None:
    site.tell_length = False
    seen: list[tuple[str, int, int]] = []
    assert download(site.url, target, sha256=DIGEST, progress=lambda *step: seen.append(step)) == DIGEST
    *before, last = [step[1:] for step in seen if step[0] == "download"]
    assert {total for _, total in before} == {0}
    assert last == (3, 3)
    assert_whole(target)


def test_the_wrong_content_is_removed(site: FileServer, target: Path) -> None:
    with pytest.raises(GtrError) as caught:
        download(site.url, target, sha256="0" * 64)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert DIGEST in caught.value.message
    assert "0" * 64 in caught.value.message
    assert list(target.parent.iterdir()) == []


def test_a_file_that_is_there_is_checked_and_not_fetched(site: FileServer, target: Path) -> None:
    download(site.url, target, sha256=DIGEST)
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert len(site.requests) == 1
    with pytest.raises(GtrError, match="it was removed"):
        download(site.url, target, sha256="1" * 64)
    assert list(target.parent.iterdir()) == []


def test_redirects_are_followed(site: FileServer, target: Path) -> None:
    site.cut = [700_000]
    url = site.url.replace("/file", "/to//file")
    assert download(url, target, sha256=DIGEST) == DIGEST
    assert_whole(target)
    assert ranges(site) == [None, None, "bytes=700000-", "bytes=700000-"]


@pytest.mark.parametrize("place", ["ftp://example.org/file", "file:///etc/passwd", "/to/"])
def test_redirects_to_other_places_are_not(site: FileServer, target: Path, place: str) -> None:
    with pytest.raises(GtrError, match="sends on to"):
        download(site.url.replace("/file", f"/to/{place}"), target, sha256=DIGEST)
    assert list(target.parent.iterdir()) == []


def test_redirects_never_give_up_encryption() -> None:
    def follow(url: str) -> Request | None:
        return _SafeRedirects().redirect_request(
            Request("https://a.org/file"), io.BytesIO(), 302, "Found", HTTPMessage(), url
        )

    assert follow("https://b.org/file").full_url == "https://b.org/file"
    with pytest.raises(GtrError, match=r"http://b\.org/file, which is not a safe place"):
        follow("http://b.org/file")


@pytest.mark.parametrize(
    ("status", "words"), [(404, "404: there is no such file"), (401, "log in"), (403, "everybody"), (418, "refuses")]
)
def test_refusals_are_final(site: FileServer, target: Path, status: int, words: str) -> None:
    site.statuses = [status]
    with pytest.raises(GtrError, match=words) as caught:
        download(site.url, target, sha256=DIGEST)
    assert "gtr convert" in caught.value.hint
    assert len(site.requests) == 1
    assert list(target.parent.iterdir()) == []


def test_passing_trouble_is_waited_for(site: FileServer, target: Path) -> None:
    site.statuses = [503, 429]
    assert download(site.url, target, sha256=DIGEST) == DIGEST


def test_trouble_that_stays_is_given_up_and_the_beginning_kept(site: FileServer, target: Path) -> None:
    site.cut = [700_000, 0, 0, 0]
    with pytest.raises(GtrError, match=r"broke: it ended .* 0\.7 MB are kept") as caught:
        download(site.url, target, sha256=DIGEST)
    assert "same command again" in caught.value.hint
    assert part_of(target).read_bytes() == CONTENT[:700_000]
    assert len(site.requests) == 4
    assert download(site.url, target, sha256=DIGEST) == DIGEST


def test_nobody_there(target: Path, site: FileServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(GtrError, match=r"127\.0\.0\.1 broke: .*refused"):
        download(f"http://127.0.0.1:{port}/file", target, sha256=DIGEST)


def test_a_web_page_is_no_file(site: FileServer, target: Path) -> None:
    site.content_type = "text/html; charset=utf-8"
    with pytest.raises(GtrError, match="web page instead of a file"):
        download(site.url, target, sha256=DIGEST)
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_is_seen_before(site: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=60_000_000))
    with pytest.raises(GtrError) as caught:
        download(site.url, target, sha256=DIGEST)
    assert caught.value.code is ErrorCode.DISK_FULL
    assert "3 MB" in caught.value.message
    assert "60 MB" in caught.value.message


def test_one_download_at_a_time(site: FileServer, target: Path) -> None:
    def again(stage: str, done: int, total: int) -> None:
        with pytest.raises(GtrError, match="being downloaded already"):
            download(site.url, target, sha256=DIGEST)
        raise Cancelled

    with pytest.raises(Cancelled):
        download(site.url, target, sha256=DIGEST, progress=again)


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"url": 1'])
def test_a_damaged_note_about_the_beginning_costs_only_time(site: FileServer, target: Path, note: bytes) -> None:
    with pytest.raises(Cancelled):
        download(site.url, target, sha256=DIGEST, progress=stop_after(1))
    notes = [path for path in target.parent.iterdir() if path.suffix == ".json"]
    assert json.loads(notes[0].read_bytes())["size"] == len(CONTENT)
    notes[0].write_bytes(note)
    assert download(site.url, target, sha256=DIGEST) == DIGEST
    assert ranges(site) == [None, None]


@pytest.mark.parametrize("url", ["", "file.pth", "ftp://a.org/b", "https://", "file:///etc/passwd", "http://a b/"])
def test_what_is_no_address(url: str, target: Path) -> None:
    with pytest.raises(GtrError, match="no web address"):
        download(url, target, sha256=None)


def test_checksums_are_read_in_any_spelling() -> None:
    assert parse_sha256(f" SHA256:{DIGEST.upper()}\n") == DIGEST
    for wrong in ("", DIGEST[1:], "g" + DIGEST[1:]):
        with pytest.raises(GtrError, match="no SHA-256"):
            parse_sha256(wrong)
