"""Every image has one row, in the order of the names, whatever happens on the way."""

import json
import os
import resource
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from broken import BROKEN
from effnet.errors import DataError, EffnetError, UsageError
from effnet.evaluation import classifier
from effnet.inference import scan
from effnet.inference.runtime import OnnxClassifier, load
from effnet.inference.tofile import predict_to
from image_files import IMAGES
from onnx_models import HEADER, write_onnx_model, write_torch_model

NUM_IMAGES = 200


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("models") / "model.onnx")


@pytest.fixture(scope="module")
def model(model_path: Path) -> OnnxClassifier:
    return load(model_path, num_threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 200 images, some of which are the same."""
    contents = list(IMAGES.values())
    for number in range(NUM_IMAGES):
        path = tmp_path / "photos" / f"{number % 3}" / f"{number:03d}.img.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number % 10])
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "predictions.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def partial_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def test_rows_say_what_predict_says_in_its_order(model: OnnxClassifier, folder: Path, out: Path) -> None:
    written = predict_to(out, model, [folder], top=2)
    assert (written.num_rows, written.num_errors, written.num_kept) == (NUM_IMAGES, 0, 0)
    expected = model.predict(folder, top=2)
    for row, prediction in zip(read(out), expected, strict=True):
        (first, p), (second, q) = prediction.classes
        assert (row["image"], row["class"], row["class2"], row["error"]) == (
            prediction.image,
            first,
            second,
            None,
        )
        assert [row["probability"], row["probability2"]] == pytest.approx([p, q], rel=1e-4)
    assert not partial_of(out).exists()


def test_a_model_file_gives_the_same_rows(model: OnnxClassifier, folder: Path, tmp_path: Path) -> None:
    with_torch = classifier.load(write_torch_model(tmp_path / "model.safetensors"), device="cpu")
    predict_to(tmp_path / "0.jsonl", model, [folder], top=6)
    predict_to(tmp_path / "1.jsonl", with_torch, [folder], top=6)
    for first, second in zip(read(tmp_path / "0.jsonl"), read(tmp_path / "1.jsonl"), strict=True):
        assert first["image"] == second["image"]
        assert first["probability"] == pytest.approx(second["probability"], abs=1e-4)


def test_no_more_classes_are_named_than_there_are(model: OnnxClassifier, folder: Path, out: Path) -> None:
    predict_to(out, model, [folder / "0" / "000.img.png"], top=100)
    (row,) = read(out)
    assert len(row) == 2 + 2 * HEADER.num_classes


def test_files_and_folders_may_be_mixed(model: OnnxClassifier, folder: Path, out: Path) -> None:
    predict_to(out, model, [folder / "1" / "001.img.png", folder / "0"], top=1)
    assert [row["image"] for row in read(out)][:2] == [
        str(folder / "1" / "001.img.png"), str(folder / "0" / "000.img.png")
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Image size")
def test_an_image_that_cannot_be_read_is_a_row_with_the_reason(
    model: OnnxClassifier, folder: Path, out: Path
) -> None:
    for name, (content, _) in BROKEN.items():
        (folder / name).write_bytes(content)
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    written = predict_to(out, model, [folder], top=1)
    assert (written.num_rows, written.num_errors) == (NUM_IMAGES + len(BROKEN) + 1, len(BROKEN) + 1)
    errors = {Path(row["image"]).name: row["error"] for row in read(out) if row["error"]}
    assert errors.keys() == {*BROKEN, "nowhere.png"}
    assert errors["nowhere.png"] == "no such file"
    for name, (_, reason) in BROKEN.items():
        assert errors[name].startswith(reason)


def test_names_of_any_bytes_have_rows(model: OnnxClassifier, tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "odd names"
    folder.mkdir()
    names = [b"caf\xe9.png", b"two\nlines.png", b'a, "b".png', "犬.png".encode()]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(IMAGES["plain.png"])
    predict_to(out, model, [folder], top=1)
    assert {row["image"] for row in read(out)} == {
        f"{folder}/{name}" for name in (r"caf\udce9.png", "two\nlines.png", 'a, "b".png', "犬.png")
    }


def test_a_link_to_an_image_is_another_image(model: OnnxClassifier, tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES["plain.png"])
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert predict_to(out, model, [tmp_path / "a.png", tmp_path / "b.png"]).num_rows == 2


class StoppingError(Exception):
    """Ends a run in a test."""


def stop_after(rows: int) -> Any:
    def stop(done: int, total: int) -> None:
        if done >= rows:
            raise StoppingError

    return stop


def test_a_run_goes_on_after_its_rows(model: OnnxClassifier, folder: Path, out: Path, tmp_path: Path) -> None:
    predict_to(tmp_path / "whole.jsonl", model, [folder], top=2)
    with pytest.raises(StoppingError):
        predict_to(out, model, [folder], top=2, on_progress=stop_after(70))
    assert not out.exists()
    with partial_of(out).open("ab") as file:
        file.write(b'{"image": "half a row')
    written = predict_to(out, model, [folder], top=2)
    assert 70 <= written.num_kept < NUM_IMAGES
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_images_that_came_meanwhile_are_taken_too(model: OnnxClassifier, folder: Path, out: Path) -> None:
    with pytest.raises(StoppingError):
        predict_to(out, model, [folder], on_progress=stop_after(150))
    (folder / "0" / "!first.png").write_bytes(IMAGES["plain.png"])
    predict_to(out, model, [folder])
    names = [row["image"] for row in read(out)]
    assert names[-1] != names[0]
    assert sorted(names) == sorted(map(str, folder.rglob("*.png")))


def test_progress_counts_all_rows(model: OnnxClassifier, folder: Path, out: Path) -> None:
    told: list[tuple[int, int]] = []
    predict_to(out, model, [folder], on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (NUM_IMAGES, NUM_IMAGES)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_run_of_another_model_is_not_continued(
    model: OnnxClassifier, folder: Path, out: Path, tmp_path: Path
) -> None:
    other = load(write_onnx_model(tmp_path / "other.onnx", note="another file"), num_threads=1)
    with pytest.raises(StoppingError):
        predict_to(out, model, [folder], on_progress=stop_after(1))
    before = partial_of(out).read_bytes()
    with pytest.raises(
        UsageError, match=r"was begun with model = [0-9a-f]{64}, now it is [0-9a-f]{64}; go on"
    ):
        predict_to(out, other, [folder])
    with pytest.raises(UsageError, match="was begun with top = 5, now it is 3"):
        predict_to(out, model, [folder], top=3)
    with pytest.raises(UsageError, match="was begun with images = "):
        predict_to(out, model, [folder / "0"])
    assert partial_of(out).read_bytes() == before
    assert predict_to(out, other, [folder / "0"], overwrite=True).num_kept == 0


def test_a_finished_file_is_not_overwritten_unasked(model: OnnxClassifier, folder: Path, out: Path) -> None:
    out.write_text("mine")
    with pytest.raises(
        UsageError, match="is there already; choose another --out, or --overwrite to replace it"
    ):
        predict_to(out, model, [folder])
    assert out.read_text() == "mine"
    assert not partial_of(out).exists()
    predict_to(out, model, [folder], overwrite=True)
    assert len(read(out)) == NUM_IMAGES


@pytest.mark.parametrize(
    ("below", "message"),
    [
        (["none"], "none: no such file or folder"),
        (["0", "none.png"], r"none\.png: no such file or folder"),
        (["0", "0"], "is given twice"),
        (["0", "0/000.img.png"], r"000\.img\.png lies in .*/0, which is given too"),
    ],
)
def test_images_that_cannot_be_meant_are_refused(
    model: OnnxClassifier, folder: Path, out: Path, below: list[str], message: str
) -> None:
    with pytest.raises(EffnetError, match=message):
        predict_to(out, model, [folder / name for name in below])
    assert not partial_of(out).exists()


def test_a_folder_without_images_says_what_counts(model: OnnxClassifier, tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images \(\.avif, \.bmp, "):
        predict_to(out, model, [tmp_path / "empty"])


class Fast:
    """A network that answers at once, for tests of all that is around it."""

    def __init__(self, path: Path) -> None:
        self.header, self.path, self.batch_size = HEADER, path, 64

    def computing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def probs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(pixels), HEADER.num_classes), 1 / HEADER.num_classes, np.float32)


def many_names(folder: Path, count: int) -> Path:
    """Make a folder of so many names of one image."""
    folder.mkdir()
    image = folder / "0.bmp"
    image.write_bytes(IMAGES["one pixel.png"])
    for number in range(1, count):
        os.link(image, folder / f"{number}.bmp")
    return folder


def used_memory() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def growth(folder: Path) -> tuple[int, int]:
    """Return how many rows were written of many names, and by how many bytes this process grew meanwhile."""
    scan.CHUNK = 1000
    model, sizes = Fast(many_names(folder / "few", 1000) / "0.bmp"), []
    predict_to(folder / "few.jsonl", model, [folder / "few"])
    before = used_memory()
    written = predict_to(
        folder / "many.jsonl",
        model,
        [many_names(folder / "many", 20_000)],
        on_progress=lambda done, total: sizes.append(used_memory()),
    )
    return written.num_rows, max(sizes) - before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to measure")
def test_memory_does_not_grow_with_the_number_of_names(tmp_path: Path) -> None:
    with get_context("spawn").Pool(1) as alone:  # what other tests have left running has memory of its own
        rows, grown = alone.apply(growth, (tmp_path,))
    assert rows == 20_000
    assert grown < 2_500_000  # a list of their paths took 8,600,000
