"""Windows of shards: the order of an epoch is a function of (seed, epoch), and keeps few shards near."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from effnet.config import AugmentConfig, DataConfig
from effnet.data.augment import Augment
from effnet.data.datasets import open_dataset
from effnet.data.loaders import TrainLoader
from effnet.data.mixing import Mix
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.randomness import permutation
from effnet.data.storage import open_pixels
from effnet.data.windows import Windows, order_of
from effnet.imaging.preprocess import Preprocess
from shard_sets import write_folder, write_set

SHARDS = st.lists(st.integers(0, 30), min_size=1, max_size=200).map(lambda shards: np.array(shards, np.int64))
SEEDS, EPOCHS, SIZES = st.integers(0, 2**31), st.integers(0, 500), st.integers(1, 40)


def order(seed: int, epoch: int, shards: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return order_of(seed, epoch, len(shards), Windows(shards, size))


@given(SEEDS, EPOCHS, SHARDS, SIZES)
def test_every_image_comes_once(seed: int, epoch: int, shards: NDArray[np.int64], size: int) -> None:
    assert sorted(order(seed, epoch, shards, size)) == list(range(len(shards)))


@given(SEEDS, EPOCHS, SHARDS, SIZES)
def test_no_more_shards_are_open_than_a_window_has(
    seed: int, epoch: int, shards: NDArray[np.int64], size: int
) -> None:
    sequence = shards[order(seed, epoch, shards, size)]
    first = {shard: int(np.argmax(sequence == shard)) for shard in set(sequence.tolist())}
    last = {shard: len(sequence) - 1 - int(np.argmax(sequence[::-1] == shard)) for shard in first}
    assert all(sum(first[s] <= place <= last[s] for s in first) <= size for place in range(len(sequence)))


@given(SEEDS, EPOCHS, SHARDS)
def test_one_window_is_the_order_without_shards(seed: int, epoch: int, shards: NDArray[np.int64]) -> None:
    assert np.array_equal(order(seed, epoch, shards, 31), permutation(seed, epoch, len(shards)))


def test_shards_come_in_another_order_in_each_epoch() -> None:
    shards = np.repeat(np.arange(100), 5)
    sequences = [shards[order(0, epoch, shards, 10)][:50] for epoch in range(2)]
    assert set(sequences[0]) != set(sequences[1])


def test_images_of_a_window_are_mixed() -> None:
    shards = np.repeat(np.arange(20), 100)
    sequence = shards[order(0, 0, shards, 5)][:500]
    assert len(set(sequence[:50])) == 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_folder(tmp_path_factory.mktemp("images"))
    return write_set(tmp_path_factory.mktemp("set") / "shards", root, shard_mb=0.0103)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path_factory.mktemp("cache")))


def loader(folder: Path, config: DataConfig) -> TrainLoader:
    preprocess = Preprocess(8)
    reading = Reading(config, torch.device("cpu"))
    pixels = open_pixels(open_dataset(folder).parts["all"], PixelFormat(preprocess, 8), reading)
    return TrainLoader(pixels, Augment(AugmentConfig(), preprocess), Mix(AugmentConfig(), 10), 7, 3)


@pytest.mark.parametrize("window", [1, 2, 64])
def test_memory_and_a_stream_have_the_same_order(folder: Path, window: int) -> None:
    config = {"window": window, "workers": 0, "max_broken": 0.5}
    stream = loader(folder, DataConfig(storage="stream", **config))  # type: ignore[arg-type]
    memory = loader(folder, DataConfig(storage="memory", **config))  # type: ignore[arg-type]
    for (images, labels), (others, their_labels) in zip(stream.epoch(1), memory.epoch(1), strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)


def test_images_that_cannot_be_read_leave_the_others_in_their_shards(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = sorted(tmp_path.glob("*.tar"))[1]
    content = bytearray(victim.read_bytes())
    content[512] ^= 1  # of the first image in it
    victim.write_bytes(content)
    made = loader(tmp_path, DataConfig(storage="memory", window=1, max_broken=0.5))
    samples = open_dataset(tmp_path).parts["all"]
    assert samples.shards is not None
    assert len(made.pixels) == 59
    shard_of = dict(zip(samples.names, samples.shards, strict=True))
    assert made.pixels.windows is not None
    assert [shard_of[name] for name in made.pixels.names] == made.pixels.windows.shards.tolist()
