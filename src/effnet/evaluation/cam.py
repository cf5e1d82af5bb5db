"""Class activation maps: which places of the last feature maps speak for a class.

All networks here end in global average pooling and one linear layer. So a logit is a sum over places, and
there is no question which layer to look at: `ConvNet.features`.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from effnet.network.model import ConvNet

Method = Literal["cam", "grad-cam"]


@torch.inference_mode()
def cam(network: ConvNet, images: Tensor, classes: Tensor) -> Tensor:
    """Weigh the last feature maps by the classifier's weights of a class.

    Zhou, Khosla, Lapedriza, Oliva and Torralba, Learning Deep Features for Discriminative Localization, CVPR
    2016, equation 2. The mean of a map and the classifier's bias make up the logit of its class.

    Args:
        network: in evaluation mode.
        images: `(N, C, H, W)`, normalised, on the network's device.
        classes: `(N, k)` int64, the classes to map for each image.

    Returns:
        `maps (N, k, h, w)` float32 on the same device; below 0 where a place speaks against the class.

    """
    features = network.features(images).float()  # (N, C, h, w)
    weights = network.classifier.weight.float()[classes]  # (N, k, C)
    return torch.einsum("nchw,nkc->nkhw", features, weights)


def grad_cam(network: ConvNet, images: Tensor, classes: Tensor) -> Tensor:
    """Return what speaks for a class, weighing feature maps by the mean gradient of its logit.

    Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV
    2017, equations 1 and 2. Arguments and result are as in `cam`, but nothing is below 0.
    """
    return F.relu(gradient_maps(network, images, classes))


def gradient_maps(network: ConvNet, images: Tensor, classes: Tensor) -> Tensor:
    """Return `grad_cam` before its rectifier: for our networks it is `cam` divided by h · w."""
    with torch.no_grad():  # of what comes before the features no gradient is asked for
        features = network.features(images).float()
    features.requires_grad_()
    with torch.enable_grad():
        logits = network.classify(features)
        chosen = logits.gather(1, classes).sum(0)  # (k,): each image is alone in its row
    maps = []
    for score in chosen:
        (gradient,) = torch.autograd.grad(score, features, retain_graph=True)
        weights = gradient.mean((2, 3), keepdim=True)  # alpha (N, C, 1, 1)
        maps.append((weights * features.detach()).sum(1))
    return torch.stack(maps, 1)


METHODS: dict[Method, Callable[[ConvNet, Tensor, Tensor], Tensor]] = {"cam": cam, "grad-cam": grad_cam}
