"""What is asked of a training beside its configuration, and the configuration that it starts from then."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from effnet.config import DataConfig, TrainConfig, from_dict, load_recipe, override, to_dict
from effnet.data.datasets import DataSet
from effnet.data.folds import LEAST
from effnet.data.splits import split
from effnet.errors import UsageError
from effnet.training.course import course_of
from effnet.training.origins import NOTHING, Origin, Origins, adopt, open_origin
from effnet.training.setup import default_recipe
from effnet.transfer import rules

RULES = "fine-tuning"
"""What the recipe is called that follows from the number of images."""
OF_THE_NETWORK = ("model", "phi", "coefficients")


@dataclass(frozen=True)
class Order:
    """What a training builds on, and what sort of training it is."""

    source: str | None = None
    """Model file, or name of weights on a hub, to begin with: `--from`."""
    revision: str | None = None
    """Of names on a hub."""
    teacher: str | None = None
    """Model file, or name on a hub, of a network whose answers are learned."""
    probe: bool = False
    """Only a logistic regression on the features of the network to begin with."""
    folds: int | None = None
    """Cross-validate first, in so many folds."""


ORDER_NAMES = tuple(Order.__dataclass_fields__)


@dataclass(frozen=True)
class Undertaking:
    """An order whose model files are open."""

    order: Order = field(default_factory=Order)
    origins: Origins = NOTHING


def undertake(order: Order, given: Collection[str], limits: str, source: Origin | None = None) -> Undertaking:
    """Check an order and open its model files.

    Args:
        order: what is asked for.
        given: names of the settings that were given one by one.
        limits: the limits that choose a network, in words; empty where there are none.
        source: the weights to begin with, if they are open already.

    Raises:
        UsageError: parts of it exclude each other.
        ModelFileError: a model file is missing or damaged.

    """
    check(order, given, limits)
    if source is None and order.source is not None:
        source = open_origin(order.source, revision=order.revision)
    teacher = None if order.teacher is None else open_origin(order.teacher, revision=order.revision)
    return Undertaking(order, Origins(source, teacher))


def check(order: Order, given: Collection[str], limits: str) -> None:
    """Refuse an order whose parts exclude each other.

    Raises:
        UsageError: names both.

    """
    if order.source is not None:
        for name in (name for name in OF_THE_NETWORK if name in given):
            raise UsageError(f"--{name} and --from exclude each other: the network is that of the weights")
        if limits:
            raise UsageError(
                f"{limits} and --from exclude each other: limits choose phi, and the weights have a network; "
                f"--teacher brings what they know into another one"
            )
    elif order.probe:
        raise UsageError("--probe needs --from MODEL: it learns from the features of a trained network")
    if order.probe and order.teacher is not None:
        raise UsageError("--probe and --teacher exclude each other: a regression learns from labels")
    if order.revision is not None and order.source is None and order.teacher is None:
        raise UsageError("--revision needs --from or --teacher with a name on a hub")
    if order.folds is not None and order.folds < LEAST:
        raise UsageError(f"--folds {order.folds}: there must be at least {LEAST}")


def defaults(dataset: DataSet, recipe: str | None, source: Origin | None) -> tuple[str, TrainConfig]:
    """Return the configuration that settings lie over, and what it is called.

    That is a recipe: the one that was asked for, or the one that fits the data. Where a training begins with
    other weights, the rules of fine-tuning take the place of the latter, and network and input are those of
    the weights in any case.
    """
    if source is None:
        name = recipe or default_recipe(dataset)
        return name, load_recipe(name)
    if recipe is not None:
        return recipe, adopt(load_recipe(recipe), source)
    count = num_learned(dataset)
    config = from_dict(rules.settings(rules.rule_for(count), count), "rules of fine-tuning")
    return RULES, adopt(as_the_data_is(config, dataset), source)


def explain(dataset: DataSet, config: TrainConfig) -> str:
    """Say how a network is fine-tuned, and why the rules are so; `config` may have other settings by now."""
    count, optim, head_epochs = num_learned(dataset), config.optim, course_of(config).head_epochs
    alone = f", the classifier alone in the first {head_epochs}" if head_epochs else ""
    mixup = f", mixup {config.augment.mixup:g}" if config.augment.mixup else ""
    return (
        f"{count:,} images to learn from: {config.epochs} epochs{alone}; learning rate {optim.lr:g}, times "
        f"{config.finetune.layer_decay:g} for each block further from the classifier; weight decay "
        f"{optim.weight_decay:g}; augmentation {config.augment.policy}{mixup}; because "
        f"{rules.rule_for(count).because}"
    )


def num_learned(dataset: DataSet) -> int:
    """Return how many images of a data set are learned from, with the usual split."""
    return len(split(dataset, DataConfig(), 0).train)


def as_the_data_is(config: TrainConfig, dataset: DataSet) -> TrainConfig:
    """Change images as the data set's own recipe does, if it has one: mirrored digits are no digits."""
    if dataset.recipe is None:
        return config
    own: dict[str, Any] = to_dict(load_recipe(dataset.recipe))["augment"]
    return override(config, {"augment": own})
