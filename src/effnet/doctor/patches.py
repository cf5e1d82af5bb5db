"""Features that need no training: how much an image's patches are like patches drawn from all images.

A. Coates, H. Lee and A. Y. Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning,
AISTATS 2011. That patches drawn at random do for a dictionary: A. Coates and A. Y. Ng, The Importance of
Encoding Versus Training with Sparse Coding and Vector Quantization, ICML 2011.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effnet.doctor.survey import Thumbs

NUM_KERNELS = 200  # 400 gave half a point more of accuracy on CIFAR-10, for twice the time
SIZE = 6  # pixels of a patch's side, as in the papers
STRIDE = 2  # 1 took eight times as long, for two points more of accuracy
QUADRANTS = 2  # responses are averaged over a grid of 2×2
NUM_PATCHES = 20_000
CONTRAST_FLOOR = 10 / 255**2  # added to a patch's variance, as in the papers
WHITENING_FLOOR = 0.1  # added to the variance in each direction
THRESHOLD = 0.25  # of a response that counts


@dataclass(frozen=True, eq=False)
class Patches:
    """A dictionary of whitened patches, as a convolution."""

    kernels: Tensor
    """`(200, 3, 6, 6)`; for a patch from which its mean is taken."""
    offsets: Tensor
    """`(200, 1, 1)`: response to the mean of all patches."""

    @property
    def num_features(self) -> int:
        """Features of an image: each kernel's positive and negative responses in each quadrant."""
        return 2 * len(self.kernels) * QUADRANTS**2

    @torch.inference_mode()
    def features(self, thumbs: Thumbs) -> NDArray[np.float32]:
        """Return the features of small copies `(N, 3, S, S)`, `(N, num_features)`."""
        images = torch.from_numpy(np.ascontiguousarray(thumbs)).float() / 255
        count = self.kernels[0].numel()
        mean = F.avg_pool2d(images.mean(1, keepdim=True), SIZE, STRIDE)
        square = F.avg_pool2d(images.square().mean(1, keepdim=True), SIZE, STRIDE)
        variance = (square - mean.square()).clamp(min=0) * (count / (count - 1))
        contrast = (variance + CONTRAST_FLOOR).rsqrt()
        responses = F.conv2d(images, self.kernels, stride=STRIDE) * contrast - self.offsets
        both = torch.cat([F.relu(sign * responses - THRESHOLD) for sign in (1, -1)], 1)
        pooled: NDArray[np.float32] = F.adaptive_avg_pool2d(both, QUADRANTS).flatten(1).numpy()
        return pooled


def draw_patches(thumbs: Thumbs, *, seed: int = 0) -> Patches:
    """Draw patches from small copies `(N, 3, S, S)` and whiten them (ZCA)."""
    rng = np.random.default_rng(seed)
    places = thumbs.shape[-1] - SIZE + 1
    windows = np.lib.stride_tricks.sliding_window_view(thumbs, (SIZE, SIZE), (2, 3))  # (N, 3, y, x, 6, 6)
    rows = np.sort(rng.integers(0, len(thumbs), NUM_PATCHES))
    y, x = rng.integers(0, places, (2, NUM_PATCHES))
    drawn = torch.from_numpy(windows[rows, :, y, x].reshape(NUM_PATCHES, -1)).float() / 255
    drawn = drawn - drawn.mean(1, keepdim=True)
    drawn = drawn * (drawn.var(1, keepdim=True) + CONTRAST_FLOOR).rsqrt()
    mean = drawn.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov(drawn.T).double())
    whitening = (directions * (variances.clamp(min=0) + WHITENING_FLOOR).rsqrt() @ directions.T).float()
    chosen = (drawn - mean)[torch.from_numpy(rng.permutation(NUM_PATCHES)[:NUM_KERNELS])] @ whitening
    kernels = F.normalize(chosen) @ whitening
    offsets = (kernels @ mean)[:, None, None]
    kernels = kernels - kernels.mean(1, keepdim=True)  # so that it takes the mean of a patch away itself
    return Patches(kernels.reshape(-1, 3, SIZE, SIZE), offsets)
