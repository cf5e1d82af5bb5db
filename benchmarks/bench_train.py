r"""Our training step beside timm's best ways on this CPU, in a minute once everything is compiled.

    make bench-train
    python benchmarks/bench_train.py --model b0-cifar --batch 64 --within 55 [--record]

The same network, weights and batch; each contender has a process of its own, and they take turns of one step,
as many as fit. The last column is how many times as fast ours is, round by round. What is compiled stays in
--caches: the first run on a machine takes minutes longer. Ours keeps freed memory while it trains, as `effnet
train` does; --same-memory lets timm do so too. Other flags go to `effnet train`, as in train_step.py.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import recording
from effnet.benching.process import Running, running
from effnet.cli.output import console, table
from train_step import describe, prepare, say

if TYPE_CHECKING:
    from contenders import Terms

OURS = "ours"
LEAST_ROUNDS = 3
Turns = dict[str, list[float]]


def main() -> None:
    arguments, flags = parser().parse_known_args()
    began = perf_counter()
    sizes = ("--model", arguments.model, "--batch-size", str(arguments.batch))
    with TemporaryDirectory() as folder:
        terms = prepare((*sizes, *flags), arguments, Path(folder))
        names = arguments.only or fastest()
        turns = take_turns([OURS, *names], terms, arguments.caches, began + arguments.within)
        about = describe(terms)
    row = about | {"turns": turns, "summary": summary(turns, arguments.batch)}
    row["seconds"] = round(perf_counter() - began, 1)
    show(row)
    if arguments.record:
        recording.append("bench_train", row, arguments.results)


def fastest() -> tuple[str, ...]:
    """Return the ways that were timm's best on machines of this kind: docs/experiments.md has all of them."""
    import torch

    from effnet.training.compute import has_bfloat16

    if has_bfloat16(torch.device("cpu")):
        return ("timm-channels_last-bf16", "timm-compiled-bf16")
    return ("timm-channels_last", "timm-compiled")


def take_turns(names: Sequence[str], terms: "Terms", caches: Path, until: float) -> Turns:
    """Start everybody, then let them take a step each in turns until the time is over.

    Returns:
        For each contender the seconds of its step in every round; at least `LEAST_ROUNDS` of them.

    """
    from contenders import contender

    caches.mkdir(parents=True, exist_ok=True)
    going: dict[str, Running] = {}
    turns: Turns = {name: [] for name in names}
    with ExitStack() as held, TemporaryDirectory() as logs:
        for name in names:
            given = contender(name, terms, str(caches.resolve()))
            going[name] = held.enter_context(running(given, Path(logs) / name, lambda: False))
            say(f"{name} started in {going[name].start_seconds:.1f} s")
        longest = 0.0
        while len(turns[names[0]]) < LEAST_ROUNDS or perf_counter() + longest < until:
            began = perf_counter()
            for name in names:
                (seconds,) = going[name].ask("turn", 0.0)
                turns[name].append(seconds)
            longest = max(longest, perf_counter() - began)
    return turns


def summary(turns: Turns, batch: int) -> dict[str, Any]:
    """Return images per second of each contender, and how many times as fast ours is: in each round."""
    found = {}
    for name, seconds in turns.items():
        ratios = [other / ours for other, ours in zip(seconds, turns[OURS], strict=True)]
        found[name] = {
            "images_per_second": round(batch / median(seconds), 2),
            "ratio": round(median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
        }
    return found


def best_of(found: dict[str, Any]) -> str:
    """Return the other contender that is fastest here."""
    return max(found.keys() - {OURS}, key=lambda name: found[name]["images_per_second"])


def show(row: dict[str, Any]) -> None:
    """Print the table, and the ratio to the best of the others."""
    found, place = row["summary"], row["environment"]
    rounds = len(row["turns"][OURS])
    title = (
        f"training step of {row['network']}, batch {row['batch_size']}, {place['cpu']}, {place['threads']} "
        f"thread(s), {rounds} rounds in turns, {row['seconds']:.0f} s in all"
    )
    shown = table(title, ["", "ms, median", "images/s", "ours is faster", "range"])
    for name, values in found.items():
        own = name == OURS
        shown.add_row(
            name,
            f"{1e3 * median(row['turns'][name]):.0f}",
            f"{values['images_per_second']:.1f}",
            "" if own else f"× {values['ratio']:.2f}",
            "" if own else f"{values['lowest']:.2f}–{values['highest']:.2f}",
        )
    out, best = console(), best_of(found)
    out.print(shown)
    out.print(f"\n× {found[best]['ratio']:.2f} of timm's best here, {best}")


def parser() -> argparse.ArgumentParser:
    from train_step import TRAININGS

    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--model", default="b0-cifar")
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--within", type=float, default=55.0, help="seconds for all, once it is compiled")
    made.add_argument("--threads", type=int, help="of torch; its own choice when not given")
    made.add_argument(
        "--only",
        nargs="+",
        choices=[name for name in TRAININGS if name != OURS],
        help="beside ours; two of timm's when not given",
    )
    made.add_argument("--same-memory", action="store_true", help="all keep freed memory, as ours does")
    made.add_argument("--caches", type=Path, default=Path("runs/bench-train"), help="folder of compiled code")
    made.add_argument("--record", action="store_true", help="append the result to the record")
    made.add_argument("--results", type=Path, default=recording.RESULTS, help="folder of the record")
    return made


if __name__ == "__main__":
    main()
