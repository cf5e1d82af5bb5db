"""How strong each corruption is: the authors' constants for three sizes, and the rule for the sizes between.

Constants are those of D. Hendrycks and T. Dietterich, Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations, ICLR 2019, as their repository hendrycks/robustness has them in
ImageNet-C/create_c: make_cifar_c.py, make_tinyimagenet_c.py and make_imagenet_c.py.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from effnet.evaluation.corruptions.constants import (
    Defocus,
    Elastic,
    Fog,
    Frost,
    Glass,
    Motion,
    Snow,
    Zoom,
)

T = TypeVar("T")

Five = tuple[T, T, T, T, T]
"""One value a severity, the mildest first."""

NUM_SEVERITIES = 5


@dataclass(frozen=True)
class Severities:
    """Constants of the 15 corruptions for images of one side, named and ordered as the authors have them."""

    side: int
    gaussian_noise: Five[float]
    """Standard deviation; the image is 0 to 1."""
    shot_noise: Five[float]
    """Photons at full brightness."""
    impulse_noise: Five[float]
    """Share of the values that become 0 or 1."""
    defocus_blur: Five[Defocus]
    glass_blur: Five[Glass]
    motion_blur: Five[Motion]
    zoom_blur: Five[Zoom]
    snow: Five[Snow]
    frost: Five[Frost]
    fog: Five[Fog]
    brightness: Five[float]
    """Added to the value of HSV."""
    contrast: Five[float]
    """What is left of the difference to the mean."""
    elastic_transform: Five[Elastic]
    pixelate: Five[float]
    """Side of the reduced image, as a share."""
    jpeg_compression: Five[int]
    """Quality."""


CORRUPTION_NAMES = tuple(field.name for field in fields(Severities) if field.name != "side")


def _elastic(unit: float, *rows: tuple[float, float, float]) -> Five[Elastic]:
    first, second, third, fourth, fifth = (Elastic(*(unit * value for value in row)) for row in rows)
    return first, second, third, fourth, fifth


def _frost(scale: float, *rows: tuple[float, float]) -> Five[Frost]:
    first, second, third, fourth, fifth = (Frost(*row, scale) for row in rows)
    return first, second, third, fourth, fifth


# fmt: off
CIFAR_C = Severities(
    side=32,
    gaussian_noise=(0.04, 0.06, 0.08, 0.09, 0.10),
    shot_noise=(500, 250, 100, 75, 50),
    impulse_noise=(0.01, 0.02, 0.03, 0.05, 0.07),
    defocus_blur=(
        Defocus(0.3, 0.4), Defocus(0.4, 0.5), Defocus(0.5, 0.6), Defocus(1, 0.2), Defocus(1.5, 0.1),
    ),
    glass_blur=(Glass(0.05, 1, 1), Glass(0.25, 1, 1), Glass(0.4, 1, 1), Glass(0.25, 1, 2), Glass(0.4, 1, 2)),
    motion_blur=(Motion(6, 1), Motion(6, 1.5), Motion(6, 2), Motion(8, 2), Motion(9, 2.5)),
    zoom_blur=(Zoom(1.06, 0.01), Zoom(1.11, 0.01), Zoom(1.16, 0.01), Zoom(1.21, 0.01), Zoom(1.26, 0.01)),
    snow=(
        Snow(0.1, 0.2, 1, 0.6, Motion(8, 3), 0.95),
        Snow(0.1, 0.2, 1, 0.5, Motion(10, 4), 0.9),
        Snow(0.15, 0.3, 1.75, 0.55, Motion(10, 4), 0.9),
        Snow(0.25, 0.3, 2.25, 0.6, Motion(12, 6), 0.85),
        Snow(0.3, 0.3, 1.25, 0.65, Motion(14, 12), 0.8),
    ),
    frost=_frost(0.2, (1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    fog=(Fog(0.2, 3), Fog(0.5, 3), Fog(0.75, 2.5), Fog(1, 2), Fog(1.5, 1.75)),
    brightness=(0.05, 0.1, 0.15, 0.2, 0.3),
    contrast=(0.75, 0.5, 0.4, 0.3, 0.15),
    elastic_transform=_elastic(
        32, (0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)
    ),
    pixelate=(0.95, 0.9, 0.85, 0.75, 0.65),
    jpeg_compression=(80, 65, 58, 50, 40),
)

TINY_IMAGENET_C = Severities(
    side=64,
    gaussian_noise=(0.04, 0.08, 0.12, 0.15, 0.18),
    shot_noise=(250, 100, 50, 30, 15),
    impulse_noise=(0.01, 0.02, 0.05, 0.08, 0.14),
    defocus_blur=(Defocus(0.5, 0.6), Defocus(1, 0.1), Defocus(1.5, 0.1), Defocus(2.5, 0.01), Defocus(3, 0.1)),
    glass_blur=(Glass(0.1, 1, 1), Glass(0.5, 1, 1), Glass(0.6, 1, 2), Glass(0.7, 2, 1), Glass(0.9, 2, 2)),
    motion_blur=(Motion(10, 1), Motion(10, 1.5), Motion(10, 2), Motion(10, 2.5), Motion(12, 3)),
    zoom_blur=(Zoom(1.06, 0.01), Zoom(1.11, 0.01), Zoom(1.16, 0.01), Zoom(1.21, 0.01), Zoom(1.26, 0.01)),
    snow=(
        Snow(0.1, 0.2, 1, 0.6, Motion(8, 3), 0.8),
        Snow(0.1, 0.2, 1, 0.5, Motion(10, 4), 0.8),
        Snow(0.15, 0.3, 1.75, 0.55, Motion(10, 4), 0.7),
        Snow(0.25, 0.3, 2.25, 0.6, Motion(12, 6), 0.65),
        Snow(0.3, 0.3, 1.25, 0.65, Motion(14, 12), 0.6),
    ),
    frost=_frost(0.3, (1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
    fog=(Fog(0.4, 3), Fog(0.7, 3), Fog(1, 2.5), Fog(1.5, 2), Fog(2, 1.75)),
    brightness=(0.1, 0.2, 0.3, 0.4, 0.5),
    contrast=(0.4, 0.3, 0.2, 0.1, 0.05),
    elastic_transform=_elastic(
        64, (0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02)
    ),
    pixelate=(0.9, 0.8, 0.7, 0.6, 0.5),
    jpeg_compression=(65, 58, 50, 40, 25),
)

IMAGENET_C = Severities(
    side=224,
    gaussian_noise=(0.08, 0.12, 0.18, 0.26, 0.38),
    shot_noise=(60, 25, 12, 5, 3),
    impulse_noise=(0.03, 0.06, 0.09, 0.17, 0.27),
    defocus_blur=(Defocus(3, 0.1), Defocus(4, 0.5), Defocus(6, 0.5), Defocus(8, 0.5), Defocus(10, 0.5)),
    glass_blur=(Glass(0.7, 1, 2), Glass(0.9, 2, 1), Glass(1, 2, 3), Glass(1.1, 3, 2), Glass(1.5, 4, 2)),
    motion_blur=(Motion(10, 3), Motion(15, 5), Motion(15, 8), Motion(15, 12), Motion(20, 15)),
    zoom_blur=(Zoom(1.11, 0.01), Zoom(1.16, 0.01), Zoom(1.21, 0.02), Zoom(1.26, 0.02), Zoom(1.31, 0.03)),
    snow=(
        Snow(0.1, 0.3, 3, 0.5, Motion(10, 4), 0.8),
        Snow(0.2, 0.3, 2, 0.5, Motion(12, 4), 0.7),
        Snow(0.55, 0.3, 4, 0.9, Motion(12, 8), 0.7),
        Snow(0.55, 0.3, 4.5, 0.85, Motion(12, 8), 0.65),
        Snow(0.55, 0.3, 2.5, 0.85, Motion(12, 12), 0.55),
    ),
    frost=_frost(1.0, (1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    fog=(Fog(1.5, 2), Fog(2, 2), Fog(2.5, 1.7), Fog(2.5, 1.5), Fog(3, 1.4)),
    brightness=(0.1, 0.2, 0.3, 0.4, 0.5),
    contrast=(0.4, 0.3, 0.2, 0.1, 0.05),
    elastic_transform=_elastic(  # 224 was meant, the authors say; the published images are made with 244
        244, (2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)
    ),
    pixelate=(0.6, 0.5, 0.4, 0.3, 0.25),
    jpeg_compression=(25, 18, 15, 10, 7),
)
# fmt: on

PUBLISHED = {1: CIFAR_C, 64: TINY_IMAGENET_C, 120: IMAGENET_C}
"""From which side on which constants are taken: of a side between 64 and 224 the nearer ones, by ratio."""

RULE = (
    "the authors published constants for 32, 64 and 224 pixels; of the other sizes those below 64 take the "
    "constants of 32, those below 120 those of 64, larger ones those of 224; what is a length in pixels is "
    "scaled with the side, below 32 pixels it stays"
)


def severities_for(side: int) -> Severities:
    """Return the constants for images of a side: the published ones, or by `RULE`."""
    published = PUBLISHED[max(start for start in PUBLISHED if start <= side)]
    smallest = min(each.side for each in PUBLISHED.values())
    return replace(_resized(published, max(side, smallest) / published.side), side=side)


def _resized(published: Severities, factor: float) -> Severities:
    """Scale all that is a length in pixels, so that a corruption is as large beside what the image shows."""
    if factor == 1.0:
        return published
    rows = {name: getattr(published, name) for name in CORRUPTION_NAMES}
    scaled: dict[str, Any] = {
        name: tuple(value.at(factor) for value in row) for name, row in rows.items() if hasattr(row[0], "at")
    }
    return replace(published, **scaled)
