"""How many images contenders learn from in a second, measured in turns so that all have the same machine."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import torch

import recording
from effnet.benching.machine import cpu_name
from effnet.benching.process import Running, running
from effnet.benching.programs import Contender
from effnet.device import environment
from learners import config_of
from learning import Task, prepare, stepping


def measure(
    tasks: Mapping[str, Task], rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Start every contender twice, as the first start compiles and decodes; then let them take turns.

    A turn takes so many seconds, and one step at least.

    Raises:
        ContenderError: one could not start.

    """
    turns: dict[str, list[list[float]]] = {name: [] for name in tasks}
    going, starts = dict[str, Running](), dict[str, float]()
    with TemporaryDirectory() as folder, ExitStack() as held:
        for name, task in tasks.items():
            with started(task, Path(folder) / name):
                say(f"{name} is ready")
        for name, task in tasks.items():
            began = monotonic()
            going[name] = held.enter_context(started(task, Path(folder) / name))
            starts[name] = monotonic() - began
            going[name].ask("warm")
        for number in range(rounds):
            for name, program in going.items():
                turns[name].append(program.ask("turn", seconds))
            say(f"speeds: round {number + 1} of {rounds}")
    return {name: summary(task, turns[name], starts[name]) for name, task in tasks.items()}


def started(task: Task, log: Path) -> AbstractContextManager[Running]:
    """Return the context in which a contender's process runs."""
    program = Contender("network", task.contender, stepping, (1, 3, 1, 1), partial(prepare, task))
    return running(program, log, lambda: False)


def summary(task: Task, turns: Sequence[Sequence[float]], start: float) -> dict[str, Any]:
    """Return the row of a contender from the seconds of each step, turn by turn."""
    size = config_of(task.contender, task.flags, task.seed).batch_size
    rates = [size * len(turn) / sum(turn) for turn in turns]
    return {
        **recording.stamp(),
        "images_per_second": round(median(rates), 2),
        "rounds": [round(rate, 2) for rate in rates],
        "start_seconds": round(start, 1),
        "batch_size": size,
        "threads": task.threads,
        "environment": environment(torch.device("cpu")) | {"cpu": cpu_name()},
    }
