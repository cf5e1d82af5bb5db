"""The paper's sets by name: where they come from, and that another division cannot pass for the paper's."""

from pathlib import Path

import pytest
from kinds_of_data import CLASSES, digits_table, hub_metadata, write_parquet

from effnet.data.datasets import open_dataset
from effnet.data.hub_library import parse_name
from effnet.data.sources import parse_source
from effnet.data.transfer import TRANSFER, TransferSet, check_sizes
from effnet.errors import DataError, UsageError

OURS = TransferSet(60, 20, 10, "hf:somewhere")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    for part, rows in (("train", range(40)), ("validation", range(40, 60)), ("test", range(60, 80))):
        write_parquet(tmp_path / f"digits/{part}-0.parquet", digits_table(rows), hub_metadata(CLASSES))
    return tmp_path / "digits"


@pytest.mark.parametrize("name", TRANSFER)
def test_every_set_has_a_source_or_a_reason(name: str) -> None:
    known = TRANSFER[name]
    assert (known.source is None) <= bool(known.why)
    if known.source is not None:
        assert "/" in parse_name(parse_source(known.source).place).repo


@pytest.mark.parametrize(("name", "numbers"), [("birdsnap", "47,386"), ("aircraft", "6,667")])
def test_what_cannot_be_had_says_why_and_what_the_paper_had(name: str, numbers: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name} cannot be had by name: .*; the paper has {numbers}"):
        open_dataset(name)


def test_a_division_as_in_the_paper_passes(folder: Path) -> None:
    check_sizes(open_dataset(folder), "digits", OURS)


@pytest.mark.parametrize("options", [",val=none", ",test=none", ",train=train+validation,test=none"])
def test_another_division_is_refused(folder: Path, options: str) -> None:
    with pytest.raises(DataError, match=r"expected: 60 images to train on, 20 to test, 10 classes"):
        check_sizes(open_dataset(f"{folder}{options}"), "digits", OURS)


def test_options_that_would_divide_it_otherwise_are_refused() -> None:
    with pytest.raises(UsageError, match="the data set food101 has no option 'test'; there are revision"):
        open_dataset("food101,test=train")
    with pytest.raises(UsageError, match="the data set digits has no option 'label'; there are none"):
        open_dataset("digits,label=x")


def test_a_folder_of_that_name_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.parent / "food101")
    monkeypatch.chdir(folder.parent)
    assert open_dataset("food101").class_names == CLASSES
