"""Images in which one object says the class, at any place, borders included; and who finds it.

An object is a square of stripes; their direction is its class. Over noise around it lie squares as large
and as bright that say nothing. A fifth class is that there is no object, so that none of the others is known
by exclusion. What a network of random weights likes best is any of the squares, or a border.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effnet.evaluation.cam import cam
from effnet.evaluation.explanation import ClassMap
from effnet.network.model import ConvNet
from effnet.spec.netspec import Head, NetSpec, Stage, Stem

SIDE, OBJECT = 48, 16  # pixels
CHANCE = (OBJECT / SIDE) ** 2  # of a place drawn from all pixels to lie on the object
NUM_OTHERS = 5
DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1))
NOTHING = len(DIRECTIONS)
NUM_CLASSES = NOTHING + 1

# Two strides and no convolution that reaches far: a cell sees 11×11 pixels, so some cells see nothing but the
# object. In deeper networks cells beside it see it too, and one of them may be highest (docs/experiments.md).
NETWORK = NetSpec(
    name="near-sighted",
    stem=Stem(kernel_size=3, stride=2, out_channels=16),
    stages=(
        #     block   expand  k  s    c  n
        Stage("mbconv", 4, 3, 1, 16, 1),
        Stage("mbconv", 4, 3, 2, 24, 1),
    ),
    head=Head(96),
    resolution=SIDE,
    in_channels=1,
    dropout=0.0,
    drop_path=0.0,
)


@dataclass(frozen=True, eq=False)
class Planted:
    """Images with their objects."""

    images: Tensor
    """`(N, 1, SIDE, SIDE)`."""
    labels: Tensor
    """`(N,)`."""
    corners: NDArray[np.int64]
    """Row and column of the object's upper left pixel, `(N, 2)`, drawn from all at which it fits."""

    def covers(self, index: int, x: int, y: int) -> bool:
        """Tell whether a pixel lies on an image's object."""
        top, left = self.corners[index]
        return bool(top <= y < top + OBJECT and left <= x < left + OBJECT)


def plant(count: int, seed: int, *, num_classes: int = NUM_CLASSES) -> Planted:
    """Draw images of the first classes; all but the last of all have an object."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, count)
    images = random.normal(0, 0.5, (count, 1, SIDE, SIDE)).astype(np.float32)
    corners = np.zeros((count, 2), dtype=np.int64)
    for index, label in enumerate(labels):
        places = _places(random)
        corners[index] = places[0]
        for number, (top, left) in enumerate(places):
            is_object = number == 0 and label != NOTHING
            square = _stripes(random, DIRECTIONS[label]) if is_object else _blocks(random)
            images[index, 0, top : top + OBJECT, left : left + OBJECT] = square
    return Planted(torch.from_numpy(images), torch.from_numpy(labels), corners)


def _places(random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Draw places that do not overlap, the first one from all there are."""
    places: list[NDArray[np.int64]] = []
    for place in random.integers(0, SIDE - OBJECT + 1, (200, 2)):
        if len(places) <= NUM_OTHERS and all(np.abs(place - other).max() >= OBJECT for other in places):
            places.append(place)
    return places


def _stripes(random: np.random.Generator, direction: tuple[int, int]) -> NDArray[np.float64]:
    y, x = np.mgrid[:OBJECT, :OBJECT]
    place = direction[0] * y + direction[1] * x + random.integers(4)
    return np.where(place % 4 < 2, 1.0, -1.0)


def _blocks(random: np.random.Generator) -> NDArray[np.float64]:
    """Draw what is as bright as stripes, and as coarse."""
    return np.kron(random.choice([-1.0, 1.0], (OBJECT // 2, OBJECT // 2)), np.ones((2, 2)))


def fresh(spec: NetSpec, seed: int) -> ConvNet:
    """Return a network of random weights."""
    torch.manual_seed(seed)
    return ConvNet(spec, NUM_CLASSES).eval()


def train(network: ConvNet, planted: Planted, epochs: int, seed: int, *, smoothing: float = 0.1) -> None:
    """Train with label smoothing, as the paper and our recipes do."""
    random = torch.Generator().manual_seed(seed)
    batches = len(planted.images) // 32
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(planted.images), generator=random)
        for batch in order[: 32 * batches].reshape(batches, 32):
            logits = network(planted.images[batch])
            loss = F.cross_entropy(logits, planted.labels[batch], label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()


def top1(network: ConvNet, planted: Planted) -> float:
    """Return the share of images that are classified right."""
    with torch.inference_mode():
        right = network(planted.images).argmax(1) == planted.labels
    return float(right.double().mean())


def hits(
    network: ConvNet, planted: Planted, method: Callable[[ConvNet, Tensor, Tensor], Tensor] = cam
) -> float:
    """Return the share of images where the map of the true class is highest on the object."""
    maps = method(network, planted.images, planted.labels[:, None]).numpy()[:, 0]
    peaks = [ClassMap("", 1.0, values).peak(SIDE) for values in maps]
    return float(np.mean([planted.covers(index, x, y) for index, (x, y) in enumerate(peaks)]))
