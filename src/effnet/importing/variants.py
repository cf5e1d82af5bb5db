"""Kinds of published weights, which names and shapes do not tell apart: padding, epsilon, preprocessing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from effnet.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, Interpolation, Preprocess
from effnet.spec.netspec import NetSpec, Padding

NONE = "(?!)"
"""Pattern that no name fits."""


@dataclass(frozen=True)
class Scale:
    """What pixels are normalised with."""

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Scale("ImageNet", IMAGENET_MEAN, IMAGENET_STD)
INCEPTION = Scale("Inception", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Numerics:
    """What the layers compute with, beside the weights."""

    padding: Padding
    bn_eps: float
    bn_momentum: float
    """torch's: the weight of the new batch."""


PLAIN = Numerics("symmetric", 1e-5, 0.1)
PLAIN_SLOW = Numerics("symmetric", 1e-3, 0.01)
PLAIN_V2 = Numerics("symmetric", 1e-3, 0.1)
TENSORFLOW = Numerics("same", 1e-3, 0.1)
TENSORFLOW_SLOW = Numerics("same", 1e-3, 0.01)


@dataclass(frozen=True)
class Variant:
    """One kind of weights in a layout."""

    name: str
    numerics: Numerics
    scale: Scale
    interpolation: Interpolation
    networks: Mapping[str, tuple[int, int]]
    """By network: the side to which the short side is resized, and the side of the middle that is cut out."""
    examples: str
    """Which published weights are of this kind, for messages."""
    official: str = NONE
    """Pattern of the names of its published files, before their hash."""

    def preprocess(self, spec: NetSpec) -> Preprocess:
        """Return how an image becomes the input."""
        resized, side = self.networks[spec.name]
        return Preprocess(side, side / resized, self.interpolation, self.scale.mean, self.scale.std)

    def applied_to(self, spec: NetSpec) -> NetSpec:
        """Return a network that computes as the weights expect."""
        return replace(
            spec,
            padding=self.numerics.padding,
            bn_eps=self.numerics.bn_eps,
            bn_momentum=self.numerics.bn_momentum,
        )

    def is_published_as(self, name: str) -> bool:
        """Tell whether a file's name, without its hash, is that of weights of this kind."""
        return re.fullmatch(self.official, name) is not None

    def about(self, spec: NetSpec) -> str:
        """Say what it is, in a few words."""
        numerics, (resized, side) = self.numerics, self.networks[spec.name]
        return (
            f"{self.name} ({numerics.padding} padding, BN eps {numerics.bn_eps:g}, {self.scale.name} mean, "
            f"{side} of {resized} px: {self.examples})"
        )


def _by_number(prefix: str, pairs: tuple[tuple[int, int], ...]) -> dict[str, tuple[int, int]]:
    return {f"{prefix}{number}": pair for number, pair in enumerate(pairs)}


# timm: `default_cfgs` in models/efficientnet.py (input_size over crop_pct, rounded down as in its transform)
# and the keyword arguments beside them; torchvision: the `Weights` in models/*.py; efficientnet_pytorch:
# examples/imagenet/main.py and its README.
_TF_SIZES = ((256, 224), (272, 240), (292, 260), (331, 300), (412, 380), (488, 456), (560, 528), (632, 600))
_TF_B = _by_number("b", _TF_SIZES)
_TIMM_B = _by_number("b", ((256, 224), (256, 224), (292, 256), (329, 288), (365, 320), *_TF_SIZES[5:]))
_LITE = _by_number("lite", (*_TF_SIZES[:4], (413, 380)))
_LITE_LOW = {name: _LITE[name] for name in ("lite0", "lite1", "lite2")}
_LITE_HIGH = {name: _LITE[name] for name in ("lite3", "lite4")}
_TIMM_V2 = {"v2-s": (288, 288), "v2-m": (320, 320), "v2-l": (384, 384)}
_TF_V2 = {"v2-s": (300, 300), "v2-m": (384, 384), "v2-l": (384, 384)}
_WHOLE_B = _by_number("b", tuple((side, side) for _, side in _TF_SIZES))
_V2_SIZES = {"v2-s": (384, 384), "v2-m": (480, 480)}

TIMM = (
    Variant("timm", PLAIN, IMAGENET, "bicubic", _TIMM_B, "efficientnet_b0.ra_in1k",
            r"efficientnet_b(\d_ra2?(_320)?|1)"),
    Variant("timm-inception", PLAIN, INCEPTION, "bicubic", {"b0": (248, 224), "b1": (266, 240)},
            "efficientnet_b0.ra4_e3600_r224_in1k"),
    Variant("tf", TENSORFLOW, IMAGENET, "bicubic", _TF_B, "tf_efficientnet_b0.in1k, .aa_in1k, .ns_jft_in1k",
            r"tf_efficientnet_b\d(_(aa|ra|ns))?"),
    Variant("tf-inception", TENSORFLOW, INCEPTION, "bicubic", _TF_B, "tf_efficientnet_b0.ap_in1k",
            r"tf_efficientnet_b\d_ap"),
    Variant("timm", PLAIN, IMAGENET, "bicubic", _LITE, "efficientnet_lite0.ra_in1k",
            r"efficientnet_lite0_ra"),
    Variant("tf", TENSORFLOW, INCEPTION, "bicubic", _LITE_LOW,
            "tf_efficientnet_lite0.in1k", r"tf_efficientnet_lite\d"),
    Variant("tf", TENSORFLOW, INCEPTION, "bilinear", _LITE_HIGH,
            "tf_efficientnet_lite4.in1k", r"tf_efficientnet_lite\d"),
    Variant("timm", PLAIN, IMAGENET, "bicubic", _TIMM_V2,
            "trained as efficientnetv2_s"),
    Variant("tf", TENSORFLOW, INCEPTION, "bicubic", _TF_V2,
            "tf_efficientnetv2_s.in1k, .in21k_ft_in1k", r"tf_efficientnetv2_[sml](_21ft1k|_21k)?"),
    Variant("timm", PLAIN, IMAGENET, "bicubic", {"mobilenet-v2": (256, 224)}, "mobilenetv2_100.ra_in1k"),
    Variant("timm", PLAIN, INCEPTION, "bicubic", {"mobilenet-v1": (256, 224)},
            "mobilenetv1_100.ra4_e3600_r224_in1k"),
)  # fmt: skip

TORCHVISION = (
    Variant("v1", PLAIN, IMAGENET, "bicubic", _by_number("b", (
        (256, 224), (256, 240), (288, 288), (320, 300), (384, 380))), "IMAGENET1K_V1",
        r"efficientnet_b\d_rwightman"),
    Variant("v2", PLAIN, IMAGENET, "bilinear", {"b1": (255, 240)}, "IMAGENET1K_V2", "efficientnet_b1"),
    Variant("v1", PLAIN_SLOW, IMAGENET, "bicubic", {name: _WHOLE_B[name] for name in ("b5", "b6", "b7")},
            "IMAGENET1K_V1", r"efficientnet_b\d_lukemelas"),
    Variant("v1", PLAIN_V2, IMAGENET, "bilinear", _V2_SIZES, "IMAGENET1K_V1", "efficientnet_v2_[sm]"),
    Variant("v1", PLAIN_V2, INCEPTION, "bicubic", {"v2-l": (480, 480)}, "IMAGENET1K_V1", "efficientnet_v2_l"),
)  # fmt: skip

MOBILENET = (
    Variant("v1", PLAIN, IMAGENET, "bilinear", {"mobilenet-v2": (256, 224)}, "IMAGENET1K_V1",
            "mobilenet_v2"),
    Variant("v2", PLAIN, IMAGENET, "bilinear", {"mobilenet-v2": (232, 224)}, "IMAGENET1K_V2"),
)  # fmt: skip

RESNET = (
    Variant("v1", PLAIN, IMAGENET, "bilinear", {"resnet-18": (256, 224), "resnet-50": (256, 224)},
            "torchvision's IMAGENET1K_V1", r"resnet(18|50)"),
    Variant("v2", PLAIN, IMAGENET, "bilinear", {"resnet-50": (232, 224)}, "torchvision's IMAGENET1K_V2"),
    Variant("timm", PLAIN, IMAGENET, "bicubic", {"resnet-18": (235, 224), "resnet-50": (235, 224)},
            "resnet50.a1_in1k", r"resnet(18|50)_[abcd]\d\w*"),
)  # fmt: skip

LUKEMELAS = (
    Variant("imagenet", TENSORFLOW_SLOW, IMAGENET, "bicubic", _WHOLE_B, "efficientnet-b0",
            r"efficientnet-b\d"),
    Variant("advprop", TENSORFLOW_SLOW, INCEPTION, "bicubic", _WHOLE_B, "adv-efficientnet-b0",
            r"adv-efficientnet-b\d"),
)  # fmt: skip

VARIANTS: Mapping[str, tuple[Variant, ...]] = {
    "timm": TIMM,
    "torchvision": TORCHVISION,
    "mobilenet": MOBILENET,
    "resnet": RESNET,
    "lukemelas": LUKEMELAS,
}
"""By layout."""

HASHES = {"7ebf99e0": "v2", "11ad3fa6": "v2"}
"""Files of torchvision that have another variant's name, by their hash: mobilenet_v2, resnet50."""


def variants(layout: str, spec: NetSpec) -> tuple[Variant, ...]:
    """Return the kinds of weights that there are of a network in a layout."""
    return tuple(variant for variant in VARIANTS[layout] if spec.name in variant.networks)


def published(choices: tuple[Variant, ...], stem: str, sha256: str) -> Variant | None:
    """Tell the kind of a published file by its name, if its content has the hash at the end of the name.

    The libraries name files `NAME-HASH`, with the first digits of the SHA-256 of the content.

    Args:
        choices: the kinds there are.
        stem: name of the file, without its suffix.
        sha256: of the content, in hexadecimal.

    """
    name, _, digits = stem.rpartition("-")
    if len(digits) != 8 or not sha256.startswith(digits):
        return None
    if digits in HASHES:
        return next((choice for choice in choices if choice.name == HASHES[digits]), None)
    return next((choice for choice in choices if choice.is_published_as(name)), None)
