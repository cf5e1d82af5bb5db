"""Servers for tests: in this process without a socket, and over a real one on loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from effnet.inference.server.app import create_app
from effnet.inference.server.live import LiveModel
from effnet.inference.server.run import Server, configuration, listen
from effnet.inference.server.settings import ServeSettings
from effnet.inference.server.site import Site
from onnx_models import write_onnx_model

LOOPBACK = "http://127.0.0.1"


def make_site(folder: Path, *, token: str | None = None, **settings: Any) -> Site:
    """Return a site with the small model of these tests."""
    path = folder / "model.onnx"
    if not path.exists():
        write_onnx_model(path)
    return Site(LiveModel(path, threads=1, max_batch=4), ServeSettings(threads=1, **settings), token)


@contextmanager
def client(site: Site) -> Iterator[TestClient]:
    """Ask a site in this process."""
    with TestClient(create_app(site), base_url=LOOPBACK) as asking:
        yield asking


@contextmanager
def running(site: Site, *, send_buffer: int | None = None) -> Iterator[int]:
    """Run a site in a thread, with so many bytes that the system sends ahead; give its port."""
    ready = Event()
    with listen("127.0.0.1", 0) as listening:
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        port: int = listening.getsockname()[1]
        server = Server(configuration(site), site, ready.set)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(30)
            yield port
        finally:
            server.should_exit = True
            thread.join()


def talk(port: int, *pieces: bytes, wait: float = 10.0) -> bytes:
    """Send bytes as they are, and return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    answer = b""
    while piece := connection.recv(65_536):
        answer += piece
    return answer


def post(body: bytes, *headers: str, path: str = "/v1/predict") -> bytes:
    """Write a request, whose connection closes after the answer."""
    lines = [
        f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close",
        f"Content-Length: {len(body)}", *headers, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


def photo(kind: str = "PNG", size: tuple[int, int] = (40, 30), seed: int = 0, **options: Any) -> bytes:
    """Return an image of noise as a file."""
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encoded(Image.fromarray(values), kind, **options)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
