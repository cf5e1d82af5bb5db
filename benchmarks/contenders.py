"""Who takes a training step beside ours, and the speed that nothing exceeds: the product of two matrices."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from effnet.benching import steps
from effnet.benching.modes import MODES, Library, ModeName
from effnet.benching.programs import Contender, Program
from effnet.benching.steps import Lesson, Task
from effnet.cli.main import SPIN_COUNT
from effnet.config import TrainConfig

SIDE = 2048  # of the matrices of a product: large enough for full speed, 17 GFLOP
# Where compiled code is kept: Inductor's, that of C++ extensions, ours.
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "EFFNET_CACHE")
TIMM: Mapping[str, ModeName] = {
    "timm-eager": "eager",
    "timm-channels_last": "channels_last",
    "timm-channels_last-bf16": "bf16",
    "timm-compiled": "compiled",
    "timm-compiled-bf16": "compiled-bf16",
}
PRODUCTS = {"product-float32": torch.float32, "product-bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Terms:
    """What holds for all contenders."""

    file: Path
    """A model file with the weights that all begin with."""
    config: TrainConfig
    threads: int | None
    """Of torch; its own choice when None."""
    same_memory: bool
    """Whether the others keep freed memory as ours does."""


def contender(name: str, terms: Terms, caches: str) -> Contender:
    """Return a contender by its name; compiled code is kept in the folder `caches`."""
    environment: dict[str, str | None] = {variable: os.path.join(caches, variable) for variable in CACHES}
    library: Library | None = "timm" if name in TIMM else None
    keeps = name == "ours" or terms.same_memory
    lesson = Lesson(terms.file, terms.config, terms.threads or 0, library, keeps)
    if name == "ours":
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT  # as the command line does, before torch comes
        build = partial(steps.ours)
    elif name in TIMM:
        build = partial(steps.peer, library="timm", mode=MODES[TIMM[name]])
    else:
        build = partial(product, dtype=PRODUCTS[name])
    shape = (1, terms.config.input.channels, 1, 1)  # nobody is asked for logits
    return Contender("network", name, build, shape, partial(steps.prepare, lesson), environment)


@contextmanager
def product(prepared: tuple[Lesson, Task], *, dtype: torch.dtype) -> Iterator[Program]:
    """Multiply two square matrices; it answers nothing."""
    device = prepared[1].parts.device
    one, other = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))

    def run() -> float:
        return torch.mm(one, other)[0, 0].item()

    yield Program(run, lambda images: images)


def speeds(turns: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the steps per second of each turn."""
    return tuple(len(turn) / sum(turn) for turn in turns)
