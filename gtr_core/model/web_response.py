"""One request for the rest of a file, and what the server's answer means."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO
from urllib.parse import urlsplit

from gtr_core.errors import ErrorCode, GtrError

_TIMEOUT = 30.0
"""Seconds of silence after which a connection counts as broken."""
_BLOCK = 1 << 18
_PASSING: set[int] = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Answers after which another attempt may succeed."""
_FACTS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "it wants you to log in",
    HTTPStatus.FORBIDDEN: "it does not give the file to everybody",
    HTTPStatus.NOT_FOUND: "there is no such file",
    HTTPStatus.GONE: "the file is not there any more",
}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Broken(Exception):  # noqa: N818 - a state of the connection, not the user's error
    """The connection ended before the file did; another attempt may go on."""


class Mismatch(Broken):
    """The server has nothing from the asked byte on, or sends another part.

    Args:
        reason: which of the two.
        size: bytes of the file there; 0 if unknown.
    """

    def __init__(self, reason: str, size: int = 0) -> None:
        super().__init__(reason)
        self.size = size


class Answer:
    """A server that is sending: the whole file, or its end.

    Args:
        url: what was asked for.
        response: the open response.
        asked: first byte that was asked for.
    """

    def __init__(self, url: str, response: http.client.HTTPResponse, asked: int) -> None:
        self._response = response
        self._asked = asked
        self._url = url

    @property
    def start(self) -> int:
        """Index of the first byte that comes: what was asked for, or 0.

        Raises:
            Mismatch: it sends yet another part.
        """
        if self._response.status != HTTPStatus.PARTIAL_CONTENT:
            return 0
        match = _RANGE.fullmatch(self._response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self._asked:
            raise Mismatch("it sent another part than asked for")
        return self._asked

    @property
    def size(self) -> int:
        """Bytes of the whole file; 0 when the server does not say."""
        match = _RANGE.fullmatch(self._response.headers.get("Content-Range", ""))
        length = match[2] if match else self._response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else 0

    @property
    def validator(self) -> str:
        """Names this version of the file in a later request; "" when the server gives nothing for that."""
        tag = self._response.headers.get("ETag", "")
        return tag if tag.startswith('"') else self._response.headers.get("Last-Modified", "")

    def check_kind(self) -> None:
        """A page to look at is no file to download.

        Raises:
            GtrError: ``bad_input``.
        """
        if self._response.headers.get_content_type() == "text/html":
            raise GtrError(
                ErrorCode.BAD_INPUT,
                f"{host(self._url)} sent a web page instead of a file.",
                "Give the address of the file itself, or download it with the browser and use gtr convert.",
            )

    def read(self) -> bytes:
        """Some bytes; empty at the end, which may be too early.

        Raises:
            Broken: the connection did.
        """
        try:
            return self._response.read1(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise Broken(_reason(error)) from error


@contextmanager
def request(url: str, *, start: int = 0, validator: str = "") -> Iterator[Answer]:
    """Ask for a file from byte ``start`` on; with a validator only if it is still that version, else for all of it.

    Raises:
        Broken: no connection, or a server in passing trouble; :class:`Mismatch` when the file ends before ``start``.
        GtrError: ``bad_input``: the server refuses for good.
    """
    headers = {"User-Agent": "gtr-for-blender", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise Broken(_reason(error)) from error
    with response:
        yield Answer(url, response, start)


def check_url(url: str) -> None:
    """Whether this is an address to download from.

    Raises:
        GtrError: ``bad_input``.
    """
    if urlsplit(url).scheme not in ("http", "https") or not host(url) or not url.isascii() or " " in url:
        raise GtrError(ErrorCode.BAD_INPUT, f"{url} is no web address.", "Give one that starts with https://.")


def host(url: str) -> str:
    """The server's name in an address."""
    return urlsplit(url).hostname or ""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to other web addresses, but never from an encrypted to a plain connection."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request for the new address."""
        schemes = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
            raise GtrError(
                ErrorCode.BAD_INPUT,
                f"{host(req.full_url)} sends on to {newurl[:80]}, which is not a safe place to download from.",
                "Look for another address on the download page.",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refused(url: str, error: urllib.error.HTTPError) -> Exception:
    status = error.code
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        size = error.headers.get("Content-Range", "").removeprefix("bytes */")
        return Mismatch("it has less than is here", int(size) if size.isdecimal() else 0)
    if status in _PASSING:
        return Broken(f"it answered {status}")
    away = 300 <= status < 400  # urllib follows to web addresses, and not for ever
    fact = "it sends on to where nothing can be downloaded" if away else _FACTS.get(status, "it refuses")
    return GtrError(
        ErrorCode.BAD_INPUT,
        f"{host(url)} answered {status}: {fact}.",
        "Compare the address with the download page, or download it with the browser and use gtr convert.",
    )


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "it fell silent"
    if isinstance(cause, http.client.IncompleteRead):
        return "it ended in the middle"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
