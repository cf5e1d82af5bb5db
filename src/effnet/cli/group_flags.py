"""The flags of a training in several processes, and what starts them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro

from effnet.cli.parse import is_given
from effnet.config import DeviceName
from effnet.errors import UsageError
from effnet.training.joining import in_words, is_member
from effnet.training.launch import Launch

COUNT = tyro.conf.arg(metavar="N")
FLAGS = ("--gpus", "--processes", "--max-restarts")


@dataclass(frozen=True)
class GroupFlags:
    """How many processes of this machine train together."""

    gpus: Annotated[int | None, COUNT] = None
    """Train on N GPUs of this machine, a process each; batch_size stays that of a step."""
    processes: Annotated[int | None, COUNT] = None
    """Train in N processes on the CPU."""
    max_restarts: Annotated[int, COUNT] = 3
    """How often --gpus and --processes start again from the last state after one of them has died."""

    def launch(self, device: DeviceName) -> Launch | None:
        """Return which processes to start, if any are asked for.

        Raises:
            UsageError: a number that cannot be, or a device that does not fit.

        """
        flags = {"--gpus": self.gpus, "--processes": self.processes}
        given = {flag: count for flag, count in flags.items() if count is not None}
        if self.max_restarts < 0:
            raise UsageError(f"--max-restarts {self.max_restarts}: must be 0 or more")
        if not given:
            return None
        if len(given) == 2:
            raise UsageError("--gpus and --processes exclude each other: the latter are on the CPU")
        (flag, count), *_ = given.items()
        if is_member():
            raise UsageError(
                f"{flag} and torchrun exclude each other: torchrun has started the processes already"
            )
        if count < 1:
            raise UsageError(f"{flag} {count}: must be 1 or more")
        check_device(flag, count, device)
        return Launch(count, self.max_restarts)


def check_device(flag: str, count: int, device: DeviceName) -> None:
    """Refuse processes that have nothing to compute on.

    Raises:
        UsageError: too few GPUs, or another --device is asked for.

    """
    wanted, there = "cuda" if flag == "--gpus" else "cpu", torch.cuda.device_count()
    if device not in ("auto", wanted):
        other = "--processes" if flag == "--gpus" else "--gpus"
        raise UsageError(
            f"{flag} and --device {device} exclude each other; for {device} take {other} {count}"
        )
    if flag == "--gpus" and count > there:
        raise UsageError(
            f"--gpus {count}: torch finds {in_words(there)} on this machine; --processes {count} trains "
            f"on the CPU"
        )


def of_one_process(args: Sequence[str]) -> list[str]:
    """Return the arguments of each process that is started, given those of the command."""
    device = "cuda" if is_given("--gpus", args) else "cpu"
    is_new = not (is_given("--device", args) or is_given("--resume", args))
    return [*without(FLAGS, args), *(["--device", device] if is_new else [])]


def without(flags: Sequence[str], args: Sequence[str]) -> Iterator[str]:
    """Yield the arguments but for these flags and their values."""
    skip = False
    for arg in args:
        if skip:
            skip = False
        elif arg in flags:
            skip = True
        elif arg.partition("=")[0] not in flags:
            yield arg
