"""Where results may go: never where they would be taken for images of the data set."""

from pathlib import Path

import pytest
from PIL import Image

import effnet
from effnet.data.datasets import open_dataset
from effnet.errors import UsageError
from effnet.training.folder import outside_data


def images(root: Path, *parts: str) -> Path:
    for name in (f"{part}{label}/{number}.png" for part in parts for label in "ab" for number in range(3)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(root / name)
    return root


def test_a_run_inside_its_own_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lies inside the data, .*; choose another --out"):
        effnet.train(images(tmp_path, ""), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("place", ["train/run", "val/a/run", "val", "test", "Testing/run"])
def test_a_place_inside_a_part_or_called_as_one_is_refused(tmp_path: Path, place: str) -> None:
    dataset = open_dataset(images(tmp_path, "train/", "val/"))
    with pytest.raises(UsageError, match="lies inside the data"):
        outside_data(dataset, tmp_path / place)


def test_a_place_inside_a_part_that_is_a_link_is_refused(tmp_path: Path) -> None:
    images(tmp_path / "elsewhere", "")
    images(tmp_path / "data", "val/")
    (tmp_path / "data" / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="lies inside the data"):
        outside_data(open_dataset(tmp_path / "data"), tmp_path / "elsewhere" / "run")


def test_beside_the_parts_there_is_room(tmp_path: Path) -> None:
    dataset = open_dataset(images(tmp_path, "train/", "val/"))
    assert outside_data(dataset, tmp_path / "run") == tmp_path / "run"
    assert open_dataset(tmp_path).fingerprint() == dataset.fingerprint()
