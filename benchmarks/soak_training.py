"""Hurt a training for minutes, by kills and faults of all kinds; it must end in the same bits.

    python benchmarks/soak_training.py --minutes 20 --seed 1

The same training runs twice: undisturbed, and hurt at random moments. Its images stream from two workers, its
state is saved after every step, and the gradient of two of its steps is no number. At the end model file and
record must be the same to the last bit, nothing may be left of any process, and in the last life, which is
hurt only by what a process survives, memory, handles and processes must be flat: at its end at most 5 % more
memory, and no more of the others, than after a fifth. A last life of less than a minute is too short to tell.
"""

import argparse
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter, sleep
from typing import Any

import numpy as np

import recording
from effnet.benching.machine import cpu_name
from effnet.data.datasets import open_digits
from effnet.modelfile import load as load_model
from faults import GENTLE, KILLS, OTHERS, NotBorneError
from lives import LOOK_SECONDS, Life, Run, end_all, flatness

NUM_IMAGES = 600
BAD_STEPS = "5,41"
FLAGS = (
    "--model", "b0-cifar", "--phi", "-8", "--resolution", "8", "--batch-size", "32", "--data.workers", "2",
    "--data.storage", "stream", "--save-minutes", "0.000001", "--optim.ema-decay", "0.99",
)  # fmt: skip
HURT_SHARE = 0.75  # of the epochs; the others are those of the last life
UNDISTURBED_SHARE = 0.3  # of the time: the hurt one starts again and again
FLAT = 0.05
LEAST_SECONDS = 60
TIMING = ("seconds", "images_per_second")


@dataclass(frozen=True)
class Blow:
    """A fault to come: after so many epochs, and a random part of one."""

    epoch: int
    name: str


def main() -> None:
    arguments = parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ["EFFNET_CACHE"] = str(root / "cache")
        try:
            row = soak(root, arguments)
        finally:
            end_all()
    print(json.dumps(row, indent=1))
    if arguments.record:
        recording.append("soak_training", row, arguments.results)
    raise SystemExit(0 if row["passed"] else 1)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--minutes", type=float, default=20.0, help="about; the training is made as long")
    made.add_argument("--epochs", type=int, help="of the training, in place of --minutes")
    made.add_argument("--kills", type=int, default=20)
    made.add_argument("--others", nargs="*", choices=OTHERS, default=list(OTHERS), help="beside kills")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--results", type=Path, default=recording.RESULTS, help="folder of the record")
    made.add_argument("--no-record", dest="record", action="store_false")
    return made


def soak(root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run both trainings and compare them."""
    data, random = write_images(root / "data"), Random(arguments.seed)
    epochs = arguments.epochs or epochs_in(60 * arguments.minutes, root, data)
    started = perf_counter()
    undisturbed = Run(data, root / "undisturbed", epochs, FLAGS, BAD_STEPS)
    life = undisturbed.live()
    if life.end() != 0:
        raise NotBorneError(life.said)
    between = perf_counter()
    seconds = [between - started]
    blows = plan(epochs, arguments.kills, arguments.others, random)
    hurt = Run(data, root / "hurt", epochs, FLAGS, BAD_STEPS)
    lives = list(carry_out(hurt, blows, seconds[0] / epochs, random))
    seconds.append(perf_counter() - between)
    same = same_bits(undisturbed.folder, hurt.folder)
    looks = lives[-1].looks
    flat = is_flat(flatness(looks)) if len(looks) * LOOK_SECONDS >= LEAST_SECONDS else None
    left = [path.name for path in hurt.folder.iterdir() if path.name.endswith((".state", ".part"))]
    return {
        **recording.stamp(),
        "machine": cpu_name(),
        "seed": arguments.seed,
        "epochs": epochs,
        "faults": dict(Counter(blow.name for blow in blows)),
        "kills": sum(blow.name in KILLS for blow in blows),
        "lives": len(lives),
        "seconds": {"undisturbed": round(seconds[0]), "hurt": round(seconds[1])},
        "skipped_steps": load_model(hurt.folder / "model.safetensors")[0].metrics["skipped_steps"],
        "same_bits": same,
        "left_over": left,
        "last_life": {"seconds": len(looks) * LOOK_SECONDS, **flatness(looks), "flat": flat},
        "passed": same and not left and flat is not False,
    }


def write_images(folder: Path) -> Path:
    """Write digits as files, one folder for each class."""
    samples = open_digits().parts["all"]
    for name, label in list(zip(samples.names, samples.labels, strict=True))[:NUM_IMAGES]:
        path = folder / str(label) / f"{Path(name).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples.read(name).save(path)
    return folder


def epochs_in(seconds: float, root: Path, data: Path) -> int:
    """Return how many epochs fill the time, by a short training."""
    count = 10
    run = Run(data, root / "measured", count, FLAGS, BAD_STEPS)
    life = run.live()
    if life.end() != 0:
        raise NotBorneError(life.said)
    epoch = sum(record["seconds"] for record in records(run.folder)) / count
    return max(100, int(UNDISTURBED_SHARE * seconds / epoch))


def plan(epochs: int, kills: int, others: Sequence[str], random: Random) -> list[Blow]:
    """Draw when each fault strikes, in order; all kinds of kills come in turns."""
    sorts = list(KILLS)
    hard = [sorts[number % len(sorts)] for number in range(kills)]
    hard += [name for name in others if name not in GENTLE]
    soft = [name for name in others if name in GENTLE]
    random.shuffle(hard)
    last = max(1, int(HURT_SHARE * epochs))
    early = sorted(random.randint(1, last) for _ in (*hard, *soft))
    end = max(last + 1, int(0.95 * epochs))  # a second run after the end would begin anew
    late = sorted(random.randint(last + 1, end) for _ in soft)
    names = [*hard, *soft]
    random.shuffle(names)
    random.shuffle(soft)
    return [Blow(*pair) for pair in (*zip(early, names, strict=True), *zip(late, soft, strict=True))]


def carry_out(run: Run, blows: Sequence[Blow], epoch_seconds: float, random: Random) -> Iterator[Life]:
    """Train to the end through all faults; yield the lives that were long enough to look at."""
    life = run.live()
    for number, blow in enumerate(blows, start=1):
        if not life.wait_until(lambda epoch=blow.epoch: run.epochs_done >= epoch):  # type: ignore[misc]
            raise NotBorneError(f"it ended before fault {number}, {blow.name}: {life.said[-2000:]}")
        sleep(random.uniform(0, epoch_seconds))
        print(f"{number} of {len(blows)}, epoch {run.epochs_done}: {blow.name}", flush=True)
        (KILLS | OTHERS)[blow.name](run, life, random)
        if blow.name not in GENTLE:
            life.end()
            yield life
            life = run.live()
    code = life.end()
    if code != 0 or not run.is_done:
        raise NotBorneError(f"the last life ended with {code}: {life.said[-2000:]}")
    yield life


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the record of a training."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def same_bits(one: Path, other: Path) -> bool:
    """Tell whether two runs have the same weights, records and results."""
    (header, arrays), (others_header, others) = (load_model(at / "model.safetensors") for at in (one, other))
    same = arrays.keys() == others.keys() and all(
        np.array_equal(arrays[name], others[name]) for name in arrays
    )
    parts = [{key: value for key, value in each.items() if key != "seconds"}
             for each in (header.metrics, others_header.metrics)]  # fmt: skip
    timeless = [
        [{key: value for key, value in line.items() if key not in TIMING} for line in records(folder)]
        for folder in (one, other)
    ]
    return bool(same) and parts[0] == parts[1] and timeless[0] == timeless[1]


def is_flat(flat: dict[str, list[float]]) -> bool:
    """Tell whether memory grew by 5 % at most, and nothing else did."""
    early, late = flat["memory_mb"]
    return late <= (1 + FLAT) * early and all(flat[of][1] <= flat[of][0] for of in ("handles", "processes"))


if __name__ == "__main__":
    main()
