"""Run a server: listen, answer until told to stop, finish what was taken."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from types import FrameType

import uvicorn

from effnet.errors import UsageError
from effnet.inference.runtime import num_cores
from effnet.inference.server.app import create_app
from effnet.inference.server.exported import ready_file
from effnet.inference.server.live import LiveModel
from effnet.inference.server.logs import log, take_over_logs
from effnet.inference.server.memory import return_large_blocks
from effnet.inference.server.patience import PatientConfig, PatientProtocol
from effnet.inference.server.settings import ServeSettings
from effnet.inference.server.site import Site
from effnet.shipped.catalogue import located

KEEP_ALIVE_SECONDS = 15
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which says that it leaves before it goes."""

    def __init__(self, config: PatientConfig, site: Site, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.site = site
        self._on_ready = on_ready
        self._leaves_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, from a keyboard without delay; stop at the second."""
        if self.site.is_draining:
            self.should_exit = self.force_exit = True
            return
        self.site.is_draining = True
        delay = 0.0 if sig == signal.SIGINT else self.site.settings.drain_seconds
        self._leaves_at = monotonic() + delay
        log("draining", signal=signal.Signals(sig).name, seconds=delay)

    async def on_tick(self, counter: int) -> bool:
        """Look whether it is time to leave; called ten times a second."""
        if self._leaves_at is not None and monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(
    model: str | Path,
    settings: ServeSettings | None = None,
    *,
    token: str | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a model file over HTTP until SIGINT or SIGTERM; needs the main thread.

    Args:
        model: an ONNX file that `effnet export` wrote, or a file of `effnet train`, which is exported first.
        settings: where to listen, and how much to take on.
        token: what requests must bear; without one anybody who reaches the server may ask.
        on_ready: told of the server's address when it answers.

    Raises:
        ModelFileError: the model file cannot be used.
        UsageError: the address cannot be listened on.

    """
    settings = settings or ServeSettings()
    with listen(settings.host, settings.port) as listening:
        live = LiveModel(
            located(Path(model)),
            threads=settings.threads or num_cores(),
            max_batch=settings.max_batch,
            ready_file=ready_file,
        )
        site = Site(live, settings, token)
        url = url_of(settings.host, listening.getsockname()[1])

        def say_ready() -> None:
            current = live.current
            log("ready", url=url, model=live.path.name, version=current.version, batch=current.batch)
            on_ready(url)

        take_over_logs()
        return_large_blocks()
        Server(configuration(site), site, say_ready).run(sockets=[listening])
        log("stopped")


def configuration(site: Site) -> PatientConfig:
    """Return what uvicorn is told."""
    config = PatientConfig(
        create_app(site),
        http=PatientProtocol,
        ws="none",
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=site.settings.connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(site.settings.timeout) + 1,
    )
    config.patience = site.settings.timeout
    return config


def listen(host: str, port: int) -> socket.socket:
    """Take the port before the model is loaded, so that a wrong one is known at once.

    Raises:
        UsageError: no such address here, no right to it, or it is taken.

    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # asyncio sets TCP_NODELAY only where a socket names its protocol:
        # without it each answer took 40 ms longer.
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise _unavailable(host, port, error) from None
    try:
        if os.name == "posix":  # a port that was used a moment ago; elsewhere this would share it
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _unavailable(host, port, error) from None
    return listening


def _unavailable(host: str, port: int, error: OSError | UnicodeError) -> UsageError:
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number is not None and number > 0 else getattr(error, "strerror", error)
    return UsageError(f"cannot listen on {host}, port {port}: {reason}; choose others: --host, --port")


def url_of(host: str, port: int) -> str:
    """Return an address to type into a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"
