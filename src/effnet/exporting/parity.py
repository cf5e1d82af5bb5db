"""The proof of an export: the same images through torch and through the exported file."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effnet.errors import EffnetError
from effnet.evaluation.classifier import Classifier
from effnet.imaging.preprocess import Preprocess
from effnet.inference.runtime import OnnxClassifier
from effnet.network.model import ConvNet

LIMIT = 1e-4
"""How far logits may be apart, as a share of the range of all logits."""
ROUNDING = 1e-6  # of the largest logit: where all logits are equal, their range says nothing

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


class ParityError(EffnetError):
    """An exported file does not compute what its network computes."""


@dataclass(frozen=True)
class Parity:
    """How two programs answered to the same images."""

    num_random: int
    num_real: int
    """Images of a data set."""
    difference: float
    """The largest difference of two logits."""
    range: float
    """From the lowest logit to the highest, over all images."""
    agreement: float
    """Share of images whose most probable class is the same, ties counted as the same."""
    num_ties: int
    """Images whose two most probable classes changed places, being nearer than logits may be apart."""
    limit: float = LIMIT

    @property
    def share(self) -> float:
        """The largest difference as a share of the range."""
        return self.difference / self.range

    @property
    def holds(self) -> bool:
        """Whether both programs compute the same."""
        return self.share <= self.limit and self.agreement == 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "share": self.share}


def prove(classifier: Classifier, exported: OnnxClassifier, *, num_random: int, real: Pixels) -> Parity:
    """Let torch and the exported file answer to random and real images.

    Args:
        classifier: the network.
        exported: what was made of it.
        num_random: random images, at least two.
        real: images of a data set, `(N, C, S, S)`, as `Preprocess.pixels` gives them; N may be 0.

    Raises:
        ParityError: logits differ by more than the limit, or a most probable class is another.

    """
    drawn = random_pixels(classifier.header.preprocess, num_random, seed=0)
    pixels = np.concatenate([drawn, real])
    parts = split(len(pixels), exported.batch_size)
    expected = np.concatenate([torch_logits(classifier, pixels[part]) for part in parts])
    actual = np.concatenate([exported.logits(pixels[part]) for part in parts])
    parity = replace(compare(expected, actual), num_random=num_random, num_real=len(real))
    if not parity.holds:
        raise ParityError(refusal(classifier, parity, pixels[: exported.batch_size]))
    return parity


def split(num_images: int, batch_size: int) -> list[slice]:
    """Divide images into batches of several sizes: a single one first, since any number must do."""
    starts = [0, 1, *range(1 + batch_size, num_images, batch_size)]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], num_images], strict=True)]


def compare(expected: Logits, actual: Logits, limit: float = LIMIT) -> Parity:
    """Compare `logits (N, K)` of two programs that may differ by `limit` as a share of their range.

    Where the first program's two most probable classes are closer than the limit allows logits to differ,
    either of them is its answer.
    """
    if not np.isfinite(expected).all():
        raise ParityError(
            "the network's own logits are not finite numbers; train it anew with a lower learning rate"
        )
    difference = float(np.abs(expected.astype(np.float64) - actual).max())
    spread = max(
        float(np.ptp(expected)), ROUNDING / limit * float(np.abs(expected).max()), np.finfo(float).tiny
    )
    first, second = expected.argmax(1), actual.argmax(1)
    rows = np.arange(len(expected))
    gaps = expected[rows, first] - expected[rows, second]
    changed = first != second
    ties = changed & (gaps <= limit * spread)
    return Parity(
        num_random=0,
        num_real=0,
        difference=difference if np.isfinite(difference) else float("inf"),
        range=spread,
        agreement=1.0 - float((changed & ~ties).mean()),
        num_ties=int(ties.sum()),
        limit=limit,
    )


def refusal(classifier: Classifier, parity: Parity, pixels: Pixels) -> str:
    """Say by how much a proof failed, and by how much torch differs from itself in double precision."""
    double = ConvNet(classifier.header.spec, classifier.header.num_classes)
    double.load_state_dict(classifier.network.state_dict())
    exact = logits_of(double.double().eval(), classifier.header.preprocess, pixels)
    own = float(np.abs(torch_logits(classifier, pixels) - exact).max()) / parity.range
    return (
        f"the exported network does not compute what torch computes: logits differ by {parity.share:.1e} of "
        f"their range (allowed {LIMIT:.0e}), and for {1 - parity.agreement:.1%} of the images the most "
        f"probable class is another; no file was written. torch itself differs by {own:.1e} from double "
        f"precision: if that is as much, the network amplifies rounding, and training it longer helps"
    )


def torch_logits(classifier: Classifier, pixels: Pixels) -> Logits:
    """Map `pixels (N, C, S, S)` to `logits (N, K)` by torch, on the CPU."""
    return logits_of(classifier.network, classifier.header.preprocess, pixels).astype(np.float32)


@torch.inference_mode()
def logits_of(network: ConvNet, preprocess: Preprocess, pixels: Pixels) -> NDArray[Any]:
    """Map `pixels (N, C, S, S)` to `logits (N, K)` in the network's own precision."""
    precision = next(network.parameters()).dtype
    images = preprocess.normalise(torch.from_numpy(pixels).to(precision) / 255.0)
    logits: NDArray[Any] = network(images).numpy()
    return logits


def random_pixels(preprocess: Preprocess, count: int, seed: int) -> Pixels:
    """Draw images with mean and spread of photographs: half of each one's noise is coarse, half is fine.

    Returns:
        `(count, C, S, S)` uint8.

    """
    generator = np.random.default_rng(seed)
    side, channels = preprocess.resolution, len(preprocess.mean)
    coarse = generator.standard_normal((count, channels, -(-side // 8), -(-side // 8)))
    smooth = np.kron(coarse, np.ones((8, 8)))[..., :side, :side]
    noise = (smooth + generator.standard_normal(smooth.shape)) / np.sqrt(2)
    mean, std = (np.reshape(values, (-1, 1, 1)) for values in (preprocess.mean, preprocess.std))
    pixels: Pixels = np.clip(np.rint(255 * (mean + std * noise)), 0, 255).astype(np.uint8)
    return pixels
