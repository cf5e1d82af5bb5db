"""Copies: which one is named, and what it means."""

import pytest
from PIL import Image, ImageEnhance
from planted import noise, still, surveyed

from effnet.doctor.copies import copy_findings, find_copies
from effnet.doctor.findings import Finding

OTHERS = {f"train/a/other{number}.png": noise(100 + number) for number in range(20)}


def findings(pictures: dict[str, Image.Image]) -> list[Finding]:
    found = surveyed(OTHERS | {"train/b/another.png": noise(99)} | pictures)
    return list(copy_findings(found, find_copies(found, still)))


def darker(seed: int) -> Image.Image:
    return ImageEnhance.Brightness(noise(seed)).enhance(0.8)


def test_without_copies_there_is_nothing_to_say() -> None:
    assert findings({}) == []


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("train/a/0.png", "train/a/1.png", "copy"),
        ("train/a/0.png", "test/a/1.png", "leak"),
        ("train/a/0.png", "train/b/1.png", "conflict"),
        ("train/a/0.png", "test/b/1.png", "conflict"),
    ],
)
def test_the_same_picture_twice(first: str, second: str, kind: str) -> None:
    (finding,) = findings({first: noise(0), second: noise(0)})
    assert finding.kind == kind
    assert {finding.path, finding.other} == {first, second}
    assert finding.what.startswith(f"the same picture as {finding.other}")


@pytest.mark.parametrize(("second", "kind"), [("train/a/1.png", "near"), ("val/a/1.png", "leak")])
def test_a_picture_and_one_that_hardly_differs(second: str, kind: str) -> None:
    (finding,) = findings({"train/a/0.png": noise(0), second: darker(0)})
    assert finding.kind == kind
    assert finding.what.startswith("looks like ")


@pytest.mark.parametrize("held", ["val", "test"])
def test_of_two_parts_the_copy_to_learn_from_goes(held: str) -> None:
    (finding,) = findings({"train/a/0.png": noise(0), f"{held}/a/1.png": noise(0)})
    assert finding.path == "train/a/0.png"
    assert finding.part == "train"
    assert finding.suggestion == "Delete train/a/0.png: the copy in the part 'train'."


def test_a_conflict_names_both_classes() -> None:
    (finding,) = findings({"train/a/0.png": noise(0), "train/b/1.png": noise(0)})
    assert finding.what == "the same picture as train/a/0.png, there called 'a', here 'b'"


def test_each_copy_of_a_group_is_compared_with_one() -> None:
    found = findings({f"train/a/{number}.png": noise(0) for number in range(5)})
    assert [finding.other for finding in found] == ["train/a/0.png"] * 4
    assert [finding.path for finding in found] == [f"train/a/{number}.png" for number in range(1, 5)]
