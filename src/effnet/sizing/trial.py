"""One trial: a training judged on the validation part, kept in a folder so that it is never done twice."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import getitem
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.device import environment, kept_memory
from effnet.errors import EffnetError
from effnet.files import write_text
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec
from effnet.training import state as states
from effnet.training.fitting import Job, fit
from effnet.training.folder import locked
from effnet.training.loop import Trainer
from effnet.training.parts import Parts, assemble
from effnet.training.reporter import Reporter

OUTCOME_FILE = "outcome.json"
FORMAT_VERSION = 1

# What the spec says already, and what changes no bit of a result.
NOT_IN_KEY = (
    "model",
    "phi",
    "coefficients",
    "resolution",
    "dropout",
    "drop_path",
    "bn_momentum",
    "save_minutes",
    "hang_minutes",
    "sync_bn",  # a trial is one process
)
LATER = ("finetune", "distill", "progressive", "data.fold", "data.window")


@dataclass(frozen=True)
class Outcome:
    """What a trial found out. The test part was not read."""

    key: str
    """Hash of network, configuration and data; the name of its folder."""
    spec: NetSpec
    config: TrainConfig
    val_top1: float
    """Accuracy of the kept weights on the validation part, 0 to 1."""
    val_loss: float
    steps: int
    seconds: float
    correct: NDArray[np.bool_]
    """Which validation images the kept weights answer rightly, `(N,)`, in the order of the part."""
    curve: tuple[dict[str, Any], ...]
    """One record per epoch, as in `metrics.jsonl`."""
    environment: dict[str, Any]


def run_trial(dataset: DataSet, config: TrainConfig, store: Path, reporter: Reporter) -> Outcome:
    """Train and judge, or return what was found before; a trial that was interrupted goes on.

    Args:
        dataset: its test part is not read.
        config: network, recipe and seed.
        store: folder of all trials; this one gets a folder of its own in it, by its key.
        reporter: told of the progress.

    Raises:
        InterruptedTrainingError: stopped by a signal; the next call goes on exactly there.
        EffnetError: another process runs this very trial.

    """
    parts = assemble(dataset, config)
    folder = store / key_of(parts)
    with locked(folder), kept_memory(parts.device):
        path = folder / OUTCOME_FILE
        if path.exists():
            return load(path)
        started, state = perf_counter(), None
        if states.exists(folder):
            state, problem = states.load(folder)
            states.set_damaged_aside(folder)
            if problem is not None:
                reporter.message(f"warning: {problem}")
            started -= state.info["seconds"]
            config = configuration.from_dict(state.info["config"], str(folder))  # auto_batch may have chosen
        trainer = fit(Job(replace(parts, config=config), folder, reporter, started, num_test=0), state)
        outcome = judge(trainer, parts, perf_counter() - started)
        write_text(path, json.dumps(to_dict(outcome)) + "\n")
        states.remove(folder)
        return outcome


def key_of(parts: Parts) -> str:
    """Return the name of a trial: the same for the same network, recipe, seed and data, and for no other."""
    settings = {name: value for name, value in as_before(parts.config).items() if name not in NOT_IN_KEY}
    spec = {name: value for name, value in netspec.to_dict(parts.spec).items() if name != "name"}
    content = [FORMAT_VERSION, spec, settings, parts.dataset.fingerprint()]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def as_before(config: TrainConfig) -> dict[str, Any]:
    """Return the settings without later ones that are off: trials done before keep their key."""
    settings, off = configuration.to_dict(config), configuration.to_dict(TrainConfig())
    for key in LATER:
        *groups, name = key.split(".")
        inner, inner_off = (reduce(getitem, groups, values) for values in (settings, off))
        if inner[name] == inner_off[name]:
            del inner[name]
    return settings


def completed(written: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return settings that an older effnet may have written, with the defaults of what it did not know."""
    return configuration.to_dict(configuration.from_dict(written, origin))


def judge(trainer: Trainer, parts: Parts, seconds: float) -> Outcome:
    """Sum up a finished training."""
    best = trainer.best
    assert best is not None  # a finished training has at least one epoch
    return Outcome(
        key=key_of(parts),
        spec=parts.spec,
        config=parts.config,
        val_top1=best.val_top1,
        val_loss=best.val_loss,
        steps=trainer.step,
        seconds=round(seconds, 2),
        correct=best.correct.numpy(),
        curve=tuple(record.to_dict() for record in trainer.records),
        environment=environment(parts.device),
    )


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """Return plain JSON values."""
    return {
        **vars(outcome),
        "format_version": FORMAT_VERSION,
        "spec": netspec.to_dict(outcome.spec),
        "config": configuration.to_dict(outcome.config),
        **packed(outcome.correct),
    }


def packed(correct: NDArray[np.bool_]) -> dict[str, Any]:
    """Return which images were right as JSON values: bits in hexadecimal, and their number."""
    return {"correct": np.packbits(correct).tobytes().hex(), "num_val": len(correct)}


def unpacked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with what `packed` made of them as an array again."""
    bits = np.frombuffer(bytes.fromhex(values["correct"]), np.uint8)
    correct = np.unpackbits(bits, count=values["num_val"]).astype(np.bool_)
    return {name: value for name, value in values.items() if name != "num_val"} | {"correct": correct}


def load(path: Path) -> Outcome:
    """Read what a finished trial found out.

    Raises:
        EffnetError: the file cannot be read, is damaged or of another version.

    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format_version") != FORMAT_VERSION:
            raise ValueError("it is of another version")
        values = unpacked(values)
        values["spec"] = netspec.from_dict(values["spec"], str(path))
        values["config"] = configuration.from_dict(values["config"], str(path))
        values["curve"] = tuple(values["curve"])
        return Outcome(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EffnetError(
            f"{path}: cannot be read ({error}); remove its folder to run the trial again"
        ) from None
