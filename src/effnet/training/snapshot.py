"""A trainer as a state, and back: nothing of it is lost, nothing of it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from time import perf_counter
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from effnet.errors import DataError, some
from effnet.training.kept import Best
from effnet.training.loop import Trainer
from effnet.training.meter import Meter
from effnet.training.reporter import EpochRecord
from effnet.training.state import State

Arrays = Mapping[str, NDArray[Any]]


def capture(trainer: Trainer, about: Mapping[str, Any]) -> State:
    """Copy all that a trainer has learned and where it stands; `about` says of which run."""
    tensors: dict[str, Tensor] = {}
    tensors |= prefixed("network", trainer.network.state_dict())
    if trainer.average is not None:
        tensors |= prefixed("average", trainer.average.state_dict())
    if trainer.best is not None:
        tensors |= prefixed("best", trainer.best.weights)
        tensors["correct"] = trainer.best.correct
    for index, memory in trainer.optimizer.state_dict()["state"].items():
        tensors |= prefixed(f"optimizer.{index}", memory)
    if trainer.meter.losses:
        tensors |= {
            "meter.losses": torch.stack(trainer.meter.losses),
            "meter.hits": torch.stack(trainer.meter.hits),
        }
    info = {
        **about,
        "step": trainer.step,
        "total_steps": trainer.total_steps,
        "seconds_left": None if trainer.deadline == inf else trainer.deadline - perf_counter(),
        "unread": list(trainer.unread),
        "highest": trainer.highest,
        "skipped": [trainer.guard.skipped, trainer.guard.in_a_row],
        "compute": trainer.compute.words(),
        "epoch_seconds": trainer.meter.seconds(),
        "records": [asdict(record) for record in trainer.records],
        "best": None if trainer.best is None else describe_best(trainer.best),
    }
    arrays = {name: tensor.detach().to("cpu").contiguous().numpy() for name, tensor in tensors.items()}
    return State(info, arrays)


def restore(trainer: Trainer, state: State) -> None:
    """Put a trainer that was just built where the captured one stood.

    A deadline is as far away as it was: the time between, and for starting again, does not count.

    Raises:
        DataError: other images than before cannot be read; names them.

    """
    info, arrays = state.info, state.arrays
    check_same_images(trainer.unread, info["unread"])
    trainer.network.load_state_dict(tensors_of("network", arrays))
    if trainer.average is not None:
        trainer.average.load_state_dict(tensors_of("average", arrays))
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": optimizer_memory(arrays), "param_groups": groups})
    trainer.step, trainer.total_steps = info["step"], info["total_steps"]
    trainer.deadline = inf if info["seconds_left"] is None else perf_counter() + info["seconds_left"]
    trainer.highest = info["highest"]
    trainer.guard.skipped, trainer.guard.in_a_row = info["skipped"]
    trainer.records = [EpochRecord(**record) for record in info["records"]]
    if info["best"] is not None:
        correct = torch.from_numpy(arrays["correct"].copy())
        trainer.best = Best(weights=tensors_of("best", arrays), correct=correct, **info["best"])
    if "meter.losses" in arrays:
        device = next(trainer.network.parameters()).device
        meter = {name: tensor.to(device) for name, tensor in tensors_of("meter", arrays).items()}
        trainer.meter = Meter(meter["losses"], meter["hits"], info["epoch_seconds"])


def check_same_images(now: Sequence[str], before: Sequence[str]) -> None:
    """Refuse to go on where other images cannot be read than when the training began; both are names."""
    changes = (
        (set(now) - set(before), "cannot be read any more"),
        (set(before) - set(now), "could not be read then"),
    )
    problems = [f"{some(sorted(names), limit=3)} {what}" for names, what in changes if names]
    if problems:
        raise DataError(
            f"the images are not those that the training began with: {'; '.join(problems)}; bring the files "
            f"back as they were, or train anew with another --out"
        )


def describe_best(best: Best) -> dict[str, Any]:
    """Return what is known of the best weights, as JSON values."""
    return {name: value for name, value in vars(best).items() if name not in ("weights", "correct")}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a group's name before the names of its tensors."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def tensors_of(prefix: str, arrays: Arrays) -> dict[str, Tensor]:
    """Return the tensors of a group under their own names."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(start)
    }


def optimizer_memory(arrays: Arrays) -> dict[int, dict[str, Tensor]]:
    """Return the optimizer's tensors by number of the parameter and name."""
    memory: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors_of("optimizer", arrays).items():
        index, key = name.split(".", 1)
        memory.setdefault(int(index), {})[key] = tensor
    return memory
