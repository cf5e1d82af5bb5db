"""Pictures that look alike are found, whatever the data set, and others are not."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from planted import noise, planted, still, surveyed, uniform

from effnet.doctor import alike

Change = Callable[[Image.Image], Image.Image]


def jpeg(picture: Image.Image) -> Image.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=60)
    return Image.open(file)


def grainy(picture: Image.Image) -> Image.Image:
    grain = np.random.default_rng(0).integers(-8, 9, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


CHANGES: dict[str, Change] = {
    "another encoding": jpeg,
    "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "twice the size": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
    "grey": lambda picture: picture.convert("L"),
    "noise": grainy,
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
}


@given(st.integers(0, 2**32), st.integers(0, alike.MAX_BITS + 3))
def test_pairs_whose_hashes_differ_in_few_bits_are_candidates(seed: int, num_bits: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = uniform(rng, 40)
    flips = sum(1 << int(bit) for bit in rng.permutation(64)[:num_bits])
    hashes[7] = hashes[30] ^ np.uint64(flips)
    found = {
        frozenset(pair)
        for first, second in alike.candidates(hashes, still)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    }
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    rows, columns = np.nonzero(np.triu(distances <= alike.MAX_BITS, 1))
    assert found == {frozenset(pair) for pair in zip(rows.tolist(), columns.tolist(), strict=True)}


def test_a_bucket_larger_than_a_block_gives_each_pair_once() -> None:
    hashes = np.zeros(3 * alike.BLOCK // 2, np.uint64)
    pairs = [
        (int(a), int(b))
        for first, second in alike.within(hashes, np.arange(len(hashes)))
        for a, b in zip(first, second, strict=True)
    ]
    assert len(pairs) == len(set(pairs)) == len(hashes) * (len(hashes) - 1) // 2


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found_among_pictures(change: Change) -> None:
    pictures = {f"all/a/{number}.png": noise(number) for number in range(60)}
    pictures["all/a/copy.png"] = change(pictures["all/a/17.png"])
    found = surveyed(pictures)
    groups = alike.find_alike(found.hashes, found.thumbs, still)
    assert groups[17] == groups[60]
    assert len(set(groups.tolist())) == 60


def test_a_mirrored_copy_is_another_picture() -> None:
    found = surveyed(
        {"all/a/0.png": noise(0), "all/a/1.png": ImageOps.mirror(noise(0)), "all/b/2.png": noise(2)}
    )
    assert len(set(alike.find_alike(found.hashes, found.thumbs, still).tolist())) == 3


def test_copies_are_found_where_every_picture_has_one() -> None:
    pictures = {f"all/a/{number}.png": noise(number) for number in range(40)}
    pictures |= {f"all/b/{number}.png": jpeg(noise(number)) for number in range(40)}
    found = surveyed(pictures)
    groups = alike.find_alike(found.hashes, found.thumbs, still)
    assert (groups[:40] == groups[40:]).all()
    assert len(set(groups.tolist())) == 40


def test_copies_of_copies_are_one_group() -> None:
    groups = alike.joined(np.arange(5), (np.array([0, 1]), np.array([1, 4])))
    assert groups[0] == groups[1] == groups[4]
    assert len(set(groups.tolist())) == 3


def test_digits_that_are_no_copies_are_hardly_ever_taken_for_them() -> None:
    dataset = planted(num_images=1797, num_swapped=0).dataset
    found = surveyed(
        {f"all/{name}/0": dataset.parts["all"].read(name) for name in dataset.parts["all"].names}
    )
    groups = alike.find_alike(found.hashes, found.thumbs, still)
    assert len(found) - len(set(groups.tolist())) <= 1  # two ones that a person would call the same


def test_pictures_of_one_colour_are_like_nothing() -> None:
    colours = ("black", "white", "grey", "#808081")
    found = surveyed({f"all/a/{name}.png": Image.new("RGB", (20, 20), name) for name in colours})
    assert len(set(alike.find_alike(found.hashes, found.thumbs, still).tolist())) == 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_pictures_are_enough(count: int) -> None:
    found = surveyed({f"all/a/{number}.png": noise(number) for number in range(count)})
    assert len(set(alike.find_alike(found.hashes, found.thumbs, still).tolist())) == count
