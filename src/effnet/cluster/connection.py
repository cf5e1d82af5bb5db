"""Join a Ray cluster, or start one here. This module alone imports Ray, and keeps it silent."""

import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from effnet.errors import EffnetError, MissingExtraError, UsageError

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
CONNECT_SECONDS = 5.0  # for the port of the cluster to open
JOIN_SECONDS = 30.0  # for what is behind it to answer as Ray does; Ray itself tries for two minutes
HEALTH = (sys.executable, "-c", "from ray.scripts.scripts import main; main()", "health-check")

# Read when Ray is imported: nothing is sent to its makers, and what it has to say goes into its log files.
SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # without a GPU of its own a worker sees none
}
MAX_TEXT = 300
REMOVE_SECONDS = 10.0
SHORT = Path("/tmp")  # names of sockets have 107 characters at most, and Ray adds 80


def check_address(address: str) -> None:
    """Check where a cluster is said to be, before the work that is done there is prepared.

    Raises:
        MissingExtraError: Ray is not installed, or not the part of it that the address needs.
        UsageError: the address has no meaning.

    """
    if address not in (LOCAL, AUTO):
        _host_and_port(address)
    if find_spec("ray") is None:
        raise MissingExtraError("--cluster needs ray; install it with: pip install 'effnet[cluster]'")
    if address.startswith(CLIENT) and find_spec("grpc") is None:
        raise MissingExtraError(
            f"--cluster {address}: ray:// needs grpcio; install it with: pip install 'ray[client]'"
        )


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(
            f"--cluster {address}: not an address; known: local, auto, HOST:PORT, ray://HOST:PORT"
        )
    return host.strip("[]"), int(port)


@contextmanager
def joined(address: str, num_cpus: int | None = None) -> Iterator[Any]:
    """Join a cluster, or start one on this machine, which then ends with the work; give the module `ray`.

    A process is in one cluster at a time: if it is in one already, that one is taken, and left as it is.

    Args:
        address: see `Cluster`.
        num_cpus: cores of a local cluster; all that this process may use when not given.

    Raises:
        EffnetError: nothing answers there within `CONNECT_SECONDS` + `JOIN_SECONDS`, or with another version.
        MissingExtraError, UsageError: see `check_address`.

    """
    check_address(address)
    _prepare(address)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        with _silent():
            yield ray
        return
    if address != LOCAL:
        _check_answer(address)
    with _folder(address) as options, _silent():
        _init(ray, address, options | _size(address, num_cpus))
        try:
            yield ray
        finally:
            ray.shutdown()


def _prepare(address: str) -> None:
    """Set what Ray reads when it is imported.

    A cluster of our own gets a secret that its processes alone know; Ray would leave one in the home folder.
    """
    for name, value in SILENCE.items():
        os.environ.setdefault(name, value)
    if address == LOCAL and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray from printing on standard output, where results belong, which nothing else turns off."""
    worker: Any = import_module("ray._private.worker")
    speak = worker.print_to_stdstream
    worker.print_to_stdstream = _ignore
    try:
        yield
    finally:
        worker.print_to_stdstream = speak


def _ignore(*said: object, **how: object) -> None:
    """Print nothing."""


def _init(ray: Any, address: str, options: dict[str, Any]) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **quiet, **options)
    except (ConnectionError, RuntimeError, ValueError, SystemExit, ray.exceptions.RayError) as error:
        ray.shutdown()
        raise EffnetError(f"--cluster {address}: cannot be joined: {one_line(error)}") from error
    finally:
        if is_main:  # where Ray sets a handler of its own
            signal.signal(signal.SIGTERM, handler)


def _size(address: str, num_cpus: int | None) -> dict[str, Any]:
    if address != LOCAL:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"num_cpus": num_cpus or cores, "include_dashboard": False}


@contextmanager
def _folder(address: str) -> Iterator[dict[str, Any]]:
    """Give a cluster of our own a folder for sockets and logs, which goes with it."""
    if address != LOCAL:
        yield {}
        return
    folder = tempfile.mkdtemp(prefix="effnet-ray-", dir=SHORT if SHORT.is_dir() else None)
    try:
        yield {"_temp_dir": folder}
    finally:
        _remove(Path(folder))


def _remove(folder: Path) -> None:
    """Remove the folder of a cluster that was ended; a process of it may still write its last words."""
    end = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


def _check_answer(address: str) -> None:
    """Check that a cluster answers: Ray itself takes two minutes to say that it does not.

    Raises:
        EffnetError: it does not.

    """
    if address != AUTO:
        _check_port(address)
    if address.startswith(CLIENT):  # which gives up after half a minute by itself
        return
    command = [*HEALTH, *([] if address == AUTO else ["--address", address])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=JOIN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise EffnetError(
            f"--cluster {address}: what is there does not answer as a Ray cluster within "
            f"{JOIN_SECONDS:g} seconds"
        ) from None
    said = done.stderr.decode(errors="replace")
    if "AuthenticationError" in said and address != AUTO:  # for auto, Ray finds the secret by itself
        raise EffnetError(
            f"--cluster {address}: wants its secret: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what "
            f"`ray get-auth-token` prints there"
        )


def _check_port(address: str) -> None:
    host, port = _host_and_port(address)
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise EffnetError(
            f"--cluster {address}: nothing answers there ({error.strerror or error}); `ray status` on a "
            f"machine of the cluster shows whether it runs"
        ) from None


def one_line(error: BaseException) -> str:
    """Return the text of an error in one line, which is not long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
