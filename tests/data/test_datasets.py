"""Data sets by name and from folders: classes, labels, splits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effnet.data.datasets import DataSet, open_dataset, open_digits
from effnet.errors import DataError


def images(root: Path, *names: str) -> Path:
    """Save an image under each name, grey 0, 10, 20, … in the order of the names; return the folder."""
    for index, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (10 * index,) * 3).save(path)
    return root


def named_labels(dataset: DataSet, part: str) -> list[tuple[str, str]]:
    samples = dataset.parts[part]
    return [
        (name, dataset.class_names[label]) for name, label in zip(samples.names, samples.labels, strict=True)
    ]


def test_one_folder_per_class_is_a_data_set_without_a_split(tmp_path: Path) -> None:
    dataset = open_dataset(images(tmp_path / "pets", "dog/2.png", "cat/1.png", "cat/0.png"))
    assert (dataset.name, dataset.class_names, dataset.is_split) == ("pets", ("cat", "dog"), False)
    assert named_labels(dataset, "all") == [("cat/0.png", "cat"), ("cat/1.png", "cat"), ("dog/2.png", "dog")]


def test_a_path_may_be_text(tmp_path: Path) -> None:
    images(tmp_path, "a/1.png", "b/1.png")
    assert open_dataset(str(tmp_path)).class_names == open_dataset(tmp_path).class_names == ("a", "b")


def test_labels_are_integers_in_class_order(tmp_path: Path) -> None:
    labels = open_dataset(images(tmp_path, "b/1.png", "a/1.png", "c/1.png")).parts["all"].labels
    assert (labels.dtype.name, labels.tolist()) == ("int64", [0, 1, 2])


def test_each_name_reads_its_own_image(tmp_path: Path) -> None:
    samples = open_dataset(images(tmp_path, "a/x.png", "a/y.png", "b/x.png")).parts["all"]
    greys = {name: np.asarray(samples.read(name)).max() for name in samples.names}
    assert greys == {"a/x.png": 0, "a/y.png": 10, "b/x.png": 20}


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "val"), ("train", "val")),
        (("train", "test"), ("train", "test")),
        (("train", "val", "test"), ("train", "val", "test")),
        (("training", "validation", "testing"), ("train", "val", "test")),
        (("train", "valid"), ("train", "val")),
    ],
)
def test_split_folders_are_known_by_their_usual_names(
    tmp_path: Path, folders: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    for folder in folders:
        images(tmp_path, f"{folder}/a/1.png", f"{folder}/b/1.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.is_split, tuple(dataset.parts)) == (True, parts)
    for folder, part in zip(folders, parts, strict=True):
        assert named_labels(dataset, part) == [(f"{folder}/a/1.png", "a"), (f"{folder}/b/1.png", "b")]


def test_labels_of_every_split_follow_the_training_classes(tmp_path: Path) -> None:
    images(tmp_path, "train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/1.png")
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("a", "b", "c")
    assert named_labels(dataset, "val") == [("val/c/1.png", "c")]


def test_all_samples_are_those_of_all_parts(tmp_path: Path) -> None:
    images(tmp_path, "train/a/1.png", "train/b/1.png", "test/b/2.png")
    samples = open_dataset(tmp_path).all_samples()
    assert samples.names == ("train/a/1.png", "train/b/1.png", "test/b/2.png")
    assert samples.labels.tolist() == [0, 1, 1]


def test_names_may_hold_spaces_and_any_letters(tmp_path: Path) -> None:
    root = images(tmp_path / "meine Bilder 2", "süße Katze/mein Foto (1).png", "犬/ポチ.png")
    dataset = open_dataset(root)
    assert dataset.class_names == ("süße Katze", "犬")
    samples = dataset.parts["all"]
    assert [samples.read(name).size for name in samples.names] == [(4, 3), (4, 3)]


@pytest.mark.parametrize("name", ["1.PNG", "1.JPG", "1.Jpeg", "1.webp", "1.jfif", "1.bmp", "1.gif", "1.tiff"])
def test_images_are_known_by_their_extension_in_any_case(tmp_path: Path, name: str) -> None:
    dataset = open_dataset(images(tmp_path, f"a/{name}", "b/1.png"))
    assert named_labels(dataset, "all")[0] == (f"a/{name}", "a")


def test_folders_within_a_class_are_searched(tmp_path: Path) -> None:
    dataset = open_dataset(images(tmp_path, "a/2024/may/1.png", "a/0.png", "b/1.png"))
    assert named_labels(dataset, "all")[:2] == [("a/0.png", "a"), ("a/2024/may/1.png", "a")]


@pytest.mark.parametrize(
    "clutter", ["a/.hidden.png", "a/.cache/1.png", ".git/1.png", "__MACOSX/1.png", "a/notes.txt", "list.csv"]
)
def test_what_is_hidden_or_no_image_is_left_out(tmp_path: Path, clutter: str) -> None:
    dataset = open_dataset(images(tmp_path, "a/1.png", "b/1.png"))
    path = tmp_path / clutter
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((tmp_path / "a/1.png").read_bytes())
    again = open_dataset(tmp_path)
    assert again.class_names == dataset.class_names
    assert again.parts["all"].names == dataset.parts["all"].names == ("a/1.png", "b/1.png")


def test_a_folder_that_is_hidden_itself_can_be_opened(tmp_path: Path) -> None:
    dataset = open_dataset(images(tmp_path / ".cache" / "pets", "a/1.png", "b/1.png"))
    assert dataset.parts["all"].names == ("a/1.png", "b/1.png")


def test_a_damaged_image_is_named_when_it_is_read_and_not_before(tmp_path: Path) -> None:
    images(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "b" / "2.png").write_text("not an image")
    samples = open_dataset(tmp_path).parts["all"]
    assert len(samples) == 3
    with pytest.raises(DataError, match=r"b/2\.png: not an image"):
        samples.read("b/2.png")


def test_take_follows_the_order_asked_for(tmp_path: Path) -> None:
    samples = open_dataset(images(tmp_path, "a/1.png", "a/2.png", "b/1.png")).parts["all"]
    taken = samples.take(np.array([2, 0]))
    assert (taken.names, taken.labels.tolist(), len(taken)) == (("b/1.png", "a/1.png"), [1, 0], 2)


def test_named_keeps_the_order_of_the_samples(tmp_path: Path) -> None:
    samples = open_dataset(images(tmp_path, "a/1.png", "a/2.png", "b/1.png")).parts["all"]
    assert samples.named(frozenset({"b/1.png", "a/2.png", "gone"})).names == ("a/2.png", "b/1.png")


def test_digits_are_1797_scans_of_ten_digits() -> None:
    dataset = open_dataset("digits")
    samples = dataset.parts["all"]
    assert (len(samples), len(set(samples.names)), dataset.is_split) == (1797, 1797, False)
    assert dataset.class_names == tuple("0123456789")
    counts = np.bincount(samples.labels).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI's table for its test set
    assert dataset.recipe == "digits"


def test_digits_are_grey_and_use_the_whole_range() -> None:
    samples = open_digits().parts["all"]
    pixels = np.stack([np.asarray(samples.read(name)) for name in samples.names])
    assert (pixels.shape, pixels.dtype.name) == ((1797, 8, 8), "uint8")
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) == 17


def test_a_folder_called_digits_is_preferred_to_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path / "digits", "a/1.png", "b/1.png")
    monkeypatch.chdir(tmp_path)
    assert open_dataset("digits").class_names == ("a", "b")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = images(tmp_path, "bus/1.png", "car/1.png", "train/1.png", "train/old/2.png")
    assert open_dataset(root).class_names == ("bus", "car", "train")


def test_split_folders_are_known_in_any_case(tmp_path: Path) -> None:
    root = images(tmp_path, "Train/a/1.png", "Train/b/1.png", "TEST/a/2.png")
    assert set(open_dataset(root).parts) == {"train", "test"}


def test_held_out_folders_without_training_folder_are_an_error(tmp_path: Path) -> None:
    root = images(tmp_path, "val/a/1.png", "val/b/1.png", "test/a/1.png", "test/b/1.png")
    with pytest.raises(DataError, match="has val/, test/ but no train/"):
        open_dataset(root)


def test_the_fingerprint_is_of_names_and_labels(tmp_path: Path) -> None:
    first = open_dataset(images(tmp_path / "x", "a/1.png", "b/1.png")).fingerprint()
    assert open_dataset(images(tmp_path / "y", "a/1.png", "b/1.png")).fingerprint() == first
    assert open_dataset(images(tmp_path / "z", "a/1.png", "b/2.png")).fingerprint() != first
