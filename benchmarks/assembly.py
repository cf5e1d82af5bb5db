"""A training put together as `effnet train` does it, up to its first step."""

from collections.abc import Sequence
from typing import Any

from effnet.benching.machine import cpu_name
from effnet.cli.parse import parse
from effnet.cli.train import TrainForm
from effnet.config import TrainConfig, load_recipe
from effnet.device import environment
from effnet.errors import UsageError
from effnet.spec.cost import cost
from effnet.training.parts import Parts

NUM_CLASSES = 10


def configure(recipe: str, flags: Sequence[str]) -> TrainConfig:
    """Lay flags of `effnet train` over a recipe.

    Raises:
        UsageError: an unknown flag, a bad value, or a flag that is no setting of a training.

    """
    return changed(load_recipe(recipe), flags)


def changed(config: TrainConfig, flags: Sequence[str]) -> TrainConfig:
    """Lay flags of `effnet train` over a configuration, with the errors of `configure`."""
    defaults = TrainForm(config=config)
    form = parse(TrainForm, "train", flags, defaults)
    if form != TrainForm(config=form.config):
        raise UsageError("only settings of a training can be given, such as --model and --phi")
    return form.config


def describe(parts: Parts) -> dict[str, Any]:
    """Say what is trained, where, as JSON values."""
    spec = parts.spec
    counted = cost(spec, len(parts.dataset.class_names))
    return {
        "network": spec.name,
        "resolution": spec.resolution,
        "params": counted.params,
        "macs": counted.macs,
        "batch_size": parts.config.batch_size,
        "environment": environment(parts.device) | {"cpu": cpu_name()},
    }
