"""A stream gives the batches that images in memory give, bit for bit, however many workers decode them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from effnet.config import AugmentConfig, DataConfig
from effnet.data.augment import Augment
from effnet.data.datasets import Samples, open_dataset
from effnet.data.loaders import BalancedLoader, Batch, EvalLoader, TrainLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, PixelSource, Reading, read_pixels
from effnet.data.stream import Stream, even_parts, released
from effnet.errors import DataError
from effnet.imaging.preprocess import Preprocess

CPU = torch.device("cpu")
PREPROCESS = Preprocess(8, 0.8)
FORM = PixelFormat(PREPROCESS, 10)
EVERYTHING = AugmentConfig(
    crop_padding=2, resized_crop=0.5, policy="trivial", erasing=0.5, mixup=0.4, cutmix=1.0
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set of noise images of several sizes: 20 of class a, then 10 of class b."""
    for index in range(30):
        path = tmp_path / "aab"[index // 10] / f"{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        shape = (14, 11 + index % 5, 3)
        Image.fromarray(np.random.default_rng(index).integers(0, 256, shape, np.uint8)).save(path)
    return tmp_path


def samples_of(folder: Path) -> Samples:
    return open_dataset(folder).parts["all"]


def stream(
    samples: Samples, workers: int = 0, *, max_broken: float = 0.0, said: list[str] | None = None
) -> Stream:
    config = DataConfig(workers=workers, max_broken=max_broken)
    say = (lambda text: None) if said is None else said.append
    return Stream(samples, FORM, Reading(config, CPU, say=say))


def resident(samples: Samples) -> PixelSource:
    return read_pixels(samples, FORM, max_broken=0.0)


def loader(pixels: PixelSource, kind: type[TrainLoader] = TrainLoader) -> TrainLoader:
    return kind(pixels, Augment(EVERYTHING, PREPROCESS), Mix(EVERYTHING, 2), 4, 5)


def assert_same(some: Iterator[Batch], others: Iterator[Batch]) -> None:
    for (images, labels), (same, alike) in zip(some, others, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(labels, alike)


@pytest.mark.parametrize("workers", [0, 2])
def test_drafts_lie_channels_last_and_have_the_bits_of_memory(folder: Path, workers: int) -> None:
    samples, form = samples_of(folder), PixelFormat(PREPROCESS, 10, draft=True)
    drafts = Stream(samples, form, Reading(DataConfig(workers=workers), CPU))
    with released(drafts):
        (images, _), *_ = drafts.batches([np.arange(12)])
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, read_pixels(samples, form, max_broken=0.0).images[:12])


@pytest.mark.parametrize(
    ("count", "most", "sizes"), [(32, 21, [16, 16]), (32, 32, [32]), (7, 3, [3, 2, 2]), (0, 3, [])]
)
def test_no_worker_always_has_the_larger_tasks(count: int, most: int, sizes: list[int]) -> None:
    parts = even_parts(np.arange(count), most)
    assert [len(part) for part in parts] == sizes
    assert [row for part in parts for row in part] == list(range(count))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("kind", [TrainLoader, BalancedLoader])
def test_batches_are_those_of_images_in_memory(folder: Path, workers: int, kind: type[TrainLoader]) -> None:
    kept = loader(resident(samples_of(folder)), kind)
    streamed = loader(stream(samples_of(folder), workers), kind)
    with released(streamed.pixels):
        for epoch, start in ((0, 0), (1, 0), (1, 3), (0, 6), (2, 7)):
            assert_same(streamed.epoch(epoch, start=start), kept.epoch(epoch, start=start))
    assert streamed.num_steps == kept.num_steps
    assert torch.equal(streamed.class_weights(), kept.class_weights())


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_is_that_of_images_in_memory(folder: Path, workers: int) -> None:
    streamed = stream(samples_of(folder), workers)
    with released(streamed):
        for _ in range(2):
            kept = EvalLoader(resident(samples_of(folder)), PREPROCESS, 8)
            assert_same(iter(EvalLoader(streamed, PREPROCESS, 8)), iter(kept))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_of_large_images_is_put_together_in_order(folder: Path, workers: int) -> None:
    """Images of 2.4 MB are decoded one at a time, so that what is under way stays small."""
    form = PixelFormat(Preprocess(900), 900)
    samples = samples_of(folder).take(np.arange(17, 23))  # three of each class
    rows = [np.array([3, 0, 5, 3]), np.array([1])]
    streamed = Stream(samples, form, Reading(DataConfig(workers=workers), CPU))
    with released(streamed):
        assert_same(streamed.batches(rows), read_pixels(samples, form, max_broken=0.0).batches(rows))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_given_up_leaves_nothing_behind(folder: Path, workers: int) -> None:
    kept, streamed = (
        loader(pixels) for pixels in (resident(samples_of(folder)), stream(samples_of(folder), workers))
    )
    with released(streamed.pixels):
        next(streamed.epoch(0))
        assert_same(streamed.epoch(1), kept.epoch(1))


def test_two_passes_at_once_are_refused(folder: Path) -> None:
    streamed = stream(samples_of(folder))
    first, second = streamed.once(4), streamed.once(4)
    next(first)
    next(second)
    with pytest.raises(RuntimeError, match="cannot go on after another one has begun"):
        next(first)


def test_the_global_generator_is_not_touched(folder: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(loader(stream(samples_of(folder))).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def damage(folder: Path, *names: str) -> Samples:
    samples = samples_of(folder)
    for name in names:
        (folder / name).write_text("not an image")
    return samples


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("broken", "stand_ins"),
    [
        (("a/04.png",), {"a/04.png": "a/05.png"}),
        (("a/04.png", "a/05.png"), {"a/04.png": "a/06.png", "a/05.png": "a/06.png"}),
        (("a/19.png",), {"a/19.png": "b/20.png"}),
        (("b/29.png", "a/00.png"), {"b/29.png": "a/01.png", "a/00.png": "a/01.png"}),
    ],
)
def test_the_next_readable_image_stands_in_with_its_own_label(
    folder: Path, workers: int, broken: tuple[str, ...], stand_ins: dict[str, str]
) -> None:
    whole = samples_of(folder)
    places = {name: row for row, name in enumerate(whole.names)}
    taken = [places[stand_ins.get(name, name)] for name in whole.names]
    kept = resident(whole)
    order = [np.arange(30)[::-1].copy()[start : start + 4] for start in range(0, 30, 4)]
    expected = [np.array(taken)[rows] for rows in order]
    said: list[str] = []
    streamed = stream(damage(folder, *broken), workers, max_broken=0.1, said=said)
    with released(streamed):
        for _ in range(2):
            assert_same(streamed.batches(order), kept.batches(expected))
    reason = "not an image in a format that Pillow reads"
    assert sorted(said) == sorted(f"skipped: {folder / name}: {reason}" for name in broken)
    assert set(streamed.names) == set(whole.names) - set(broken)


@pytest.mark.parametrize("workers", [0, 2])
def test_grey_images_are_streamed_too(folder: Path, workers: int) -> None:
    form = PixelFormat(Preprocess(8, mean=(0.5,), std=(0.5,)), 8)
    samples = samples_of(folder)
    kept = read_pixels(samples, form, max_broken=0.0)
    streamed = Stream(
        damage(folder, "a/04.png"), form, Reading(DataConfig(workers=workers, max_broken=0.1), CPU)
    )
    with released(streamed):
        assert_same(streamed.batches([np.array([3, 4])]), kept.batches([np.array([3, 5])]))


def test_an_epoch_with_broken_images_resumes_exactly(folder: Path) -> None:
    samples = damage(folder, "a/04.png", "a/05.png", "b/29.png")
    for kind in (TrainLoader, BalancedLoader):
        used = loader(stream(samples, max_broken=0.1), kind)
        list(used.epoch(0))
        whole = list(used.epoch(1))
        for start in (1, 4):
            fresh = loader(stream(samples, max_broken=0.1), kind)
            assert_same(fresh.epoch(1, start=start), iter(whole[start:]))


def test_an_image_that_vanishes_during_training_does_not_end_it(folder: Path) -> None:
    said: list[str] = []
    streamed = loader(stream(samples_of(folder), max_broken=0.05, said=said))
    assert len(list(streamed.epoch(0))) == 7
    (folder / "a" / "07.png").unlink()
    assert sum(len(list(streamed.epoch(epoch))) for epoch in (1, 2, 3)) == 21
    assert said == [f"skipped: {folder / 'a' / '07.png'}: no such file"]


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_broken_images_end_a_pass_by_name(folder: Path, workers: int) -> None:
    streamed = stream(damage(folder, "a/04.png", "b/21.png", "b/25.png"), workers, max_broken=0.07)
    with (
        released(streamed),
        pytest.raises(DataError, match=r"^3 of 30 images cannot .* 7\.0% .*a/04\.png: not.*b/25\.png"),
    ):
        list(streamed.batches([np.arange(30)]))


def test_a_data_set_without_a_readable_image_ends_in_order(folder: Path) -> None:
    streamed = stream(damage(folder, *samples_of(folder).names), max_broken=1.0)
    with pytest.raises(DataError, match=r"^30 of 30 images cannot be read"):
        list(streamed.batches([np.arange(30)]))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_leaves_broken_images_out(folder: Path, workers: int) -> None:
    broken = ("a/08.png", "a/09.png", "a/10.png", "a/11.png", "b/20.png")  # a whole batch, and one more
    kept = resident(samples_of(folder))
    streamed = stream(damage(folder, *broken), workers, max_broken=0.2)
    with released(streamed):
        batches = list(streamed.once(4))
    assert [len(batch) for _, batch in batches] == [4, 4, 4, 4, 3, 4, 2]
    good = np.array([row for row, name in enumerate(kept.names) if name not in broken])
    ((images, labels),) = kept.batches([good])
    assert torch.equal(torch.cat([batch for batch, _ in batches]), images)
    assert torch.equal(torch.cat([batch for _, batch in batches]), labels)
    assert streamed.names == tuple(kept.names[row] for row in good)
    assert [problem.split(": ")[0] for problem in streamed.broken] == [str(folder / name) for name in broken]


def test_progress_of_an_evaluation_is_told_to_its_end(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    reading = Reading(DataConfig(workers=0), CPU, on_read=lambda *count: told.append(count))
    streamed = Stream(samples_of(folder), FORM, reading)
    list(streamed.once(8))
    assert told == [(7, 30), (15, 30), (23, 30), (29, 30), (30, 30)]
    next(streamed.once(8))
    assert told[5:] == [(7, 30), (30, 30)]
