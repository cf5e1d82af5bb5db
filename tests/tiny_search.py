"""Searches on a few digits whose trials take a fraction of a second, for the tests of all that searches."""

from pathlib import Path
from typing import Any

from effnet.sizing.search.candidates import Space
from effnet.sizing.search.progress import Progress, SilentSearch
from effnet.spec import netspec
from effnet.spec.netspec import Head, NetSpec, Stage, Stem

BASE = NetSpec(
    name="tiny",
    stem=Stem(kernel_size=3, stride=1, out_channels=16),
    stages=(Stage("mbconv", 1, 3, 2, 16, 2), Stage("mbconv", 2, 3, 1, 32, 2)),
    head=Head(out_channels=32),
    resolution=12,
    in_channels=1,
    dropout=0.0,
    drop_path=0.0,
)

SETTINGS: dict[str, Any] = {
    "phi": 1.0,
    "step": 0.1,
    "cost_tolerance": 0.2,
    "resolution": 12,
    "epochs": 1,
    "data": {"max_train": 100, "max_val": 50},
    "device": "cpu",
    "native": False,
}
"""Settings of a search of four candidates."""


def write_base(folder: Path) -> str:
    """Write the base network; return its path."""
    netspec.save(BASE, folder / "tiny.json")
    return str(folder / "tiny.json")


def space(**changes: Any) -> Space:
    values = {"phi": 1.0, "num_classes": 10, "step": 0.1, "tolerance": 0.2, "cost_tolerance": 0.2}
    return Space(base=BASE, **(values | changes))


def flags(settings: dict[str, Any], prefix: str = "--") -> list[str]:
    """Return settings as the command line has them."""
    words: list[str] = []
    for name, value in settings.items():
        key = name.replace("_", "-")
        if isinstance(value, dict):
            words += flags(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            words.append(f"{prefix}{'' if value else 'no-'}{key}")
        else:
            words += [f"{prefix}{key}", str(value)]
    return words


def command(out: Path, *arguments: str, **changes: Any) -> list[str]:
    """Return the arguments of `effnet` for a search."""
    settings = {"seeds": 2, **SETTINGS, **changes}
    return [
        "search", "digits", "--base", write_base(out.parent), "--out", str(out), *flags(settings), *arguments
    ]  # fmt: skip


class Listener(SilentSearch):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.progress: list[Progress] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def trials(self, progress: Progress) -> None:
        self.progress.append(progress)
