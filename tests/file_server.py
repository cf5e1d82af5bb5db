"""A web server on this machine that serves a folder, well or badly, and remembers what it was asked for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Literal

from loopback_server import running

Fault = Literal[
    "busy", "gone", "forbidden", "half", "wrong bytes", "hang", "no ranges", "endless", "elsewhere"
]
STATUSES = {"busy": 503, "gone": 404, "forbidden": 403}


@dataclass
class Folder:
    """What the server does; its tests change it while it runs."""

    root: Path
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """What goes wrong in the next answers for a file, one after the other."""
    always: dict[str, Fault] = field(default_factory=dict)
    """What goes wrong in every answer for a file."""
    delay: float = 0.0
    """Seconds before each answer."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """File and Range header of each request."""
    url: str = ""
    over: Event = field(default_factory=Event)

    def fault(self, name: str) -> Fault | None:
        waiting = self.faults.get(name)
        return waiting.pop(0) if waiting else self.always.get(name)

    def ranges(self, name: str) -> list[str | None]:
        return [range for file, range in self.asked if file == name]


@contextmanager
def serve_folder(folder: Folder) -> Iterator[Folder]:
    """Run the server in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or small answers wait 40 ms for one another

        def do_GET(self) -> None:
            name = self.path.strip("/")
            folder.asked.append((name, self.headers["Range"]))
            time.sleep(folder.delay)
            fault = folder.fault(name)
            path = folder.root / name
            if fault == "hang":
                folder.over.wait()
                self.close_connection = True
            elif fault in STATUSES or not path.is_file():
                self.answer(STATUSES.get(fault or "", 404), b"")
            elif fault == "elsewhere" and not self.headers["Host"].startswith("0.0.0.0"):
                self.send_response(302)
                self.send_header("Location", f"{folder.url.replace('127.0.0.1', '0.0.0.0')}/{name}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.send(path.read_bytes(), fault)

        def send(self, content: bytes, fault: Fault | None) -> None:
            asked = self.headers["Range"]
            total = len(content)
            if asked is None or fault == "no ranges":
                self.answer(200, content, fault)
                return
            first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
            if first >= total:
                self.answer(416, b"")
                return
            part = content[first : last + 1]
            if fault == "wrong bytes":
                part = bytes(byte ^ 1 for byte in part)
            self.answer(206, part, fault, f"bytes {first}-{first + len(part) - 1}/{total}")

        def answer(self, status: int, body: bytes, fault: Fault | None = None, span: str = "") -> None:
            self.send_response(status)
            if span:
                self.send_header("Content-Range", span)
            if fault == "endless":
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                while not folder.over.is_set():
                    self.wfile.write(b" " * 65536)
                return
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "half" else body)
            self.close_connection = fault == "half"

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Stay silent where a client has gone."""

    with running(Handler, Server) as url:
        folder.url = url
        try:
            yield folder
        finally:
            folder.over.set()
