"""Where the features come from that labels are judged by: patches of the images, or a network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from effnet.config import DataConfig
from effnet.data.loaders import EvalLoader
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.reporter import WorkReporter
from effnet.data.storage import open_pixels
from effnet.data.stream import released
from effnet.device import kept_memory
from effnet.doctor.patches import draw_patches
from effnet.doctor.survey import Survey
from effnet.errors import DataError
from effnet.evaluation.classifier import Classifier

BATCH_SIZE = 64
LOOKING = "looking at pictures"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Features of images, computed when they are asked for, or before."""

    num_features: int
    take: Callable[[NDArray[np.int64]], Array]
    """Returns those of some rows, `(n, num_features)`."""
    origin: str
    """What they are, in words."""
    is_by_network: bool
    has_seen: bool = False
    """Whether they are a network's that learned from these very labels."""


def patch_features(survey: Survey) -> Features:
    """Return features of patches, computed from the small copies."""
    patches, thumbs = draw_patches(survey.thumbs), survey.thumbs
    return Features(
        patches.num_features,
        lambda rows: patches.features(thumbs[rows]),
        "what the patches of an image look like",
        is_by_network=False,
    )


def model_features(survey: Survey, classifier: Classifier, reporter: WorkReporter) -> Features:
    """Return what a network's classifier sees of each image, computed at once, `(N, C)`.

    Raises:
        DataError: an image can no longer be read.

    """
    preprocess, device = classifier.header.preprocess, classifier.device
    total = len(survey)
    reading = Reading(
        DataConfig(),
        device,
        lambda done, _: reporter.working("reading images", done, total),
        reporter.message,
    )
    pixels = open_pixels(survey.samples, PixelFormat(preprocess, preprocess.resolution), reading)
    found: list[Array] = []
    with released(pixels), kept_memory(device), torch.inference_mode():
        for images, _ in EvalLoader(pixels, preprocess, BATCH_SIZE):
            reporter.working(LOOKING, len(found) * BATCH_SIZE, total)
            found.append(classifier.network.features(images).mean((2, 3)).float().cpu().numpy())
    reporter.working(LOOKING, total, total)
    if pixels.names != survey.samples.names:
        raise DataError(f"{survey.dataset.name} has changed while it was read: {pixels.broken[0]}")
    features = np.concatenate(found)
    origin = f"what the network in {classifier.path} sees"
    has_seen = classifier.header.training.get("fingerprint") == survey.dataset.fingerprint()
    return Features(features.shape[1], lambda rows: features[rows], origin, True, has_seen)
