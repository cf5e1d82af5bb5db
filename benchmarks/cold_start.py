r"""Seconds from typing `effnet train` to the end of its first optimizer step, and what they are spent on.

    python benchmarks/cold_start.py
    python benchmarks/cold_start.py --runs 7 /work/data/cifar10 -- --recipe cifar10-quick

Each run is a fresh process; flags after -- go to `effnet train`. imports: the interpreter, effnet's command
and all that it loads at once. data: open, divide and read the images. network: all else until the first step.
step: the first one. What is imported only when it is needed counts where it is needed; `python -X importtime
-m effnet train digits` names the modules. The processor's time is what the clock shows with one thread on an
idle machine. Compiled kernels are there already: the first run does not count. Steps that are tried before,
to see what memory they need, count as network.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time, time
from typing import Any

import recording
from effnet.cli.output import console, table

PHASES = ("imports", "data", "network", "step", "total")
Moment = tuple[float, float]
Seconds = dict[str, Moment]
"""By the clock and of the processor, for each phase."""


class FirstStepError(BaseException):
    """The first step is done; no `except Exception` on the way keeps it."""


def now() -> Moment:
    """Return the time, and the processor's time of this process from its start."""
    return time(), process_time()


class Watch:
    """Adds up the time that calls take, those inside a watched one not counted twice."""

    def __init__(self, began: float) -> None:
        self.started = (began, 0.0)
        self.spent = dict.fromkeys(PHASES, (0.0, 0.0))
        self.depth = 0

    def add(self, phase: str, since: Moment) -> None:
        """Count all since a moment."""
        clock, processor = self.spent[phase]
        later = now()
        self.spent[phase] = clock + later[0] - since[0], processor + later[1] - since[1]

    def over(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """Return the function, watched."""

        @wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            began, outer = now(), self.depth == 0
            self.depth += 1
            try:
                return function(*args, **kwargs)
            finally:
                self.depth -= 1
                if outer:
                    self.add(phase, began)

        return watched


def child(began: float, args: list[str]) -> None:
    """Run `effnet train` up to its first step, and print the seconds of each phase as JSON."""
    from effnet.cli import main, settings, train  # noqa: F401 - what the command imports at once
    from effnet.training import parts
    from effnet.training.loop import Trainer

    watch = Watch(began)
    watch.add("imports", watch.started)
    settings.open_dataset = watch.over(settings.open_dataset, "data")  # type: ignore[attr-defined]
    parts.split = watch.over(parts.split, "data")  # type: ignore[attr-defined]
    parts.read = watch.over(parts.read, "data")
    fit, update = Trainer.fit, watch.over(Trainer.update, "step")

    def first(*args: Any) -> None:
        update(*args)
        raise FirstStepError

    def fit_once(*args: Any, **kwargs: Any) -> Any:  # steps before it are tries that measure memory and time
        Trainer.update = first  # type: ignore[assignment, method-assign]
        return fit(*args, **kwargs)

    Trainer.fit = fit_once  # type: ignore[method-assign]
    try:
        main.main(["train", *args])
    except FirstStepError:
        watch.add("total", watch.started)
        print(json.dumps(rest_to_network(watch.spent)))


def rest_to_network(spent: Seconds) -> Seconds:
    """Give to the network what no other phase took."""
    taken = [sum(spent[phase][kind] for phase in PHASES if phase != "total") for kind in (0, 1)]
    clock, processor = spent["total"]
    return {**spent, "network": (clock - taken[0], processor - taken[1])}


def measured(args: list[str]) -> Seconds:
    """Start a process, and return the seconds of its phases.

    Raises:
        CalledProcessError: the command failed before its first step.

    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--child", repr(time()), *args, "--out", f"{folder}/run"]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    found: Seconds = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(float(sys.argv[2]), sys.argv[3:])
        return
    arguments = parser().parse_args()
    args = [arguments.data, *arguments.flags]
    measured(args)  # compiles kernels, fills caches
    runs = [measured(args) for _ in range(arguments.runs)]
    show(args, runs)
    if arguments.record:
        recording.append("cold_start", row(args, runs), arguments.results)


def row(args: list[str], runs: list[Seconds]) -> dict[str, Any]:
    """Return what is written down: every run."""
    import torch

    from effnet.benching.machine import cpu_name
    from effnet.device import environment

    place = environment(torch.device("cpu")) | {"cpu": cpu_name()}
    return {**recording.stamp(), "args": args, "environment": place, "runs": runs}


def show(args: list[str], runs: list[Seconds]) -> None:
    """Print the median of each phase, and its range."""
    shown = table(
        f"effnet train {' '.join(args)}: seconds to the first step, {len(runs)} fresh processes",
        ["", "median", "lowest", "highest", "of the processor"],
    )
    for phase in PHASES:
        clock, processor = zip(*(run[phase] for run in runs), strict=True)
        values = median(clock), min(clock), max(clock), median(processor)
        shown.add_row(phase, *(f"{value:.2f}" for value in values))
    console().print(shown)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("data", nargs="?", default="digits")
    made.add_argument("flags", nargs="*", help="of effnet train, after --")
    made.add_argument("--runs", type=int, default=5)
    made.add_argument("--record", action="store_true", help="append the result to the record")
    made.add_argument("--results", type=Path, default=recording.RESULTS, help="folder of the record")
    return made


if __name__ == "__main__":
    main()
