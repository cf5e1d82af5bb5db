"""Images of a folder come one after the other, in an order that is always the same."""

import os
from pathlib import Path

import pytest

from effnet.data.scan import image_files
from effnet.errors import DataError
from effnet.inference import scan
from effnet.inference.scan import count_images, images_below

NAMES = ("b.jpg", "a/2.PNG", "a/1.png", "a/c/3.webp", "c.jpeg", "a b/9.gif", "B.jpg")
OTHERS = ("notes.txt", ".hidden.png", ".folder/4.png", "jpg", "a/jpg.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_images_are_those_and_in_the_order_that_training_finds(folder: Path) -> None:
    assert list(images_below(folder)) == image_files(folder)
    assert {str(path.relative_to(folder)) for path in images_below(folder)} == set(NAMES)


def test_they_are_counted(folder: Path) -> None:
    assert count_images(folder) == len(NAMES)


def test_a_large_folder_is_listed_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(images_below(folder))
    monkeypatch.setattr(scan, "CHUNK", 2)
    assert list(images_below(folder)) == whole


def test_links_to_images_count_and_links_to_folders_do_not(folder: Path) -> None:
    before = count_images(folder)
    (folder / "link.png").symlink_to(folder / "b.jpg")
    (folder / "broken.png").symlink_to(folder / "nowhere")
    (folder / "around").symlink_to(folder)
    assert count_images(folder) == before + 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "a").chmod(0)
    with pytest.raises(DataError, match=r"cannot read the folder .*/a: Permission denied"):
        list(images_below(folder))


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    for find in (count_images, lambda folder: list(images_below(folder))):
        with pytest.raises(DataError, match=r"cannot read the folder .*/gone: No such file"):
            find(tmp_path / "gone")
