"""Folders that are no data set: each says what is wrong and what to do."""

import os
from pathlib import Path

import pytest
from PIL import Image

from effnet.data.datasets import open_dataset
from effnet.errors import DataError, UsageError


def images(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / name)
    return root


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown data set 'digit'; known: digits, .*cifar10, .*food101.*no folder digit",
    ):
        open_dataset("digit")


@pytest.mark.parametrize("text", ["x" * 5000, "x," * 5000, "a\0b", "a\0b.csv", "x" * 5000 + ".csv"])
def test_what_can_be_no_path_is_an_unknown_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown data set|there is no file"):
        open_dataset(text)


def test_a_file_is_not_a_data_set(tmp_path: Path) -> None:
    images(tmp_path, "cat.png")
    with pytest.raises(UsageError, match=r"cat\.png is a file, and not one with data: a data set is a"):
        open_dataset(tmp_path / "cat.png")


def test_an_empty_folder_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders in it; put the images of each class into a folder"):
        open_dataset(tmp_path)


def test_images_without_class_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders in it"):
        open_dataset(images(tmp_path, "1.png", "2.png"))


def test_one_class_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has a single class, 'cat'"):
        open_dataset(images(tmp_path, "cat/1.png"))


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    images(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "emu").mkdir()
    with pytest.raises(DataError, match=r"emu holds no images \(.*\.png"):
        open_dataset(tmp_path)


def test_a_training_class_without_images_is_named(tmp_path: Path) -> None:
    images(tmp_path, "train/cat/1.png", "val/cat/1.png")
    folders(tmp_path, "train/dog")
    with pytest.raises(DataError, match=r"train/dog holds no images"):
        open_dataset(tmp_path)


def test_a_held_out_part_without_any_image_is_named(tmp_path: Path) -> None:
    images(tmp_path, "train/cat/1.png", "train/dog/1.png")
    folders(tmp_path, "val/cat", "val/dog")
    with pytest.raises(DataError, match=r"val holds no images"):
        open_dataset(tmp_path)


def test_training_images_alone_need_a_held_out_part(tmp_path: Path) -> None:
    images(tmp_path, "training/cat/1.png", "training/dog/1.png")
    with pytest.raises(DataError, match=r"has training/ but neither val/ nor test/ beside it"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_that_training_lacks_is_named_with_the_known_ones(tmp_path: Path, part: str) -> None:
    images(tmp_path, "train/cat/1.png", "train/dog/1.png", f"{part}/cat/1.png", f"{part}/emu/1.png")
    with pytest.raises(
        DataError, match=rf"{part} has classes .* lack: emu; the classes are cat, dog; rename or"
    ):
        open_dataset(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
@pytest.mark.parametrize("place", [".", "train"])
def test_a_folder_without_permission_is_named(tmp_path: Path, place: str) -> None:
    images(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png")
    (tmp_path / place).chmod(0)
    with pytest.raises(DataError, match=r"cannot read the folder .*: Permission denied"):
        open_dataset(tmp_path)
    (tmp_path / place).chmod(0o700)
