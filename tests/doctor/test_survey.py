"""What is known of every image after one pass."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import in_memory, noise, on_disk, still, surveyed

from broken import BROKEN
from effnet.data.datasets import open_dataset
from effnet.doctor.survey import allocate, survey
from effnet.errors import DataError


def test_sizes_modes_and_parts_are_those_of_the_files(tmp_path: Path) -> None:
    pictures = {
        "train/a/0.png": noise(0, (30, 20)),
        "train/b/1.png": noise(1).convert("L"),
        "val/a/2.png": noise(2).convert("P"),
        "val/b/3.png": Image.new("RGBA", (5, 6)),
    }
    found = survey(open_dataset(on_disk(tmp_path, pictures)), still)
    assert found.samples.names == tuple(pictures)
    assert found.modes == ("RGB", "L", "P", "RGBA")
    assert found.sizes.tolist() == [[30, 20], [40, 30], [40, 30], [5, 6]]
    assert [found.part_names[part] for part in found.parts] == ["train", "train", "val", "val"]


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    on_disk(tmp_path, {"a/0.png": noise(0), "b/1.png": noise(1)})
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(2, (30, 10)).save(tmp_path / "a" / "turned.jpg", exif=exif)
    found = survey(open_dataset(tmp_path), still)
    assert found.sizes[found.samples.names.index("a/turned.jpg")].tolist() == [10, 30]


def test_the_same_pixels_in_another_format_are_the_same_picture(tmp_path: Path) -> None:
    on_disk(tmp_path, {"a/0.png": noise(0), "a/1.bmp": noise(0), "b/2.png": noise(2), "b/3.tiff": noise(0)})
    digests = survey(open_dataset(tmp_path), still).digests
    assert digests[0] == digests[1] == digests[3] != digests[2]


def test_pixels_in_another_shape_are_another_picture() -> None:
    found = surveyed(
        {"all/a/0.png": Image.new("RGB", (4, 2), "red"), "all/b/1.png": Image.new("RGB", (2, 4), "red")}
    )
    assert found.digests[0] != found.digests[1]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BROKEN)
def test_an_unreadable_file_is_kept_with_its_reason(tmp_path: Path, name: str) -> None:
    on_disk(tmp_path, {"a/0.png": noise(0), "b/1.png": noise(1)})
    content, reason = BROKEN[name]
    (tmp_path / "b" / name).write_bytes(content)
    found = survey(open_dataset(tmp_path), still)
    assert len(found) == 2
    assert [each.name for each in found.unreadable] == [f"b/{name}"]
    assert found.unreadable[0].reason.startswith(reason)
    assert found.unreadable[0].label == 1


def test_a_data_set_of_broken_files_only_is_refused(tmp_path: Path) -> None:
    for name in ("a/0.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of the 2 images can be read; a/0\.png: not an image"):
        survey(open_dataset(tmp_path), still)


def test_many_images_are_kept_in_a_file_and_come_out_the_same() -> None:
    dataset = in_memory({f"all/{'ab'[number % 2]}/{number}.png": noise(number) for number in range(9)})
    kept = survey(dataset, still, max_memory=100)
    assert isinstance(kept.thumbs, np.memmap)
    assert np.array_equal(kept.thumbs, survey(dataset, still).thumbs)


def test_what_is_in_a_file_can_be_written_and_read() -> None:
    array = allocate((3, 3, 32, 32), max_memory=10)
    array[1] = 7
    assert array.sum() == 7 * 3 * 32 * 32


def test_progress_reaches_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    survey(in_memory({"all/a/0": noise(0), "all/b/1": noise(1)}), lambda *count: told.append(count))
    assert told[0] == ("reading images", 0, 2)
    assert told[-1] == ("reading images", 2, 2)
