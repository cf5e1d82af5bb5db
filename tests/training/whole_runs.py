"""Whole runs in the tests: reporters that listen and break off, and what makes two runs the same."""

import json
from pathlib import Path
from typing import Any

from effnet.data.datasets import open_digits
from effnet.modelfile import load as load_model
from effnet.training.reporter import EpochRecord, Silent

TIMING = ("seconds", "images_per_second")


class StopError(Exception):
    """Raised by a reporter to end a run in the middle."""


class Listener(Silent):
    """A reporter that keeps the messages, and may end the run after some epochs, as a stop button does."""

    def __init__(self, epochs: int = 1000) -> None:
        self.epochs = epochs
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def epoch(self, record: EpochRecord) -> None:
        if record.epoch + 1 > self.epochs:
            raise StopError


def digits_as_files(folder: Path) -> Path:
    """Write 200 digits as files, one folder for each class, and return where."""
    samples = open_digits().parts["all"]
    for name, label in list(zip(samples.names, samples.labels, strict=True))[:200]:
        path = folder / str(label) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples.read(name).save(path)
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's record, without what depends on the machine's speed."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMING} for line in lines]


def assert_same_run(folder: Path, other: Path) -> None:
    header, arrays = load_model(folder / "model.safetensors")
    other_header, other_arrays = load_model(other / "model.safetensors")
    assert all((arrays[name] == other_arrays[name]).all() for name in other_arrays)
    for name in ("test", "chosen"):
        assert header.metrics[name] == other_header.metrics[name]
    assert records(folder) == records(other)
