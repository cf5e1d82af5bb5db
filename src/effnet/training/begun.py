"""Whether a folder holds a training that was begun by the same command, and goes on with it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.errors import UsageError, some
from effnet.training import state
from effnet.training.folds import FOLDS_FILE, is_unfinished, read_plan
from effnet.training.order import Order

FREE = ("device", "save_minutes", "hang_minutes")
"""Settings that may be others when a training goes on: they are not what is trained."""


def free(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a command that hold when it goes on with what another one began."""
    return {name: value for name, value in configuration.to_dict(config).items() if name in FREE}


def request(source: str, config: TrainConfig, order: Order, limits: Mapping[str, float]) -> dict[str, Any]:
    """Return what is asked for as JSON values: commands that ask for the same end in the same model file."""
    settings = {name: value for name, value in configuration.to_dict(config).items() if name not in FREE}
    asked: dict[str, Any] = {"DATA": source, **settings, **asdict(order), **limits}
    return json.loads(json.dumps(asked))  # type: ignore[no-any-return]


def begun(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Tell whether a folder holds this very training, begun and not finished.

    Going on with it gives the model file that a new start would give, sooner.

    Raises:
        UsageError: it holds another one; names what differs.
        StateError: its states are damaged.

    """
    if is_unfinished(folder):
        before = read_plan(folder / FOLDS_FILE).get("asked", {})
    elif state.exists(folder):
        before = state.load(folder)[0].info.get("asked", {})
    else:
        return False
    differing = differences(before, asked)
    if differing or not before:
        listed = f" with other settings ({some(differing, limit=3)})" if differing else ""
        raise UsageError(
            f"{folder} holds an unfinished training{listed}; go on with: "
            f"{state.resume_command(folder)}, choose another --out, or --overwrite to start anew"
        )
    return True


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in which settings two requests differ; what an older effnet did not know had its default."""
    defaults = {name: value for name, value in flat(configuration.to_dict(TrainConfig())) if name not in FREE}
    one, other = defaults | dict(flat(before)), dict(flat(now))
    names = [name for name in {**other, **one} if one.get(name) != other.get(name)] if before else []
    return [f"{name} is {one.get(name)} there, {other.get(name)} here" for name in names]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values by dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
