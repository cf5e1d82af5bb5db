"""Tables and ranges of the policies against torchvision's."""

from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

import peers  # noqa: F401 - lets torchvision import beside a torch it was not built for
from effnet.data.auto_augment import CIFAR10, IMAGENET, SVHN, Table
from effnet.data.operations import SIGNED
from effnet.data.policies import AUTO_SPACE, RAND_SPACE, Space, trivial_space

SIDE = 96
NAMES = {
    "identity": "Identity",
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
    "invert": "Invert",
    "solarize": "Solarize",
    "posterize": "Posterize",
    "color": "Color",
    "contrast": "Contrast",
    "brightness": "Brightness",
    "sharpness": "Sharpness",
    "rotate": "Rotate",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
}


@pytest.fixture(scope="module")
def transforms() -> Any:
    from torchvision import transforms

    return transforms


@pytest.mark.parametrize(
    ("name", "table"), [("imagenet", IMAGENET), ("cifar10", CIFAR10), ("svhn", SVHN)], ids=str
)
def test_the_tables_of_auto_augment_are_torchvisions(transforms: Any, name: str, table: Table) -> None:
    theirs = transforms.AutoAugment(transforms.AutoAugmentPolicy(name)).policies
    ours = [tuple((NAMES[s.operation], s.probability, s.magnitude) for s in row) for row in table]
    assert ours == [tuple((name, share, bin or 0) for name, share, bin in row) for row in theirs]


def assert_same_ranges(ours: Space, theirs: Mapping[str, tuple[Tensor, bool]]) -> None:
    """Compare every bin; theirs translates by pixels, keeps bits, and solarizes from 255 down."""
    for name, greatest in ours.items():
        magnitudes, signed = theirs[NAMES[name]]
        bins = magnitudes.numel() - 1
        levels = [index / bins * greatest for index in range(bins + 1)] if bins else [greatest]
        converted = {
            "posterize": [8 - round(level) for level in levels],
            "solarize": [255 * (1 - level) for level in levels],
            "translate_x": [level * SIDE for level in levels],
            "translate_y": [level * SIDE for level in levels],
        }.get(name, levels)
        assert signed == (name in SIGNED)
        assert magnitudes.flatten().tolist() == pytest.approx(converted, rel=1e-5, abs=1e-4)


def test_the_ranges_of_auto_augment_are_torchvisions(transforms: Any) -> None:
    theirs = transforms.AutoAugment()._augmentation_space(10, (SIDE, SIDE))
    assert {NAMES[name] for name in AUTO_SPACE} == {*theirs, "Identity"}
    assert_same_ranges({name: most for name, most in AUTO_SPACE.items() if name != "identity"}, theirs)


def test_the_ranges_of_rand_augment_are_torchvisions(transforms: Any) -> None:
    theirs = transforms.RandAugment()._augmentation_space(31, (SIDE, SIDE))
    assert {NAMES[name] for name in RAND_SPACE} == set(theirs)
    assert_same_ranges(RAND_SPACE, theirs)


def test_the_ranges_of_trivial_augment_are_torchvisions(transforms: Any) -> None:
    theirs = transforms.TrivialAugmentWide()._augmentation_space(31)
    assert {NAMES[name] for name in trivial_space(SIDE)} == set(theirs)
    assert_same_ranges(trivial_space(SIDE), theirs)
