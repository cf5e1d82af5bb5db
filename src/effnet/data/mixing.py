"""Mix the images of a batch and their labels: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).

An image's partner is the one before it in the batch, whose order is random. The share that an image keeps is
drawn for each image, from Beta(alpha, alpha). Who computes a part of a batch only needs that part and the one
image before it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effnet.config import AugmentConfig
from effnet.data.boxes import box_mask

Mixed = tuple[Tensor, Tensor]
Mixer = Callable[[Tensor, NDArray[np.float64]], Mixed]
"""From `images (N, C, H, W)` and `draws (N, 3)` to mixed images and the share `(N,)` each keeps of itself."""

BatchMixer = Callable[[Tensor, Tensor, NDArray[np.float64]], Mixed]
"""From images, `labels (N,)` and draws to mixed images and their labels."""


class Mix:
    """Mixes a batch in one of the ways that are switched on; with none, leaves it as it is."""

    num_draws = 3
    """Random numbers that each image uses: the share it keeps, and row and column of what it gets."""

    def __init__(self, config: AugmentConfig, num_classes: int) -> None:
        self.num_classes = num_classes
        ways = ((mixup, config.mixup), (cutmix, config.cutmix))
        mixers: list[BatchMixer] = [
            partial(_mix, partial(way, alpha), num_classes) for way, alpha in ways if alpha > 0
        ]
        self.mixers = mixers or [_leave]
        self.reach = 1 if mixers else 0
        """How many images before a part of a batch have a say in it."""

    def __call__(
        self, images: Tensor, labels: Tensor, draws: NDArray[np.float64], batch_draw: float
    ) -> Mixed:
        """Mix a batch.

        Args:
            images: `(N, C, H, W)` float, normalised.
            labels: `(N,)` int64.
            draws: `(N, 3)`, uniform in [0, 1).
            batch_draw: uniform in [0, 1): the way that this batch is mixed.

        Returns:
            `images (N, C, H, W)`, and `labels (N, num_classes)`, probabilities; without mixing `(N,)`.

        """
        return self.mixers[int(batch_draw * len(self.mixers))](images, labels, draws)


def _leave(images: Tensor, labels: Tensor, draws: NDArray[np.float64]) -> Mixed:
    return images, labels


def _mix(mixer: Mixer, num_classes: int, images: Tensor, labels: Tensor, draws: NDArray[np.float64]) -> Mixed:
    mixed, kept = mixer(images, draws)
    return mixed, blend(F.one_hot(labels, num_classes).to(images.dtype), kept)


def mixup(alpha: float, images: Tensor, draws: NDArray[np.float64]) -> Mixed:
    """Add to each image its partner, as much as it does not keep of itself."""
    kept = kept_shares(draws[:, 0], alpha).to(images)
    return blend(images, kept), kept


def cutmix(alpha: float, images: Tensor, draws: NDArray[np.float64]) -> Mixed:
    """Paste a rectangle of each image's partner over it; the share is corrected to what is really seen."""
    boxes = pasted_boxes(kept_shares(draws[:, 0], alpha), torch.from_numpy(draws[:, 1:]), images.shape[-1])
    inside = box_mask(boxes, images)
    kept = 1.0 - inside.to(images.dtype).mean((1, 2, 3))
    return torch.where(inside, partners(images), images), kept


def kept_shares(draws: NDArray[np.float64], alpha: float) -> Tensor:
    """Turn `draws (N,)`, uniform in [0, 1), into `(N,)` from Beta(alpha, alpha): its inverse distribution."""
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, draws))


def pasted_boxes(kept: Tensor, draws: Tensor, side: int) -> Tensor:
    """Draw rectangles as CutMix does: the middle is any pixel, and what reaches outside is cut off.

    Args:
        kept: `(N,)`, from 0 to 1; the rectangle covers the rest, unless it is cut off.
        draws: `(N, 2)`, uniform in [0, 1): row and column of the middle.
        side: pixels of the image.

    Returns:
        `(N, 4)`: top, left, bottom, right, the last two outside.

    """
    length = (side * (1.0 - kept).sqrt()).long()[:, None]  # (N, 1)
    middle = (draws * side).long()  # (N, 2)
    first = middle - length // 2
    return torch.cat([first, middle + length // 2], 1).clamp(0, side)


def blend(values: Tensor, kept: Tensor) -> Tensor:
    """Mix `values (N, …)` with their partners by `kept (N,)`, each one's own share."""
    share = kept.view(-1, *[1] * (values.ndim - 1))
    return share * values + (1.0 - share) * partners(values)


def partners(values: Tensor) -> Tensor:
    """Return for each of `values (N, …)` the one before it in the batch; for the first, the last."""
    return values.roll(1, 0)
