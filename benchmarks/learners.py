"""Who learns from the same images in the same minutes: our network, its peers, and plain convolutions.

All see the images that `effnet train` would give them, decoded once and changed in batches, and keep freed
memory as it does: what is compared are networks, how they are computed, and their usual training.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import plain
from assembly import changed
from effnet import config as configuration
from effnet.benching import peers
from effnet.benching.modes import MODES, Mode, ModeName
from effnet.config import TrainConfig, load_recipe, override
from effnet.data.datasets import DataSet, Samples
from effnet.data.loaders import Batch, EvalLoader, TrainLoader
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.storage import open_pixels
from effnet.errors import unknown_name
from effnet.spec import netspec
from effnet.spec.cost import cost
from effnet.spec.families import B0
from effnet.training.lessons import lessons
from effnet.training.optim import Horizon, lr_at, set_lr
from effnet.training.parts import Parts, assemble, build_trainer, read
from effnet.training.reporter import Silent
from effnet.training.setup import build_spec

RECIPE = "cifar10-quick"
SAME = {"device": "cpu", "max_minutes": None}
"""What holds for all: the processor, and no limit but that of the contest."""


@dataclass(frozen=True)
class Learner:
    """A network and how it learns."""

    network: nn.Module
    """From `images (N, 3, H, W)`, normalised, to logits, in either mode."""
    loader: TrainLoader
    update: Callable[[Batch, int, int], tuple[Tensor, Tensor]]
    """Takes one step, the number of which of how many is given; returns `loss ()` and `logits (N, K)`."""
    lr_at: Callable[[int, int], float]
    """Learning rate of a step of so many."""
    autocast: Callable[[], AbstractContextManager[object]]
    macs: int
    finish: Callable[[], object] = field(default=lambda: None)
    """To be called after the last step."""

    @property
    def params(self) -> int:
        """Number of parameters, frozen ones too."""
        return sum(parameter.numel() for parameter in self.network.parameters())


@dataclass(frozen=True)
class Contestant:
    """A contender: what it changes of the recipe, and what makes it of a training put together."""

    build: Callable[[Parts], Learner]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the recipe `cifar10-quick`."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """What no recipe knows, for the record."""


def config_of(name: str, flags: Sequence[str], seed: int) -> TrainConfig:
    """Return the configuration of a contender; `flags` of `effnet train` change its settings.

    Raises:
        UsageError: no contender has this name, or a flag is wrong.

    """
    usual = override(load_recipe(RECIPE), contestant_of(name).settings)
    return override(changed(usual, flags), {"seed": seed, **SAME})


def describe(name: str, flags: Sequence[str]) -> dict[str, Any]:
    """Return all that decides on what a contender learns but the seed, as JSON values.

    Of the configuration that is what differs from the defaults: settings that come later change nothing.
    """
    config, contestant = config_of(name, flags, 0), contestant_of(name)
    changes = differing(configuration.to_dict(config), configuration.to_dict(TrainConfig()))
    network = {"spec": netspec.to_dict(build_spec(config))} if contestant.build is harness else {}
    return {"config": changes, **network, **contestant.own}


def differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested values that are not the default ones."""
    return {
        name: differing(value, defaults[name]) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value != defaults[name]
    }


def put_together(dataset: DataSet, name: str, flags: Sequence[str], seed: int) -> tuple[Parts, Learner]:
    """Build a contender by its name, with the errors of `config_of`."""
    parts = assemble(dataset, config_of(name, flags, seed))
    return parts, contestant_of(name).build(parts)


def contestant_of(name: str) -> Contestant:
    """Look up a contender; UsageError if there is none of this name."""
    if name not in CONTESTANTS:
        raise unknown_name("contender", name, CONTESTANTS)
    return CONTESTANTS[name]


def harness(parts: Parts) -> Learner:
    """Learn as `effnet train` does: its batches, its steps, its rates, its way to compute."""
    trainer = build_trainer(parts, Silent())

    def rate(step: int, total: int) -> float:
        trainer.total_steps = total
        return trainer.lr_at(step)

    def update(batch: Batch, step: int, total: int) -> tuple[Tensor, Tensor]:
        return trainer.update(batch, rate(step, total))

    trainer.network.train()
    macs = cost(parts.spec, len(parts.dataset.class_names)).macs
    return Learner(trainer.network, trainer.train, update, rate, trainer.compute.autocast, macs)


def timm_b0(mode: Mode, parts: Parts) -> Learner:
    """Learn with timm's network and optimizer, in one of its modes."""
    peers.load("timm")
    import timm
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # timm has no py.typed exports

    settings, num_classes = parts.config.optim, len(parts.dataset.class_names)
    torch.manual_seed(parts.config.seed)
    network: nn.Module = timm.create_model("efficientnet_b0", num_classes=num_classes)
    network.conv_stem.stride = (1, 1)  # type: ignore[assignment]  # for images of 32 pixels
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    forward: Callable[[Tensor], Tensor] = torch.compile(network) if mode.compiled else network
    autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=mode.bf16)
    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        network, settings.name, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    for group in optimizer.param_groups:
        group["lr_scale"] = 1.0
    loader = loader_of(parts, TrainLoader)
    planned = loader.num_steps * parts.config.epochs

    def rate(step: int, total: int) -> float:
        return lr_at(step, Horizon(loader.num_steps, planned, total), settings)

    def update(batch: Batch, step: int, total: int) -> tuple[Tensor, Tensor]:
        set_lr(optimizer, rate(step, total))
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            logits = forward(batch[0]).float()
        loss = F.cross_entropy(logits, batch[1], label_smoothing=settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach(), logits.detach()

    same = replace(B0, stem=replace(B0.stem, stride=1), resolution=parts.spec.resolution)
    return Learner(network, loader, update, rate, autocast, cost(same, num_classes).macs)


def plain_net(settings: plain.PlainSettings, parts: Parts) -> Learner:
    """Learn with plain convolutions, as their paper does."""
    loader = loader_of(parts, plain.AlternatingLoader)
    torch.manual_seed(parts.config.seed)
    network = plain.PlainNet(settings)
    first = EvalLoader(loader.pixels, parts.preprocess, plain.WHITENED_IMAGES)
    plain.whiten(network, next(iter(first))[0])
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    practice = plain.Practice(network, settings, parts.config.batch_size)
    return Learner(
        network,
        loader,
        practice.update,
        practice.lr_at,
        partial(torch.autocast, "cpu", torch.bfloat16),
        plain.macs(settings),
        practice.finish,
    )


def loader_of(parts: Parts, kind: type[TrainLoader]) -> TrainLoader:
    """Return batches as `effnet train` makes them."""
    config = parts.config
    taught = lessons(config, parts.spec, parts.preprocess, len(parts.dataset.class_names))[-1]
    pixels = read("train", parts, Silent(), {})
    return kind(pixels, taught.augment, taught.mix, config.batch_size, config.seed)


def eval_loader(samples: Samples, parts: Parts) -> EvalLoader:
    """Read images to measure on."""
    form = PixelFormat(parts.preprocess, parts.preprocess.resolution)
    pixels = open_pixels(samples, form, Reading(parts.config.data, parts.device))
    return EvalLoader(pixels, parts.preprocess, parts.config.batch_size)


def network_of(model: str, lr: float) -> Contestant:
    """Return a network of the family or a baseline under the recipe; like ours, it drops nothing."""
    return Contestant(harness, {"model": model, "dropout": 0.0, "drop_path": 0.0, "optim": {"lr": lr}})


def timm_of(mode: ModeName) -> Contestant:
    """Return timm's B0 in a mode, which is all that differs."""
    own = {"network": "timm efficientnet_b0, stem stride 1", "mode": mode}
    return Contestant(partial(timm_b0, MODES[mode]), {"optim": {"lr": 0.1, "weight_decay": 5e-4}}, own)


def plain_of(name: str, batch_size: int) -> Contestant:
    """Return plain convolutions of the widths of a name."""
    settings = plain.PlainSettings(plain.WIDTHS[name])
    looks = {"batch_size": batch_size, "augment": {"flip": False, "crop_padding": 2}}
    return Contestant(partial(plain_net, settings), looks, {"plain": asdict(settings)})


CONTESTANTS: Mapping[str, Contestant] = {
    "ours": Contestant(harness),
    # Larger, for an hour: four times the MACs by width alone; φ = 2 at the same pixels.
    "ours-wide": Contestant(
        harness, {"phi": 2.0, "coefficients": {"alpha": 1.0, "beta": 1.41, "gamma": 1.0}}
    ),
    "ours-deep": Contestant(harness, {"phi": 2.0, "resolution": 32}),
    "resnet-18-cifar": network_of("resnet-18-cifar", 0.1),
    "mobilenet-v2": network_of("mobilenet-v2-cifar", 0.1),
    "b0-cifar": network_of("b0-cifar", 0.1),
    "timm-b0": timm_of("channels_last"),
    "timm-b0-bf16": timm_of("bf16"),
    "timm-b0-compiled": timm_of("compiled"),
    "plain": plain_of("plain", 512),
    "plain-half": plain_of("plain-half", 256),
    "plain-wide": plain_of("plain-wide", 512),
}
