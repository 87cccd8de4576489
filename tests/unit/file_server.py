"""A web server in a thread, whose faults can be chosen."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_PIECE = 1 << 16


@dataclass
class FileServer:
    """Serves ``content`` at /file; the other members say how badly.

    ``cut`` lists after how many bytes the next answers end; ``statuses`` lists what the next requests are refused with;
    ``shift`` is by how much the ranges it sends are wrong; ``pause_after`` is after how many bytes of an answer it
    sends nothing before ``resume`` is set.
    """

    content: bytes
    ranges: bool = True
    etag: str = '"one"'
    tell_length: bool = True
    content_type: str = "application/octet-stream"
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    shift: int = 0
    pause_after: int | None = None
    resume: threading.Event = field(default_factory=threading.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append(dict(self.headers))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif site.statuses:
            self.send_error(site.statuses.pop(0))
        elif not self.path.startswith("/file"):
            self.send_error(404)
        else:
            self._serve(site)

    def _serve(self, site: FileServer) -> None:
        size, start = len(site.content), 0
        asked = self.headers.get("Range")
        if asked and site.ranges and self.headers.get("If-Range") in (None, site.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + site.shift}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", site.content_type)
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.tell_length:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        body = site.content[start:]
        body = body[: site.cut.pop(0)] if site.cut else body
        for at in range(0, len(body), _PIECE):
            if site.pause_after is not None and at >= site.pause_after:
                site.resume.wait()
            self.wfile.write(body[at : at + _PIECE])

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    site: FileServer

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that goes away in the middle is what some tests are about


@contextmanager
def serve(content: bytes) -> Iterator[FileServer]:
    """Serve at ``site.url`` as long as the context lasts."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.site = FileServer(content, url=f"http://127.0.0.1:{server.server_port}/file")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.site
        finally:
            server.site.resume.set()
            server.shutdown()
            thread.join()
