"""One training step in several ways: ours as `effnet train` takes it, timm's same network as its users would.

All do the same work: forward, cross-entropy with label smoothing, backward, SGD with Nesterov momentum and
weight decay on kernels and matrices only, and a moving average of weights and buffers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from assembly import LR, NUM_CLASSES, bare_step, configure, noise, ready
from contest import RECIPE, SIDE
from effnet.config import override
from effnet.data.loaders import Batch
from effnet.errors import UsageError
from effnet.training.parts import Parts, assemble
from peers import timm_net_of
from timing import Step

# isort: split
# timm comes last: it imports torchvision, which needs what `peers` declares.
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # timm has no py.typed exports
from timm.utils.model_ema import ModelEmaV3


@dataclass(frozen=True)
class Task:
    """What all contenders train on: one batch, as the loader of `effnet train` makes it."""

    parts: Parts
    batch: Batch


def prepare(flags: Sequence[str]) -> Task:
    """Prepare the batch; nothing is compiled for that.

    Raises:
        UsageError: an optimizer or a setting that timm's side here does not have.

    """
    config = configure(RECIPE, flags)
    settings = config.optim
    if settings.name != "sgd" or settings.accumulate > 1 or settings.clip_norm or not settings.ema_decay:
        raise UsageError("only sgd with a moving average, without accumulation and clipping, is compared")
    plain = override(config, {"native": False, "compile": "off"})
    loader = ready(assemble(noise(config), plain)).train
    return Task(assemble(noise(config), config), next(loader.epoch(0)))


Build = Callable[[Task], Step]


def ours(task: Task) -> Step:
    """Build the trainer of `effnet train`."""
    return bare_step(ready(task.parts), task.batch)


def timm(*, layout: torch.memory_format, compiled: bool = False, bf16: bool = False) -> Build:
    """Return what builds timm's network, with timm's optimizer and moving average."""

    def build(task: Task) -> Step:
        device, settings = task.parts.device, task.parts.config.optim
        net = timm_net_of(task.parts.spec, NUM_CLASSES).train()
        net.to(device).to(memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
        average = ModelEmaV3(net, decay=settings.ema_decay)
        optimizer = create_optimizer_v2(
            net, "sgd", lr=LR, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        logits_of: Callable[[Tensor], Tensor] = torch.compile(net) if compiled else net
        images, labels = task.batch[0].contiguous(memory_format=layout), task.batch[1]

        def step() -> float:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(logits_of(images), labels, label_smoothing=settings.label_smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average.update(net)
            return loss.item()

        return step

    return build


def product(dtype: torch.dtype) -> Build:
    """Return what builds a step that is one product of two square matrices: the speed nothing exceeds."""

    def build(task: Task) -> Step:
        one, other = (torch.randn(SIDE, SIDE, device=task.parts.device).to(dtype) for _ in range(2))

        def step() -> float:
            return torch.mm(one, other)[0, 0].item()

        return step

    return build


CONTENDERS: dict[str, Build] = {
    "ours": ours,
    "timm-eager": timm(layout=torch.contiguous_format),
    "timm-channels_last": timm(layout=torch.channels_last),
    "timm-channels_last-bf16": timm(layout=torch.channels_last, bf16=True),
    "timm-compiled": timm(layout=torch.channels_last, compiled=True),
    "timm-compiled-bf16": timm(layout=torch.channels_last, compiled=True, bf16=True),
    "product-float32": product(torch.float32),
    "product-bfloat16": product(torch.bfloat16),
}
