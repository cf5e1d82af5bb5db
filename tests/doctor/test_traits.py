"""Classes and shapes that stand out."""

import numpy as np
import pytest
from PIL import Image
from planted import noise, still, surveyed

from effnet.data.datasets import DataSet, Samples
from effnet.doctor.survey import survey
from effnet.doctor.traits import (
    class_findings,
    count_classes,
    shape_findings,
    shapes_of,
    unreadable_findings,
)
from effnet.errors import DataError


def counted(**parts: dict[str, int]) -> list[tuple[str, str, str]]:
    """Return kind, class and words of what is wrong with so many images of each class in each part."""
    class_names = tuple(sorted({name for part in parts.values() for name in part}))
    samples = {}
    for part, counts in parts.items():
        labels = np.repeat(np.arange(len(class_names)), [counts[name] for name in class_names])
        names = tuple(f"{part}/{place}" for place in range(len(labels)))
        samples[part] = Samples(names, labels, lambda name: Image.new("L", (1, 1)))
    found = class_findings(count_classes(DataSet("counted", class_names, samples, source="counted")))
    return [(each.kind, each.class_name, each.what) for each in found]


def test_classes_of_about_the_same_size_are_fine() -> None:
    assert counted(train={"ant": 30, "bee": 40}, val={"ant": 5, "bee": 7}) == []


def test_a_class_with_few_images() -> None:
    assert counted(all={"ant": 9, "bee": 20}) == [("few", "ant", "9 images in all")]


def test_a_class_with_one_image() -> None:
    assert ("few", "ant", "1 image in all") in counted(all={"ant": 1, "bee": 9})


def test_a_class_that_a_part_lacks() -> None:
    found = counted(train={"ant": 30, "bee": 40}, test={"ant": 0, "bee": 7})
    assert found == [("absent", "ant", "no image in the part 'test'")]


def test_classes_of_very_different_size() -> None:
    found = counted(all={"ant": 20, "bee": 400})
    assert found == [("imbalance", "ant", "20 images, and 400 of bee: 20 times as many")]


@pytest.mark.parametrize(
    ("picture", "kind", "what"),
    [
        (Image.new("RGB", (40, 30), "black"), "blank", "all of one colour"),
        (noise(9, (8, 6)), "small", "8×6 pixels; half of the images have at least 30 on the short side"),
        (noise(9, (120, 31)), "long", "120×31 pixels"),
    ],
)
def test_a_picture_stands_out(picture: Image.Image, kind: str, what: str) -> None:
    pictures = {f"all/a/{number}": noise(number) for number in range(8)}
    (finding,) = shape_findings(surveyed(pictures | {"all/b/odd": picture}))
    assert (finding.kind, finding.path, finding.class_name) == (kind, "all/b/odd", "b")
    assert finding.what == what


def test_usual_pictures_do_not_stand_out() -> None:
    assert list(shape_findings(surveyed({f"all/a/{n}": noise(n, (30 + 5 * n, 30)) for n in range(9)}))) == []


def test_sizes_and_modes_are_counted() -> None:
    pictures = {f"all/a/{number}": noise(number, (10, 20)) for number in range(3)}
    shapes = shapes_of(surveyed(pictures | {"all/b/3": noise(3).convert("L")}))
    assert shapes.sizes == (("10×20", 3), ("40×30", 1))
    assert shapes.num_sizes == 2
    assert shapes.short_sides == (10, 10, 30)
    assert shapes.modes == (("RGB", 3), ("L", 1))


def test_an_image_that_cannot_be_read_is_a_finding() -> None:
    def read(name: str) -> Image.Image:
        if name == "broken":
            raise DataError("broken: no such file")
        return noise(0)

    samples = Samples(("fine", "broken"), np.array([0, 1]), read)
    found = survey(DataSet("two", ("ant", "bee"), {"all": samples}, source="two"), still)
    (finding,) = unreadable_findings(found)
    assert (finding.kind, finding.path, finding.class_name) == ("unreadable", "broken", "bee")
    assert finding.what == "no such file"
