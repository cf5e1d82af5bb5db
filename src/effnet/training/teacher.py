"""A teacher: another network whose answers a training learns, beside the labels (Hinton et al. 2015)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.errors import DataError, UsageError, some
from effnet.evaluation.classifier import Classifier
from effnet.imaging.preprocess import Preprocess
from effnet.training.compute import Compute
from effnet.transfer.settings import DistillConfig


class Teacher(Protocol):
    """What has a say in the loss of a batch."""

    def blend(self, images: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the `loss ()` to learn from, given that of the labels.

        Args:
            images: `(N, C, S, S)`, as the network sees them.
            logits: `(N, K)`, the network's answers.
            loss: `()`, that of the labels.

        """


class NoTeacher:
    """Leaves the loss to the labels."""

    def blend(self, images: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Return the loss as it is."""
        return loss


NO_TEACHER = NoTeacher()


@dataclass(frozen=True)
class Mentor:
    """A trained network that sees the very images that the student sees, augmented and mixed.

    That, over many epochs, is what makes distillation work (Beyer et al. 2022, "A good teacher is patient and
    consistent"): an answer to another crop would be an answer to another question.
    """

    network: nn.Module
    order: Tensor
    """Place of each class of the student among the teacher's, `(K,)`."""
    adapt: nn.Module
    """From the student's input to the teacher's."""
    config: DistillConfig
    compute: Compute

    def blend(self, images: Tensor, logits: Tensor, loss: Tensor) -> Tensor:
        """Mix the loss of the labels with T² · KL(teacher || student), both softened by T."""
        weight, temperature = self.config.weight, self.config.temperature
        theirs = (self.logits(images) / temperature).log_softmax(1)
        ours = (logits / temperature).log_softmax(1)
        # T² because gradients of softened answers shrink by that (Hinton et al., section 2).
        divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2
        return (1.0 - weight) * loss + weight * divergence

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return the teacher's `logits (N, K)` of the student's images, in the student's order of classes."""
        with self.compute.autocast():
            answers: Tensor = self.network(self.adapt(images))
        return answers.float().index_select(1, self.order)


class Adapt(nn.Module):
    """From images normalised for one network to the input of another: colours, then the side."""

    def __init__(self, mine: Preprocess, theirs: Preprocess, device: torch.device) -> None:
        super().__init__()
        means, stds = ([torch.tensor(values, device=device).view(-1, 1, 1) for values in pair]
                       for pair in ((mine.mean, theirs.mean), (mine.std, theirs.std)))  # fmt: skip
        self.side = theirs.resolution
        self.scale = stds[0] / stds[1]  # 1 and 0 where both normalise alike, which changes no bit
        self.shift = (means[0] - means[1]) / stds[1]

    def forward(self, images: Tensor) -> Tensor:
        """Map `images (N, C, S, S)` to `(N, C, side, side)`."""
        adapted = images * self.scale + self.shift
        if images.shape[-1] == self.side:
            return adapted
        return F.interpolate(adapted, size=(self.side, self.side), mode="bilinear", antialias=True)


def check_teacher(teacher: Classifier, class_names: Sequence[str], preprocess: Preprocess) -> None:
    """Refuse a teacher that answers another question.

    Raises:
        DataError: its classes are not those of the data.
        UsageError: it takes another number of channels.

    """
    theirs, header = set(teacher.header.class_names), teacher.header
    missing, extra = sorted(set(class_names) - theirs), sorted(theirs - set(class_names))
    if missing or extra:
        raise DataError(
            f"teacher {teacher.path}: its classes are not those of the data; it lacks "
            f"{some(missing) or 'none'}, and has beside them {some(extra) or 'none'}; take a teacher that "
            f"was trained on these classes"
        )
    if len(header.preprocess.mean) != len(preprocess.mean):
        raise UsageError(
            f"teacher {teacher.path} takes {len(header.preprocess.mean)} channels, and input.channels = "
            f"{len(preprocess.mean)}"
        )


def mentor(
    teacher: Classifier, class_names: Sequence[str], preprocess: Preprocess, config: DistillConfig,
    compute: Compute,
) -> Mentor:  # fmt: skip
    """Make a teacher of a model file; `class_names` and `preprocess` are the student's."""
    check_teacher(teacher, class_names, preprocess)
    names, device = teacher.header.class_names, teacher.device
    order = torch.tensor([names.index(name) for name in class_names], device=device)
    network = teacher.network.requires_grad_(False)
    return Mentor(network, order, Adapt(preprocess, teacher.header.preprocess, device), config, compute)
