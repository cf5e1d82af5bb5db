"""A web server on this machine that serves one file, well or badly, and remembers what it was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from loopback_server import running


@dataclass
class Served:
    """What the server does; its tests change it while it runs."""

    content: bytes
    ranges: bool = True
    """Whether it honours Range."""
    says_length: bool = True
    etag: str | None = '"1"'
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection breaks, for the first answers."""
    statuses: list[int] = field(default_factory=list)
    """Error statuses of the first answers."""
    location: str | None = None
    """Where it redirects to."""
    asked: list[str | None] = field(default_factory=list)
    """Range header of each request."""
    url: str = ""

    @property
    def num_requests(self) -> int:
        return len(self.asked)


@contextmanager
def serve(served: Served) -> Iterator[Served]:
    """Run the server in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.headers["Range"])
            if served.location is not None:
                self.send_response(302)
                self.send_header("Location", served.location)
                self.end_headers()
            elif served.statuses:
                self.send_error(served.statuses.pop(0))
            else:
                self.send_content()

        def send_content(self) -> None:
            start, total = self.start(), len(served.content)
            if start > 0 and start >= total:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if served.says_length:
                self.send_header("Content-Length", str(total - start))
            if served.etag is not None:
                self.send_header("ETag", served.etag)
            self.end_headers()
            body = served.content[start:]
            self.wfile.write(body[: served.cuts.pop(0)] if served.cuts else body)
            self.close_connection = True

        def start(self) -> int:
            wanted = self.headers["Range"]
            changed = self.headers["If-Range"] not in (None, served.etag)
            if wanted is None or not served.ranges or changed:
                return 0
            return int(wanted.removeprefix("bytes=").removesuffix("-"))

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with running(Handler) as url:
        served.url = url
        yield served
