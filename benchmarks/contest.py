"""Contenders that take turns, each in a process of its own: none inherits what another set or compiled."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

from effnet.cli.main import SPIN_COUNT
from timing import steps_per_second

RECIPE = "small-images"
SIDE = 2048  # of the matrices of a product: large enough for full speed, 17 GFLOP
# Where compiled code is kept: Inductor's, that of C++ extensions, ours.
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "EFFNET_CACHE")


@dataclass(frozen=True)
class Terms:
    """What holds for all contenders."""

    flags: tuple[str, ...]
    """Settings of the training, as `effnet train` takes them."""
    threads: int | None
    """Of torch; its own choice when None."""
    same_memory: bool
    """Whether the others keep freed memory as ours does."""


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender."""

    starts: tuple[float, float]
    """Seconds from building to the end of the first step: without compiled code on disk, and with it."""
    speeds: tuple[float, ...]
    """Steps per second, one number a round."""


def contest(names: Sequence[str], terms: Terms, rounds: int, seconds: float) -> dict[str, Timing]:
    """Start every contender twice, then let them take turns of some seconds, of one step at least."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as caches, ExitStack() as running:
        first = {}
        for name in names:
            with process(name, terms, caches) as (_, first[name]):
                pass
        second = {name: running.enter_context(process(name, terms, caches)) for name in names}
        speeds: dict[str, list[float]] = {name: [] for name in names}
        started = perf_counter()
        for _ in range(rounds):
            for name, (pipe, _) in second.items():
                pipe.send(seconds)
                speeds[name].append(pipe.recv())
        say(f"{rounds} rounds took {perf_counter() - started:.0f} s")
    return {name: Timing((first[name], second[name][1]), tuple(speeds[name])) for name in names}


@contextmanager
def process(name: str, terms: Terms, caches: str) -> Iterator[tuple[Connection, float]]:
    """Run a contender; give the pipe to it and the seconds of its start."""
    context = get_context("spawn")
    pipe, other_end = context.Pipe()
    running = context.Process(target=serve, args=(other_end, name, terms, caches), daemon=True)
    running.start()
    other_end.close()  # or its end would never be noticed
    seconds = pipe.recv()
    say(f"{name} started in {seconds:.1f} s")
    yield pipe, seconds
    pipe.send(None)
    running.join()


def serve(pipe: Connection, name: str, terms: Terms, caches: str) -> None:
    """Be a contender: start, say how long it took, then take turns until told to stop."""
    os.environ.update({variable: os.path.join(caches, variable) for variable in CACHES})
    if name == "ours":
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # as the command line does, before torch comes
    sys.path.append(str(Path(__file__).parents[1] / "tests"))  # timm's side is built by tests/peers.py
    import torch

    from contenders import CONTENDERS, prepare
    from effnet.device import kept_memory

    torch.set_num_threads(terms.threads or torch.get_num_threads())
    task = prepare(terms.flags)
    with ExitStack() as settings:
        if name == "ours" or terms.same_memory:
            settings.enter_context(kept_memory(task.parts.device))
        started = perf_counter()
        step = CONTENDERS[name](task)
        step()
        pipe.send(perf_counter() - started)
        while (seconds := pipe.recv()) is not None:
            pipe.send(steps_per_second(step, seconds))


def say(text: str) -> None:
    """Show whoever waits that something happens."""
    print(text, file=sys.stderr, flush=True)
