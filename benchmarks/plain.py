"""A network of plain convolutions for minutes of CIFAR-10, of airbench's kind, and how it is trained.

After Keller Jordan, "94 % on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498), section 3 and its
listing: a whitening first layer made from training images, three groups of two 3×3 convolutions, biases of
batch normalisation that learn 64 times as fast, Lookahead. Ours in writing, the paper's in everything else
but the batch size: its settings are per image, so that batches of a CPU may be smaller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.data.loaders import Batch, TrainLoader
from effnet.data.pixels import Stored
from effnet.data.randomness import uniform

WHITENED_IMAGES = 5000
WHITENING_EPS = 5e-4
WHITENED = 24  # channels: both signs of the 2 · 2 · 3 directions of a patch
SIDE = 31  # of the whitened image, from one of 32 pixels
NUM_CLASSES = 10


@dataclass(frozen=True)
class PlainSettings:
    """What the paper's listing sets; rates are those of a sum over images, not of a mean."""

    widths: tuple[int, int, int] = (64, 256, 256)
    """Channels of the three groups."""
    lr: float = 11.5
    """Per 1024 images, momentum taken out: a step at constant gradients moves by so much."""
    momentum: float = 0.85
    weight_decay: float = 0.0153
    """Per 1024 images, not multiplied by the learning rate."""
    bias_scale: float = 64.0
    label_smoothing: float = 0.2
    scale: float = 1 / 9
    """Of the logits."""
    bn_momentum: float = 0.4
    """Weight of a new batch; the listing's 0.6 is that of the old ones."""
    start: float = 0.2
    """Of the learning rate, as a share of its peak."""
    end: float = 0.07
    peak: float = 0.23
    """Share of the training at which the learning rate is highest."""
    bias_share: float = 0.3
    """Share of the training in which the whitening layer's bias learns: 3 of 9.9 epochs."""
    lookahead_steps: int = 5
    lookahead_decay: float = 0.95

    @property
    def momentum_gain(self) -> float:
        """How many times a gradient counts, Nesterov's look ahead included."""
        return 1 + 1 / (1 - self.momentum)

    def rate(self, batch_size: int) -> float:
        """Return torch's learning rate at the peak, for a mean over the batch."""
        return self.lr * batch_size / (1024 * self.momentum_gain)

    def triangle(self, share: float) -> float:
        """Return the learning rate at a share of the training, as a share of its peak."""
        return float(np.interp(share, (0.0, self.peak, 1.0), (self.start, 1.0, self.end)))


class Convolution(nn.Conv2d):
    """3×3 without a bias; the first kernels begin as the identity, so that the network begins residual."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.dirac_(self.weight.data[:in_channels])


class Norm(nn.BatchNorm2d):
    """Batch normalisation whose scale stays 1."""

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__(channels, eps=1e-12, momentum=momentum)
        self.weight.requires_grad = False


class Group(nn.Sequential):
    """Halve the side: convolution, pool, norm, GELU, convolution, norm, GELU."""

    def __init__(self, in_channels: int, out_channels: int, momentum: float) -> None:
        super().__init__(
            Convolution(in_channels, out_channels),
            nn.MaxPool2d(2),
            Norm(out_channels, momentum),
            nn.GELU(),
            Convolution(out_channels, out_channels),
            Norm(out_channels, momentum),
            nn.GELU(),
        )


class PlainNet(nn.Module):
    """From `images (N, 3, 32, 32)`, normalised, to `logits (N, 10)`."""

    def __init__(self, settings: PlainSettings) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, WHITENED, 2)
        self.whiten.weight.requires_grad = False
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]  # it has a bias
        channels = (WHITENED, *settings.widths)
        self.groups = nn.Sequential(
            *(Group(before, after, settings.bn_momentum) for before, after in pairwise(channels))
        )
        self.pool = nn.MaxPool2d(3)
        self.classifier = nn.Linear(channels[-1], NUM_CLASSES, bias=False)
        self.scale = settings.scale

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        features = self.groups(F.gelu(self.whiten(images)))
        logits: Tensor = self.classifier(self.pool(features).flatten(1)) * self.scale
        return logits


@torch.no_grad()
def whiten(network: PlainNet, images: Tensor) -> None:
    """Let the first layer make patches of `images (N, 3, S, S)` uncorrelated and of variance 1."""
    side = network.whiten.kernel_size[0]
    patches = F.unfold(images, side).transpose(1, 2).reshape(-1, 3 * side * side)  # (patches, 12)
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    kernels = (directions / torch.sqrt(variances + WHITENING_EPS)).T.flip(0).reshape(-1, 3, side, side)
    network.whiten.weight.copy_(torch.cat((kernels, -kernels)))


def macs(settings: PlainSettings) -> int:
    """Count the multiply-adds of one image's forward pass."""
    side, before, total = SIDE, WHITENED, WHITENED * 3 * 4 * SIDE**2
    for width in settings.widths:
        total += 9 * before * width * side**2 + 9 * width * width * (side // 2) ** 2
        side, before = side // 2, width
    return total + before * NUM_CLASSES


class Lookahead:
    """An average of the weights to which they return every few steps (Zhang et al. 2019)."""

    def __init__(self, network: nn.Module, settings: PlainSettings) -> None:
        self.current = [value for value in network.state_dict().values() if value.is_floating_point()]
        self.average = [value.clone() for value in self.current]
        self.settings = settings

    def step(self, step: int, share: float) -> None:
        """Return to the average after some steps; it forgets less and less."""
        if step % self.settings.lookahead_steps == 0:
            self.pull(self.settings.lookahead_decay**self.settings.lookahead_steps * share**3)

    @torch.no_grad()
    def pull(self, decay: float) -> None:
        """Move the average by 1 - `decay` of the way to the weights, then these onto it."""
        torch._foreach_lerp_(self.average, self.current, 1 - decay)
        torch._foreach_copy_(self.current, self.average)


class Practice:
    """One step after another, as the paper trains."""

    def __init__(self, network: PlainNet, settings: PlainSettings, batch_size: int) -> None:
        self.network, self.settings = network, settings
        self.rates = (settings.rate(batch_size), settings.rate(batch_size) * settings.bias_scale)
        decay = settings.weight_decay * batch_size / (1024 * settings.momentum_gain)
        norms = [
            p for m in network.modules() if isinstance(m, Norm) for p in m.parameters() if p.requires_grad
        ]
        known = set(map(id, norms))
        others = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": parameters, "weight_decay": decay / rate}
            for parameters, rate in zip((others, norms), self.rates, strict=True)
        ]
        self.optimizer = torch.optim.SGD(groups, lr=0.1, momentum=settings.momentum, nesterov=True)
        self.lookahead = Lookahead(network, settings)

    def lr_at(self, step: int, total: int) -> float:
        """Return the learning rate of the convolutions."""
        return self.rates[0] * self.settings.triangle(step / total)

    def update(self, batch: Batch, step: int, total: int) -> tuple[Tensor, Tensor]:
        """Take a step of so many; return `loss ()` and `logits (N, K)`."""
        share = step / total
        self.network.whiten.bias.requires_grad = share < self.settings.bias_share  # type: ignore[union-attr]
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.settings.triangle(share)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(batch[0]).float()
        loss = F.cross_entropy(logits, batch[1], label_smoothing=self.settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.lookahead.step(step + 1, share)
        return loss.detach(), logits.detach()

    def finish(self) -> None:
        """End on the average."""
        self.lookahead.pull(1.0)


class AlternatingLoader(TrainLoader):
    """Mirrors half of the images in one epoch, the other half in the next: none looks twice alike."""

    def _augment(self, stored: Stored, epoch: int, keys: NDArray[np.int64], draw: float) -> Batch:
        images, labels = super()._augment(stored, epoch, keys, draw)
        is_first = uniform(self.seed ^ 0xF11B, 0, keys, 1)[:, 0] < 0.5
        rows = torch.from_numpy(np.flatnonzero(is_first ^ bool(epoch % 2)))
        return images.index_copy(0, rows, images.index_select(0, rows).flip(-1)), labels


# The paper's three sizes by width alone: its deeper residual variant for 96 % is not among them.
WIDTHS: Mapping[str, tuple[int, int, int]] = {
    "plain": (64, 256, 256),
    "plain-half": (32, 128, 128),
    "plain-wide": (128, 384, 384),
}
