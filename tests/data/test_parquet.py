"""Parquet files as Hugging Face writes them: columns, splits, and images taken out of them once."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinds_of_data import CLASSES, digit, digits_table, hub_metadata, label, labelled, write_parquet

from effnet.data.datasets import open_dataset
from effnet.errors import DataError, EffnetError

NAMES = tuple(f"digit {name}" for name in CLASSES)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EFFNET_CACHE", str(folder))
    return folder


def error_of(text: str | Path) -> str:
    with pytest.raises(EffnetError) as caught:
        open_dataset(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_labels_and_class_names_are_found(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "digits.parquet", digits_table(range(60)), hub_metadata(NAMES))
    dataset = open_dataset(path)
    assert (dataset.name, dataset.class_names) == ("digits", NAMES)
    assert labelled(dataset, "all") == {f"digits.parquet/{i:06d}": NAMES[label(i)] for i in range(60)}
    of = dataset.parts["all"]
    for row in np.random.default_rng(0).permutation(60):
        assert np.array_equal(np.asarray(of.read(of.names[row]).convert("L")), np.asarray(digit(row)))


def test_columns_are_found_by_their_types_where_no_metadata_are(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "digits.parquet", {"n": list(range(60)), **digits_table(range(60))})
    assert open_dataset(path).class_names == CLASSES


def test_a_folder_is_divided_by_the_names_of_its_files(tmp_path: Path) -> None:
    for name, rows in (("train-00000-of-00002", range(40)), ("train-00001-of-00002", range(40, 60))):
        write_parquet(tmp_path / "data" / f"{name}.parquet", digits_table(rows), hub_metadata(NAMES))
    write_parquet(
        tmp_path / "data/test-00000-of-00001.parquet", digits_table(range(60, 80)), hub_metadata(NAMES)
    )
    dataset = open_dataset(tmp_path)
    assert {part: len(of) for part, of in dataset.parts.items()} == {"train": 60, "test": 20}
    assert dataset.parts["test"].names[0] == "data/test-00000-of-00001.parquet/000000"


def test_a_part_may_be_left_out(tmp_path: Path) -> None:
    """As with ImageNet, whose test images have the label -1."""
    for part, labels in (("train", None), ("validation", None), ("test", [-1] * 20)):
        table = digits_table(range(20)) | ({} if labels is None else {"label": labels})
        write_parquet(tmp_path / f"{part}-0.parquet", table, hub_metadata(NAMES))
    assert "20 of 20 images of test have no label; leave it out: test=none" in error_of(tmp_path)
    assert list(open_dataset(f"{tmp_path},test=none").parts) == ["train", "val"]


def test_images_are_taken_out_once_and_again_when_the_file_changes(tmp_path: Path, cache: Path) -> None:
    path = write_parquet(tmp_path / "digits.parquet", digits_table(range(40)))
    open_dataset(path)
    made = {file: file.stat().st_mtime_ns for file in cache.rglob("*.*")}
    assert sorted(file.suffix for file in made) == [".bytes", ".json", ".lock"]
    open_dataset(path)
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.*")} == made
    write_parquet(path, digits_table(range(20, 60)))
    of = open_dataset(path).parts["all"]
    assert np.array_equal(np.asarray(of.read(of.names[0]).convert("L")), np.asarray(digit(20)))
    assert len(list(cache.rglob("*.bytes"))) == 1


def test_what_was_taken_out_may_be_removed(tmp_path: Path, cache: Path) -> None:
    path = write_parquet(tmp_path / "digits.parquet", digits_table(range(40)))
    open_dataset(path)
    for file in cache.rglob("*.bytes"):
        file.unlink()
    of = open_dataset(path).parts["all"]
    assert of.read(of.names[3]).size == (8, 8)


def test_a_row_without_an_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    table = digits_table(range(40))
    table["image"][3] = None
    of = open_dataset(write_parquet(tmp_path / "digits.parquet", table)).parts["all"]
    with pytest.raises(DataError, match=r"^digits\.parquet/000003: empty file"):
        of.read("digits.parquet/000003")


def table(**columns: Any) -> dict[str, Any]:
    return digits_table(range(20)) | columns


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"image": ["x"] * 20, "label": [1, 2] * 10}, "no column holds images; there are 'image' (text)"),
        ({"image": digits_table(range(20))["image"]}, "no column is known to hold labels"),
        (
            table(label=[0.5] * 20),
            "no column is known to hold labels; there are 'image' (images), 'label' (do",
        ),
        (table(label=[[1]] * 20), "no column is known to hold labels"),
        (table(label=[1, None] * 10), "10 of 20 images of the data have no label; remove these images"),
        (table(label=[3] * 20), "there is a single class, '3'"),
        (table(target=[1, 2] * 10), "'label', 'target' may all be the label; say which: "),
        (table(label=list(range(20))), "20 different labels for 20 images: these are no classes"),
    ],
)
def test_a_column_that_does_not_fit_is_named(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    assert said in error_of(write_parquet(tmp_path / "digits.parquet", columns))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("label=kind", "there is no column 'kind'; there are 'image' (images), 'label' (classes)"),
        ("image=label", "the column 'label' holds classes, not images"),
        ("label=image", "the column 'image' holds images; labels are one class, whole number or text"),
        ("test=extra", "unknown split of"),
        ("split=x", "a parquet file has no option 'split'"),
    ],
)
def test_a_bad_option_is_named(tmp_path: Path, options: str, said: str) -> None:
    path = write_parquet(tmp_path / "digits.parquet", digits_table(range(20)), hub_metadata(NAMES))
    assert said in error_of(f"{path},{options}")


def test_labels_must_be_places_among_the_names(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "digits.parquet", digits_table(range(20)), hub_metadata(NAMES[:5]))
    assert "has a label 9, but there are 5 classes" in error_of(path)


def test_files_of_other_classes_do_not_go_together(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", digits_table(range(20)), hub_metadata(NAMES))
    write_parquet(tmp_path / "train-1.parquet", digits_table(range(20)), hub_metadata(NAMES[::-1]))
    assert "train-1.parquet: its column 'label' is missing, or not that of the other files" in error_of(
        tmp_path
    )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"hello"])
def test_what_is_no_parquet_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    assert "x.parquet: not a parquet file, or damaged: " in error_of(tmp_path / "x.parquet")


def test_a_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", digits_table(range(60)))
    content = bytearray(path.read_bytes())
    content[100:1500] = bytes(1400)
    path.write_bytes(content)
    assert "x.parquet: not a parquet file, or damaged: " in error_of(path)


def test_a_cache_without_room_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "x.parquet", digits_table(range(60)))
    monkeypatch.setattr("effnet.data.parquet.DISK_SHARE", 0.0)
    assert "GB are free; set $EFFNET_CACHE to a folder with more room" in error_of(path)


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"info": {"features": 3}}', b'{"info": null}'])
def test_metadata_that_say_nothing_are_passed_over(tmp_path: Path, text: bytes) -> None:
    path = write_parquet(tmp_path / "x.parquet", digits_table(range(60)), {b"huggingface": text})
    assert open_dataset(path).class_names == CLASSES


def test_names_of_classes_are_checked(tmp_path: Path) -> None:
    names = ["a\nb", *NAMES[1:]]
    path = write_parquet(tmp_path / "x.parquet", digits_table(range(20)), hub_metadata(names))
    assert r"'a\nb' is no name of a class" in error_of(path)


def test_another_column_of_labels_takes_nothing_out_again(tmp_path: Path, cache: Path) -> None:
    table = digits_table(range(40)) | {"even": [i % 2 for i in range(40)]}
    path = write_parquet(tmp_path / "digits.parquet", table)
    of = open_dataset(f"{path},label=label").parts["all"]
    assert open_dataset(f"{path},label=even").class_names == ("0", "1")
    assert of.read(of.names[0]).size == (8, 8)  # nothing has changed under the first
    assert len(list(cache.rglob("*.bytes"))) == 1


def test_names_that_go_with_text_are_an_error(tmp_path: Path) -> None:
    table = digits_table(range(20)) | {"label": ["a", "b"] * 10}
    path = write_parquet(tmp_path / "digits.parquet", table, hub_metadata(NAMES))
    assert "the labels of all must be places among the names of the classes" in error_of(path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are no Unicode")
def test_a_file_whose_name_is_no_unicode_is_read(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", digits_table(range(20)))
    odd = path.rename(tmp_path / os.fsdecode(b"\xff[1].parquet"))
    of = open_dataset(odd).parts["all"]
    assert of.read(of.names[3]).size == (8, 8)
