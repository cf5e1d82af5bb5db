"""Which image files a folder holds: order, size, time, links, folders that cannot be read."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effnet.data.datasets import open_dataset
from effnet.data.scan import UNKNOWN, find_images, image_files
from effnet.errors import DataError


def images(root: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4 + index, 3), (10 * index,) * 3).save(root / name)
    return root


def test_files_are_sorted_folder_by_folder(tmp_path: Path) -> None:
    """Not as text, where `a-b` comes before `a/b`, and not as the system lists them."""
    names = ["b.png", "a-b.png", "a/z.png", "a/b/c.png", "a/b-c.png", "B.png"]
    found = [name for name, _, _ in find_images(images(tmp_path, *names))]
    assert found == sorted(names, key=lambda name: Path(name).parts)
    assert image_files(tmp_path) == [tmp_path / name for name in found]


def test_a_file_has_its_size_and_the_time_of_its_last_change(tmp_path: Path) -> None:
    path = images(tmp_path, "a.png") / "a.png"
    assert find_images(tmp_path) == [("a.png", path.stat().st_size, path.stat().st_mtime_ns)]
    os.utime(path, ns=(0, 123_456_789))
    assert find_images(tmp_path) == [("a.png", path.stat().st_size, 123_456_789)]


def test_a_link_to_a_folder_is_not_followed_and_one_to_a_file_is(tmp_path: Path) -> None:
    images(tmp_path, "in/a.png", "elsewhere/b.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "c.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    a, c = find_images(tmp_path / "in")
    assert (a[0], c[0]) == ("a.png", "c.png")
    assert c[1] == (tmp_path / "elsewhere" / "b.png").stat().st_size


def test_a_link_that_leads_nowhere_is_listed_and_named_when_it_is_read(tmp_path: Path) -> None:
    images(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "2.png").symlink_to(tmp_path / "gone.png")
    assert find_images(tmp_path / "a")[1] == ("2.png", UNKNOWN, UNKNOWN)
    with pytest.raises(DataError, match=r"a/2\.png: no such file"):
        open_dataset(tmp_path).parts["all"].read("a/2.png")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the folder .*gone: No such file or directory"):
        find_images(tmp_path / "gone")


def test_size_and_time_stay_with_their_images(tmp_path: Path) -> None:
    images(tmp_path, "train/a/1.png", "train/b/1.png", "train/b/2.png", "test/a/3.png")
    samples = open_dataset(tmp_path).all_samples()
    taken = samples.take(np.array([3, 1]))
    assert taken.files is not None
    assert taken.files.root == tmp_path.resolve()
    for name, stamp in zip(taken.names, taken.files.stamps.tolist(), strict=True):
        found = (tmp_path / name).stat()
        assert stamp == [found.st_size, found.st_mtime_ns]


def test_images_that_are_no_files_have_no_times() -> None:
    assert open_dataset("digits").all_samples().take(np.array([3])).files is None


def test_what_reads_images_can_be_sent_to_another_process(tmp_path: Path) -> None:
    for dataset in (open_dataset(images(tmp_path, "a/1.png", "b/1.png")), open_dataset("digits")):
        samples = dataset.all_samples()
        copy = pickle.loads(pickle.dumps(samples.read))
        assert copy(samples.names[1]).tobytes() == samples.read(samples.names[1]).tobytes()


def test_the_fingerprint_is_computed_once() -> None:
    dataset = open_dataset("digits")
    assert dataset.fingerprint() is dataset.fingerprint()
