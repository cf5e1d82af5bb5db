"""CSV files: which lines they may have, and what each error names."""

import os
from pathlib import Path

import numpy as np
import pytest
from kinds_of_data import digit, labelled, write_csv

from effnet.data.datasets import open_dataset
from effnet.errors import DataError, UsageError

IMAGES = ("a/1.png", "a/2.png", "b/1.png", "b/2.png")
LINES = ("a/1.png,cat", "a/2.png,cat", "b/1.png,dog", "b/2.png,dog")


def error_of(text: str | Path) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        open_dataset(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "pets.csv", ["path,label", *LINES], IMAGES)
    dataset = open_dataset(path)
    assert (dataset.name, dataset.class_names, list(dataset.parts)) == ("pets", ("cat", "dog"), ["all"])
    assert labelled(dataset, "all") == dict(line.split(",") for line in LINES)
    image = dataset.parts["all"].read("b/1.png")
    assert np.array_equal(np.asarray(image.convert("L")), np.asarray(digit(2)))


def test_a_file_without_a_header_has_path_label_and_split(tmp_path: Path) -> None:
    lines = [f"{line},{split}" for line, split in zip(LINES, ("train", "val", "train", "val"), strict=True)]
    dataset = open_dataset(write_csv(tmp_path / "pets.csv", lines, IMAGES))
    assert {part: list(of.names) for part, of in dataset.parts.items()} == {
        "train": ["a/1.png", "b/1.png"],
        "val": ["a/2.png", "b/2.png"],
    }


def test_columns_may_be_asked_for_and_then_others_are_left_aside(tmp_path: Path) -> None:
    lines = ["n,what,where", *(f"{i},{li.split(',')[1]},{li.split(',')[0]}" for i, li in enumerate(LINES))]
    path = write_csv(tmp_path / "pets.csv", lines, IMAGES)
    dataset = open_dataset(f"{path},image=where,label=what")
    assert labelled(dataset, "all") == dict(line.split(",") for line in LINES)


def test_what_was_asked_for_opens_the_same_data_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "pets.csv", ["what,where", *(",".join(li.split(",")[::-1]) for li in LINES)], IMAGES)
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset("pets.csv,image=where,label=what")
    monkeypatch.chdir("/")
    assert open_dataset(dataset.source).fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize("first", ["﻿path;label", "File;Class"])
def test_semicolons_and_a_byte_order_mark_of_spreadsheets_are_read(tmp_path: Path, first: str) -> None:
    path = write_csv(tmp_path / "pets.csv", [first, *(line.replace(",", ";") for line in LINES)], IMAGES)
    assert open_dataset(path).class_names == ("cat", "dog")


def test_a_tsv_file_has_tabs(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "pets.tsv", [line.replace(",", "\t") for line in LINES], IMAGES)
    assert open_dataset(path).class_names == ("cat", "dog")


def test_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    lines = [f"{image},{number}" for image, number in zip(IMAGES, (10, 9, 10, 9), strict=True)]
    assert open_dataset(write_csv(tmp_path / "pets.csv", lines, IMAGES)).class_names == ("9", "10")


def test_splits_may_be_called_otherwise(tmp_path: Path) -> None:
    lines = [f"{line},{fold}" for line, fold in zip(LINES, ("1", "2", "1", "2"), strict=True)]
    path = write_csv(tmp_path / "pets.csv", lines, IMAGES)
    assert "and none is called train; say which is which" in error_of(path)
    dataset = open_dataset(f"{path},train=1,test=2")
    assert list(dataset.parts) == ["train", "test"]


def test_missing_files_are_counted_and_named_with_their_lines(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "pets.csv", ["path,label", *LINES], IMAGES)
    (tmp_path / "a/2.png").unlink()
    (tmp_path / "b/2.png").unlink()
    message = error_of(path)
    assert "2 of 4 files are not there" in message
    assert "line 3: 'a/2.png', line 5: 'b/2.png'" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_no_image_and_is_never_waited_for(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "pets.csv", ["path,label", *LINES], IMAGES)
    (tmp_path / "a/1.png").unlink()
    os.mkfifo(tmp_path / "a/1.png")
    assert "line 2: 'a/1.png'" in error_of(path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["path,label", "a/1.png,cat", "a/2.png,"], "line 3: the label is empty"),
        (["path,label", "a/1.png,cat", ",dog"], "line 3: the image is empty"),
        (["path,label", "a/1.png,cat", "a/2.png"], "line 3: 1 cells instead of 2"),
        (["path,label", "a/1.png,cat", "a/1.png,dog"], "line 3: 'a/1.png' stands in line 2 already"),
        (["path,label,spilt", "a/1.png,cat,train"], "line 1: unknown columns 'spilt'"),
        (["path,lable", "a/1.png,cat"], "line 1: no column 'label'; there are 'path', 'lable'"),
        (["path,file,label", "a/1.png,x,cat"], "line 1: 'path', 'file' may all be the image"),
        (["nowhere.png,cat"], "line 1: no column 'path', 'label'"),
        (["path,label", 'a/1.png,"cat'], "not CSV: unexpected end of data"),
        (["path,label"], "no images are listed"),
        ([], "the file is empty"),
        (["path,label", "a/1.png,cat", "a/2.png,cat"], "there is a single class, 'cat'"),
        (["path,label", "a/1.png,cat", "a/2.png,d\x1b[31mog"], r"'d\x1b[31mog' is no name of a class"),
        (["path,label", *(f"{name},{name}" for name in IMAGES)], "4 different labels for 4 images"),
        (["path,label,split", "a/1.png,cat,train", "a/2.png,emu,train", "b/1.png,ox,test"], "'ox'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: list[str], said: str) -> None:
    assert said in error_of(write_csv(tmp_path / "pets.csv", lines, IMAGES))


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "pets.csv", ["path,label", *LINES], IMAGES)
    path.write_bytes(path.read_bytes() + b"\xff\xfe,x\n")
    assert "not a text file in UTF-8" in error_of(path)


def test_columns_that_were_asked_for_must_be_there(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "pets.csv", ["path,label", *LINES], IMAGES)
    assert "line 1: no column 'kind'; there are 'path', 'label'" in error_of(f"{path},label=kind")
    assert "no column 'fold'" in error_of(f"{path},split=fold")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("lable=x", "unknown option 'lable'; known: label"),
        ("label=", "option 'label' has no value"),
        ("label=a,label=b", "option 'label' is given twice"),
        ("revision=x", "a CSV file has no option 'revision'"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, options: str, said: str) -> None:
    path = write_csv(tmp_path / "pets.csv", ["path,label", *LINES], IMAGES)
    assert said in error_of(f"{path},{options}")


def test_a_missing_csv_file_is_named(tmp_path: Path) -> None:
    assert error_of(tmp_path / "no.csv") == f"there is no file {tmp_path / 'no.csv'}"


def test_names_with_commas_need_no_options(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "cats, dogs.csv", LINES, IMAGES)
    assert open_dataset(path).class_names == ("cat", "dog")
    assert open_dataset(f"{path},header=no").class_names == ("cat", "dog")
