"""The loss of the labels: cross-entropy, smoothed, and weighted by class where that is asked for."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


def label_loss(
    logits: Tensor,
    labels: Tensor,
    smoothing: float,
    *,
    class_weights: Tensor | None,
    part: Callable[[Tensor], Tensor | float],
) -> Tensor:
    """Return the mean `loss ()` of `logits (N, K)` against `labels (N,)` or `(N, K)`.

    With `class_weights (K,)` it is divided by the weights of the images, and those of a batch may be computed
    by several processes: `part` says which part of a weight `()` is here, relative to that of the images.
    """
    loss = F.cross_entropy(logits, labels, weight=class_weights, label_smoothing=smoothing)
    if class_weights is None:
        return loss
    mass = class_weights[labels].sum() if labels.ndim == 1 else (labels @ class_weights).sum()
    if labels.ndim == 2:
        # Torch divides by the sum of the weights for indices, and by the number of images for probabilities.
        loss = loss * len(labels) / mass
    return loss * part(mass)
