"""How much of CIFAR-10 each contender learns in the same minutes on this machine.

    python benchmarks/minutes.py CIFAR10_FOLDER --minutes 10
    python benchmarks/minutes.py CIFAR10_FOLDER --minutes 60 --only ours ours-wide plain --name cifar10-hour
    python benchmarks/minutes.py CIFAR10_FOLDER --only plain --no-test --tune plain -- --batch-size 256
    python benchmarks/minutes.py CIFAR10_FOLDER --minutes 10 --budget images      (others use the machine too)

--budget wall: each run, start included, ends its last step when the minutes are over; its schedule as well.
--budget images: the speeds of all are measured first, in turns; then each run has as many images as the
minutes allow at the median speed, less its start, however long that takes now. Either way validation and test
come after, outside the minutes, once each, with the last weights: they choose nothing. To choose settings,
--no-test leaves the test part unread. Before the clock runs, images are decoded and our kernels compiled:
a machine does that once.

Results are added to docs/results/NAME.jsonl; a run that is there, with the same settings, is not done again.
Flags of `effnet train` after -- change `ours`, or whom --tune names.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import recording
from effnet.cli.main import SPIN_COUNT
from effnet.errors import DivergedError, EffnetError, UsageError
from ledger import Ledger, Row, digest
from standings import draw, duration, show

if TYPE_CHECKING:
    from learning import Task

Result = TypeVar("Result")

FIRST = ("ours", "resnet-18-cifar", "mobilenet-v2", "b0-cifar", "timm-b0", "plain")


@dataclass(frozen=True)
class Contest:
    """What holds for all runs."""

    data: str
    minutes: float
    budget: str
    tuned: str
    """Who is changed by the flags."""
    flags: tuple[str, ...]
    threads: int
    tested: bool

    @cached_property
    def fingerprint(self) -> str:
        """The data set's, found once; UsageError where it is no contest for all."""
        from effnet.data.datasets import open_dataset
        from plain import NUM_CLASSES

        dataset = open_dataset(self.data)
        if len(dataset.class_names) != NUM_CLASSES:
            raise UsageError(
                f"{self.data} has {len(dataset.class_names)} classes; CIFAR-10 has {NUM_CLASSES}"
            )
        if self.tested and "test" not in dataset.parts:
            raise UsageError(
                f"{self.data} has no test part; take --no-test to measure on the validation part"
            )
        return dataset.fingerprint()

    def flags_of(self, name: str) -> tuple[str, ...]:
        """Return what changes a contender."""
        return self.flags if name == self.tuned else ()

    def key(self, name: str) -> str:
        """Return what the speed of a contender depends on beside the machine, in a few characters."""
        from learners import describe

        return digest([name, describe(name, self.flags_of(name)), self.threads, self.fingerprint])

    def run_of(self, name: str, seed: int) -> Row:
        """Return what tells a run from all others."""
        terms = {"budget": self.budget, "minutes": self.minutes, "seed": seed, "tested": self.tested}
        return {"kind": "run", "contender": name, "key": self.key(name), **terms}


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # as the command line does, before torch comes
    arguments, flags = parser().parse_known_args()
    from learning import warm

    try:
        contest, ledger = prepare(arguments, flags)
        speeds = speeds_of(contest, arguments, ledger) if contest.budget == "images" else {}
        apart(warm, contest.data)
        rows, failed = compete(contest, arguments, ledger, speeds)
    except EffnetError as error:
        sys.exit(f"error: {error}")
    if rows:
        show(rows, f"{duration(contest.minutes)} by {contest.budget}, {contest.threads} threads")
    if rows and arguments.picture is not None:
        draw(rows, arguments.picture)
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("data", help="a folder with train/ and test/, or cifar10")
    made.add_argument("--minutes", type=float, default=10.0)
    made.add_argument("--budget", choices=("wall", "images"), default="wall")
    made.add_argument("--only", nargs="+", default=list(FIRST), metavar="NAME")
    made.add_argument(
        "--seeds", type=int, default=3, help="of 0, 1, …; every contender has one before any has two"
    )
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of torch")
    made.add_argument("--rounds", type=int, default=5, help="of turns in which speeds are measured")
    made.add_argument("--seconds", type=float, default=4.0, help="least time of a turn")
    made.add_argument(
        "--no-test", dest="tested", action="store_false", help="measure on the validation part only"
    )
    made.add_argument("--tune", default="ours", metavar="NAME", help="whom the flags after -- change")
    made.add_argument("--name", default="cifar10-minutes", help="of the results file")
    made.add_argument("--picture", type=Path, help="PNG file to draw accuracies into")
    recording.add_flags(made)
    return made


def prepare(arguments: argparse.Namespace, flags: Sequence[str]) -> tuple[Contest, Ledger]:
    """Check what is asked for, and look up what was done before.

    Raises:
        UsageError: an unknown contender, or a number that is too small.

    """
    if arguments.minutes <= 0 or min(arguments.seeds, arguments.threads, arguments.rounds) < 1:
        raise UsageError("--minutes must be above 0; --seeds, --threads and --rounds at least 1")
    own = tuple(flag for flag in flags if flag != "--")
    terms = (arguments.data, arguments.minutes, arguments.budget, arguments.tune, own)
    contest = Contest(*terms, arguments.threads, arguments.tested)
    for name in arguments.only:
        contest.key(name)  # finds what is wrong with a name or a flag before anything runs
    return contest, Ledger(arguments.name, arguments.results if arguments.record else None)


def speeds_of(contest: Contest, arguments: argparse.Namespace, ledger: Ledger) -> dict[str, Row]:
    """Return the speed of each contender; who is in the record is not measured again."""
    from pace import measure

    asked = {name: {"kind": "speed", "contender": name, "key": contest.key(name)} for name in arguments.only}
    found = {name: row for name, terms in asked.items() if (row := ledger.find(terms))}
    missing = [name for name in arguments.only if name not in found]
    if found:
        say(f"speeds from the record: {', '.join(found)}")
    tasks = {name: task(contest, name, 0) for name in missing}
    for name, speed in measure(tasks, arguments.rounds, arguments.seconds, say).items():
        found[name] = ledger.add({**asked[name], **speed, "measured_with": missing})
    return found


def task(contest: Contest, name: str, seed: int) -> "Task":
    """Return what a process is told to learn."""
    from learning import Task

    return Task(name, contest.data, contest.flags_of(name), seed, contest.threads, contest.tested)


def compete(
    contest: Contest, arguments: argparse.Namespace, ledger: Ledger, speeds: dict[str, Row]
) -> tuple[list[Row], list[str]]:
    """Do the runs that are not in the record; return all of them, and which failed and why."""
    rows, failed = list[Row](), list[str]()
    for seed in range(arguments.seeds):
        for name in arguments.only:
            terms = contest.run_of(name, seed)
            found = ledger.find(terms)
            if found is None:
                try:
                    found = ledger.add({**terms, **run(contest, name, seed, speeds.get(name))})
                except (DivergedError, BrokenProcessPool) as error:
                    failed.append(f"{name}, seed {seed}: {error}")
                    say(failed[-1])
                    continue
            part = "test" if contest.tested else "val"
            say(f"{name}, seed {seed}: {part} {found[f'{part}_top1']:.2%} after {found['images']:,} images")
            rows.append(found)
    return rows, failed


def run(contest: Contest, name: str, seed: int, speed: Row | None) -> Row:
    """Let a contender learn in a process of its own."""
    from learners import describe
    from learning import learn

    images = None if speed is None else images_in(contest.minutes, speed)
    say(f"{name}, seed {seed}: {duration(contest.minutes) if images is None else f'{images:,} images'}")
    started = monotonic()
    learned = apart(learn, task(contest, name, seed), images, started + 60 * contest.minutes)
    measured = speed and {key: speed[key] for key in ("images_per_second", "start_seconds")}
    about = {"settings": describe(name, contest.flags_of(name)), "speed": measured}
    return {**recording.stamp(), "seconds": round(monotonic() - started, 1), **learned, **about}


def apart(do: Callable[..., Result], *given: Any) -> Result:
    """Do something in a process of its own, and return its result.

    Raises:
        BrokenProcessPool: the process ended before that, as when memory runs out.

    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(do, *given).result()


def images_in(minutes: float, speed: Row) -> int:
    """Return how many images a contender sees in so many minutes, its start included."""
    return max(1, int((60 * minutes - speed["start_seconds"]) * speed["images_per_second"]))


def say(text: str) -> None:
    """Show whoever waits that something happens."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
