"""WebDataset shards: read where they lie, in any order; nothing is extracted, nothing runs."""

import gzip
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from kinds_of_data import digit, label, labelled, png, samples, write_tar
from PIL import Image

from effnet.data.datasets import open_dataset
from effnet.errors import DataError, TooManyPixelsError, UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EFFNET_CACHE", str(folder))
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return a folder with 60 digits in 3 shards."""
    for shard in range(3):
        write_tar(tmp_path / f"digits-{shard:04d}.tar", samples(range(20 * shard, 20 * shard + 20)))
    return tmp_path


def error_of(text: str | Path) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        open_dataset(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_shards_is_a_data_set(shards: Path) -> None:
    dataset = open_dataset(shards)
    assert dataset.class_names == tuple("0123456789")
    expected = {f"digits-{i // 20:04d}.tar/{i:04d}.png": str(label(i)) for i in range(60)}
    assert labelled(dataset, "all") == expected


def test_every_image_is_read_at_its_place_in_any_order(shards: Path) -> None:
    of = open_dataset(shards).parts["all"]
    for row in np.random.default_rng(0).permutation(60):
        assert np.array_equal(np.asarray(of.read(of.names[row]).convert("L")), np.asarray(digit(row)))


def test_a_range_of_shards_may_be_given(shards: Path) -> None:
    dataset = open_dataset(f"{shards}/digits-{{0000..0001}}.tar")
    assert len(dataset.parts["all"]) == 40
    assert open_dataset(dataset.source).fingerprint() == dataset.fingerprint()


def test_a_pattern_of_shards_may_be_given(shards: Path) -> None:
    assert len(open_dataset(f"{shards}/*-000[12].tar").parts["all"]) == 40


def test_shards_are_divided_by_their_names(shards: Path) -> None:
    for number, part in enumerate(("train", "validation", "test")):
        (shards / f"digits-{number:04d}.tar").rename(shards / f"{part}-{number:04d}.tar")
    assert {part: len(of) for part, of in open_dataset(shards).parts.items()} == {
        "train": 20,
        "val": 20,
        "test": 20,
    }


def test_shards_are_divided_by_folders(shards: Path) -> None:
    for number, part in enumerate(("train", "train", "val")):
        (shards / part).mkdir(exist_ok=True)
        (shards / f"digits-{number:04d}.tar").rename(shards / part / f"{number:04d}.tar")
    assert {part: len(of) for part, of in open_dataset(shards).parts.items()} == {"train": 40, "val": 20}


def test_labels_may_stand_in_json_under_a_name(tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for index in range(20):
        text = json.dumps({"label": index, "kind": "even" if index % 2 == 0 else "odd"})
        members |= {
            f"{index}.jpg.png": b"",
            f"{index}.png": png(digit(index)),
            f"{index}.json": text.encode(),
        }
    path = write_tar(tmp_path / "a.tar", members)
    assert open_dataset(f"{path},label=kind").class_names == ("even", "odd")


def test_the_index_is_made_once_for_a_file_and_again_when_it_changes(shards: Path, cache: Path) -> None:
    open_dataset(shards)
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")}
    assert len(made) == 3
    assert len(open_dataset(shards).parts["all"]) == 60
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")} == made
    write_tar(shards / "digits-0002.tar", samples(range(40, 45)))
    assert len(open_dataset(shards).parts["all"]) == 45


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"effnet_index": 1}', b'{"effnet_index": 1, "of": 3}']
)
def test_a_damaged_index_is_made_again(shards: Path, cache: Path, content: bytes) -> None:
    open_dataset(shards)
    for path in cache.rglob("*.json"):
        path.write_bytes(content)
    assert len(open_dataset(shards).parts["all"]) == 60


def test_an_index_that_points_outside_its_file_is_made_again(shards: Path, cache: Path) -> None:
    before = open_dataset(shards).fingerprint()
    for path in cache.rglob("*.json"):
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, "offsets": [10**9] * 20}))
    dataset = open_dataset(shards)
    assert dataset.fingerprint() == before
    assert dataset.parts["all"].read(dataset.parts["all"].names[0]).size == (8, 8)


def test_a_reader_can_be_sent_to_another_process(shards: Path) -> None:
    of = open_dataset(shards).parts["all"]
    read = pickle.loads(pickle.dumps(of.read))
    assert np.array_equal(np.asarray(read(of.names[7])), np.asarray(of.read(of.names[7])))


def test_a_shard_that_changes_meanwhile_is_noticed(shards: Path) -> None:
    of = open_dataset(shards).parts["all"]
    write_tar(shards / "digits-0000.tar", samples(range(5)))
    with pytest.raises(DataError, match=r"0000\.png: .*digits-0000\.tar has changed since the start"):
        of.read(of.names[0])


def test_names_never_become_paths(tmp_path: Path) -> None:
    """Nothing is written beside the shard, whatever members are called, and links are passed over."""
    members = {f"../../evil{i}.png": png(digit(i)) for i in range(20)}
    members |= {f"../../evil{i}.cls": str(i % 2).encode() for i in range(20)}
    path = write_tar(tmp_path / "in" / "a.tar", dict(sorted(members.items())))
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("z.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    dataset = open_dataset(path)
    assert len(dataset.parts["all"]) == 20
    assert "a.tar/../../evil3.png" in dataset.parts["all"].names
    dataset.parts["all"].read("a.tar/../../evil3.png")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar", "in"]


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {**samples(range(20)), "x.png": b"no image", "x.cls": b"3"})
    of = open_dataset(path).parts["all"]
    with pytest.raises(DataError, match=r"^a\.tar/x\.png: not an image"):
        of.read("a.tar/x.png")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.cls": b"1"}, "sample 'a' must have one image, and has none"),
        ({"a.png": b"x", "a.jpg": b"x", "a.cls": b"1"}, "must have one image, and has png, jpg"),
        ({"a.txt": b"1"}, "holds no images"),
        ({"a.png": b"x", "b.png": b"x", "b.cls": b"1"}, "1 of 2 images of the data have no label"),
        ({"a.png": b"x", "a.json": b"{"}, "the label of sample 'a' cannot be read"),
        ({"a.png": b"x", "a.json": b'{"label": [1]}'}, "neither a whole number nor text"),
        ({"a.png": b"x", "a.cls": b"\xff"}, "the label of sample 'a' cannot be read"),
        ({"a.png": b"x", "a.cls": b"1" * (1 << 21)}, "that is no label"),
        ({"a.png": b"x", "b.cls": b"1", "c.png": b"y"}, "sample 'b' must have one image"),
        ({"a.png": b"x", "b.png": b"x", "a.cls": b"1"}, "sample 'a' must have one image, and has none"),
        ({"a\x1b.png": b"x"}, r"'a\x1b.png' is no name"),
        ({"a" * 200 + ".png": b"x"}, "is no name that can be used"),
    ],
)
def test_a_bad_sample_is_named(tmp_path: Path, members: dict[str, bytes], said: str) -> None:
    assert said in error_of(write_tar(tmp_path / "a.tar", members))


def test_a_compressed_shard_says_what_to_do(shards: Path) -> None:
    path = shards / "digits-0000.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "compressed; images are read from any place of it: unpack it with gunzip" in error_of(path)


def test_a_shard_that_is_cut_off_or_none_is_named(shards: Path) -> None:
    path = shards / "digits-0001.tar"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 100])
    assert "digits-0001.tar: not a tar file, or cut off" in error_of(shards)
    path.write_bytes(b"hello")
    assert "digits-0001.tar: not a tar file, or cut off" in error_of(shards)


def test_missing_shards_of_a_range_are_named(shards: Path) -> None:
    message = error_of(f"{shards}/digits-{{0000..0005}}.tar")
    assert "3 of 6 files are missing" in message
    assert "digits-0003.tar" in message


@pytest.mark.parametrize("pattern", ["digits-{5..2}.tar", "digits-{0..99999999}.tar"])
def test_a_range_must_count_up_and_have_an_end(shards: Path, pattern: str) -> None:
    assert "must count up, to at most 100,000 files" in error_of(f"{shards}/{pattern}")


def test_a_pattern_without_files_is_named(tmp_path: Path) -> None:
    assert "no file is called like" in error_of(f"{tmp_path}/*.tar")


def test_a_folder_of_images_stays_one_though_an_archive_lies_in_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "all.tar", samples(range(20)))
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        digit(0).save(tmp_path / name / "0.png")
    assert open_dataset(tmp_path).class_names == ("cat", "dog")


def test_shards_beside_folders_that_are_no_classes_are_pointed_out(shards: Path) -> None:
    (shards / "results").mkdir()
    digit(0).save(shards / "results" / "0.png")
    (shards / "notes").mkdir()
    assert f"if its .tar files are meant: {shards}/*.tar" in error_of(shards)


def test_a_decompression_bomb_in_a_shard_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = png(Image.new("1", (14_000, 14_000)))
    assert len(bomb) < 100_000
    path = write_tar(tmp_path / "a.tar", {**samples(range(20)), "x.png": bomb, "x.cls": b"3"})
    with pytest.raises(TooManyPixelsError, match=r"^a\.tar/x\.png: .*pixels"):
        open_dataset(path).parts["all"].read("a.tar/x.png")


def test_an_image_that_says_it_is_enormous_is_not_read(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effnet.data.packed.MAX_IMAGE_BYTES", 10)
    of = open_dataset(shards).parts["all"]
    with pytest.raises(DataError, match=r"0000\.png: [\d,]+ bytes; at most 10 are read"):
        of.read(of.names[0])
