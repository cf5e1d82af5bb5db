"""A server in a process of its own, and clients that ask again as soon as they are answered."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import perf_counter, sleep

START_SECONDS = 120.0


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def resident_mb(self) -> float:
        """Memory of the process, in megabytes; Linux only."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1000
        raise RuntimeError(f"process {self.process.pid} has ended")

    def events(self, name: str) -> list[dict[str, object]]:
        """Return the lines of the log with this event."""
        lines = self.log.read_text(errors="replace").split("\n")
        events = (json.loads(line) for line in lines if line.startswith("{"))  # libtiff writes there too
        return [event for event in events if event["event"] == name]


@contextmanager
def serving(model: Path, *flags: str, cores: Sequence[int] | None = None) -> Iterator[Serving]:
    """Run `effnet serve` on some cores; stop it with SIGTERM."""
    command = [
        sys.executable,
        "-m",
        "effnet",
        "serve",
        str(model),
        "--port",
        "0",
        "--drain-seconds",
        "0",
        *flags,
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, stderr=file, stdout=subprocess.DEVNULL)
        if cores is not None:
            os.sched_setaffinity(process.pid, cores)  # before it counts its cores and starts threads
        try:
            yield Serving(process, _port(process, log), log)
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until it is ready."""
    end = perf_counter() + START_SECONDS
    while perf_counter() < end and process.poll() is None:
        lines = log.read_text().splitlines()
        if lines and lines[-1].startswith("{"):
            return int(json.loads(lines[0])["url"].rpartition(":")[2])
        sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text()}")


def request(body: bytes, query: str = "") -> bytes:
    """Write a request whose connection stays open."""
    head = f"POST /v1/predict{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def closed_loop(
    port: int, requests: Sequence[bytes], clients: int, seconds: float
) -> tuple[list[float], float]:
    """Let clients ask for some seconds, each as soon as it is answered.

    All clients are one thread that does as little as possible: what it takes is missing to the server. It
    never sleeps, having a core of its own: to wake a sleeping virtual core takes 0.15 ms, which with one
    client would count as the server's.

    Returns:
        The seconds of each answer, and those of all until the last one.

    """
    started, latencies = perf_counter(), list[float]()
    with DefaultSelector() as selector, ExitStack() as connections:
        for place in range(clients):
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            client = Client(connection, place)
            client.ask(requests)
            selector.register(connection, EVENT_READ, client)
        while selector.get_map():
            for key, _ in selector.select(0):
                client = key.data
                if not client.is_answered():
                    continue
                latencies.append(perf_counter() - client.asked)
                if perf_counter() - started < seconds:
                    client.ask(requests)
                else:
                    selector.unregister(client.connection)
    return latencies, perf_counter() - started


@dataclass
class Client:
    """Somebody who asks again and again."""

    connection: socket.socket
    place: int
    asked: float = 0.0
    answer: bytes = b""

    def ask(self, requests: Sequence[bytes]) -> None:
        """Send the next request."""
        self.asked, self.answer = perf_counter(), b""
        self.connection.sendall(requests[self.place % len(requests)])
        self.place += 1

    def is_answered(self) -> bool:
        """Read what is there; tell whether it is the whole answer."""
        self.answer += self.connection.recv(65_536)
        if not self.answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a good image was answered with {self.answer[:300]!r}")
        return self.answer.endswith(b"]}]}")  # of the list of images, and of classes in it


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer: its status and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    return int(head[9:12]), await reader.readexactly(length)
