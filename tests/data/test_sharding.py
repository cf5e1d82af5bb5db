"""Shards that effnet writes: the images' bytes, an index, and the same files however often it was stopped."""

import subprocess
import sys
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinds_of_data import labelled, write_csv
from PIL import Image

import effnet
from effnet.data.datasets import open_dataset
from effnet.data.reporter import Quiet
from effnet.data.sharded.index import INDEX_FILE
from effnet.errors import DataError, EffnetError, UsageError
from full_disk import small_files_only
from image_files import IMAGES, encoded, scene
from shard_sets import SHARD_MB, files_in, index_of, write_folder, write_set


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EFFNET_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set") / "shards", images)


def same(image: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(image.convert("L")), np.asarray(other.convert("L")))


def test_a_set_of_shards_is_the_data_set_that_it_was_made_from(images: Path, whole: Path) -> None:
    made, original = open_dataset(whole), open_dataset(images)
    assert made.fingerprint() == original.fingerprint()
    assert labelled(made, "all") == labelled(original, "all")


def test_the_bytes_of_files_are_copied(images: Path, whole: Path) -> None:
    of: Any = open_dataset(whole).parts["all"]
    assert {name: of.read.content(name) for name in of.names} == {
        name: (images / name).read_bytes() for name in of.names
    }


def test_an_image_keeps_its_format_whatever_it_is_called(tmp_path: Path) -> None:
    for number, content in enumerate(IMAGES.values()):
        place = tmp_path / "images" / "ab"[number % 2] / f"{number:02d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    write_set(tmp_path / "shards", tmp_path / "images", shard_mb=100)
    of: Any = open_dataset(tmp_path / "shards").parts["all"]
    assert sorted(of.read.content(name) for name in of.names) == sorted(IMAGES.values())
    with tarfile.open(tmp_path / "shards" / "all-000000.tar") as tar:
        suffixes = {Path(name).suffix for name in tar.getnames()}
    assert suffixes == {".cls", ".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"}


def test_a_shard_ends_before_it_would_be_larger_than_asked(whole: Path) -> None:
    sizes = [entry.tar.bytes for entry in index_of(whole).entries]
    assert len(sizes) == 3
    assert SHARD_MB * 1e6 - tarfile.RECORDSIZE < max(sizes) <= SHARD_MB * 1e6


def test_every_shard_is_a_sample_of_all_classes(whole: Path) -> None:
    of = open_dataset(whole).parts["all"]
    assert of.shards is not None
    assert all(len(set(of.labels[of.shards == shard])) > 5 for shard in range(3))


def test_plain_tar_lists_images_beside_their_classes(whole: Path) -> None:
    command = ["tar", "tvf", str(whole / "all-000000.tar"), "--utc"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2 * index_of(whole).entries[0].images
    assert all(line.startswith("-rw-r--r-- 0/0") and "1970-01-01 00:00" in line for line in lines)


def test_the_shards_are_read_by_hugging_faces_library(images: Path, whole: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = [str(whole / entry.tar.file) for entry in index_of(whole).entries]
    rows = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path))
    ours = open_dataset(whole).parts["all"]
    by_key = {f"{place:09d}": place for place in range(len(ours))}
    assert len(rows) == 60
    for row in rows:
        place = by_key[row["__key__"]]
        assert row["cls"] == ours.labels[place]
        assert same(row["png"], ours.read(ours.names[place]))


def test_the_shards_alone_are_webdataset_without_our_index(whole: Path) -> None:
    foreign = open_dataset(f"{whole}/*.tar")
    assert len(foreign.parts["all"]) == 60
    assert sorted(foreign.parts["all"].labels) == sorted(open_dataset(whole).parts["all"].labels)


def test_the_same_images_give_the_same_files(images: Path, whole: Path, tmp_path: Path) -> None:
    assert files_in(write_set(tmp_path / "again", images, workers=3)) == files_in(whole)


class Stopping(Quiet):
    """Stops after some images, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def working(self, what: str, done: int, total: int) -> None:
        if what == "sharding" and done >= self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 25, 45, 60])
def test_what_was_interrupted_goes_on_to_the_same_files(
    images: Path, whole: Path, tmp_path: Path, after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        effnet.shard(images, tmp_path, shard_mb=SHARD_MB, workers=1, reporter=Stopping(after))
    assert not (tmp_path / INDEX_FILE).exists()
    assert not list(tmp_path.glob("*.part"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}
    assert files_in(write_set(tmp_path, images)) == files_in(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # whole shards are not written again


def test_a_killed_process_leaves_what_the_next_one_goes_on_with(
    images: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shards"
    code = (
        "import os, signal, sys, effnet\n"
        "from effnet.data.reporter import Quiet\n"
        "class Killing(Quiet):\n"
        "    def working(self, what, done, total):\n"
        "        if done == 40: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"effnet.shard(sys.argv[1], sys.argv[2], shard_mb={SHARD_MB}, reporter=Killing())\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(images), str(out)], check=False)
    assert killed.returncode == -9
    assert list(out.glob(".*.part"))
    assert files_in(write_set(out, images)) == files_in(whole)
    assert not list(out.glob(".*.part"))


@pytest.mark.parametrize("victim", ["all-000001.tar", "all-000001.index"])
def test_a_shard_that_is_cut_off_is_written_again(
    images: Path, whole: Path, tmp_path: Path, victim: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        effnet.shard(images, tmp_path, shard_mb=SHARD_MB, workers=1, reporter=Stopping(58))
    (tmp_path / victim).write_bytes((tmp_path / victim).read_bytes()[:100])
    assert files_in(write_set(tmp_path, images)) == files_in(whole)


def test_a_whole_set_is_not_written_again(images: Path, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("all-*")}
    result = effnet.shard(images, whole, shard_mb=SHARD_MB)
    assert result.index.num_images == 60
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_set_is_not_replaced_unasked(images: Path, whole: Path, tmp_path: Path) -> None:
    write_set(tmp_path, images, shard_mb=10)
    with pytest.raises(UsageError, match=r"holds another set .*shard_mb 10\.0, not 0\.0513.*--overwrite"):
        write_set(tmp_path, images)
    write_set(tmp_path, images, overwrite=True)
    assert files_in(tmp_path) == files_in(whole)


def test_an_unfinished_set_is_not_continued_with_other_settings(images: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        effnet.shard(images, tmp_path, shard_mb=SHARD_MB, reporter=Stopping(40))
    with pytest.raises(UsageError, match=r"unfinished set .*resize None, not 100"):
        write_set(tmp_path, images, resize=100)
    (tmp_path / "unfinished.json").write_text("{")
    with pytest.raises(UsageError, match="its plan is damaged"):
        write_set(tmp_path, images)
    (tmp_path / "unfinished.json").unlink()
    with pytest.raises(UsageError, match="shards of unknown origin"):
        write_set(tmp_path, images)


def test_other_files_in_the_folder_stay(images: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    write_set(tmp_path, images)
    write_set(tmp_path, images, shard_mb=10, overwrite=True)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert len(list(tmp_path.glob("*.tar"))) == 1


def test_two_processes_do_not_write_to_one_folder(images: Path, tmp_path: Path) -> None:
    class Meanwhile(Quiet):
        def working(self, what: str, done: int, total: int) -> None:
            write_set(tmp_path, images)

    with pytest.raises(EffnetError, match="another effnet shard writes to"):
        effnet.shard(images, tmp_path, shard_mb=SHARD_MB, reporter=Meanwhile())


def test_parts_stay_parts(tmp_path: Path) -> None:
    write_folder(write_folder(tmp_path / "images", 40, "train"), 20, "val")
    made = open_dataset(write_set(tmp_path / "shards", tmp_path / "images"))
    assert made.fingerprint() == open_dataset(tmp_path / "images").fingerprint()
    assert {part: len(of) for part, of in made.parts.items()} == {"train": 40, "val": 20}
    assert {part: len(of) for part, of in open_dataset(f"{tmp_path}/shards,val=none").parts.items()} == {
        "all": 40
    }


def test_a_csv_file_becomes_shards(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(20)]
    csv = write_csv(
        tmp_path / "a.csv", ["path,label", *(f"{n},{'xy'[i % 2]}" for i, n in enumerate(names))], names
    )
    made = open_dataset(write_set(tmp_path / "shards", csv))
    assert made.fingerprint() == open_dataset(csv).fingerprint()


def test_images_that_are_no_files_are_stored_without_loss(tmp_path: Path) -> None:
    effnet.shard("digits", tmp_path)
    made, original = open_dataset(tmp_path).parts["all"], open_dataset("digits").parts["all"]
    assert made.names == original.names
    for name in original.names[:50]:
        assert same(made.read(name), original.read(name))


def test_large_photos_are_made_smaller_and_small_ones_left_alone(tmp_path: Path) -> None:
    photos = {"large": (400, 300), "small": (90, 70), "tall": (100, 333)}
    for number, (name, size) in enumerate(photos.items()):
        for place in (tmp_path / "images" / "ab"[number % 2] / f"{name}.jpg",):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encoded(scene(*size), "JPEG", quality=95))
    write_set(tmp_path / "shards", tmp_path / "images", resize=100)
    of: Any = open_dataset(tmp_path / "shards").parts["all"]
    sizes = {Path(name).stem: of.read(name).size for name in of.names}
    assert sizes == {"large": (133, 100), "small": (90, 70), "tall": (100, 333)}
    unchanged = next(name for name in of.names if "small" in name)
    assert of.read.content(unchanged) == (tmp_path / "images" / unchanged).read_bytes()
    large = next(name for name in of.names if "large" in name)
    wanted = scene(400, 300).resize((133, 100), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(of.read(large), float) - np.asarray(wanted, float)).mean() < 8


class Listening(Quiet):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_unreadable_images_are_named_and_left_out(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images")
    victims = sorted(root.rglob("*.png"))[5::30]
    for victim in victims:
        victim.write_bytes(b"no image")
    listener = Listening()
    result = effnet.shard(root, tmp_path / "shards", max_broken=0.1, workers=1, reporter=listener)
    assert result.index.num_images == 58
    assert sorted(result.index.skipped) == [
        f"{victim.relative_to(root)}: not an image in a format that Pillow reads" for victim in victims
    ]
    assert sorted(listener.messages) == [f"skipped: {problem}" for problem in sorted(result.index.skipped)]
    left = {str(path.relative_to(root)) for path in root.rglob("*.png") if path not in victims}
    assert set(open_dataset(tmp_path / "shards").parts["all"].names) == left


def test_too_many_unreadable_images_are_an_error(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images")
    for victim in sorted(root.rglob("*.png"))[::6]:
        victim.write_bytes(b"")
    with pytest.raises(DataError, match=r"images cannot be read, more than the 1\.0% .*empty file"):
        write_set(tmp_path / "shards", root)


def test_names_that_cannot_be_printed_are_escaped(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images")
    victim = sorted(root.rglob("*.png"))[0]
    victim.rename(victim.with_name("a\x1b[2Jb\n.png"))
    of = open_dataset(write_set(tmp_path / "shards", root)).parts["all"]
    assert f"{victim.parent.name}/a\\x1b[2Jb\\n.png" in of.names
    assert all(name.isprintable() for name in of.names)


def test_a_name_that_is_too_long_is_passed_over(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images")
    victim = sorted(root.rglob("*.png"))[0]
    deep = victim.parent.joinpath(*["x" * 200] * 6)
    deep.mkdir(parents=True)
    victim.rename(deep / "a.png")
    result = effnet.shard(root, tmp_path / "shards")
    assert [problem.rpartition(": ")[2] for problem in result.index.skipped] == [
        "its name has more than 1,024 bytes"
    ]


def test_shards_do_not_go_into_their_own_data(images: Path) -> None:
    with pytest.raises(UsageError, match="lies inside the data"):
        write_set(images / "shards", images)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"resize": 4}, "resize = 4: input should be greater than or equal to 8"),
        ({"shard_mb": 0.0}, r"shard_mb = 0\.0"),
        ({"quality": 100}, "quality = 100"),
        ({"workers": 0}, "workers = 0"),
        ({"size": 1}, "size"),
    ],
)
def test_a_wrong_setting_is_named(images: Path, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        write_set(tmp_path, images, **settings)


def test_a_full_disk_is_an_error_and_what_is_whole_stays(images: Path, whole: Path, tmp_path: Path) -> None:
    class Filling(Quiet):
        def working(self, what: str, done: int, total: int) -> None:
            if done == 30:
                stack.enter_context(small_files_only())

    with ExitStack() as stack, pytest.raises(EffnetError, match=r"cannot write .*are whole are kept"):
        effnet.shard(images, tmp_path, shard_mb=SHARD_MB, workers=1, reporter=Filling())
    assert sorted(path.name for path in tmp_path.glob("*.tar")) == ["all-000000.tar"]
    assert not list(tmp_path.glob(".*.part"))
    assert files_in(write_set(tmp_path, images)) == files_in(whole)


def test_verification_names_what_is_damaged(images: Path, tmp_path: Path) -> None:
    write_set(tmp_path, images)
    assert effnet.shard(tmp_path, verify=True).verified
    victim = tmp_path / "all-000001.tar"
    content = bytearray(victim.read_bytes())
    content[600] ^= 1
    victim.write_bytes(content)
    (tmp_path / "all-000002.tar").unlink()
    with pytest.raises(DataError) as caught:
        effnet.shard(tmp_path, verify=True)
    assert "2 of 3 shards" in str(caught.value)
    assert f"shard {victim} is damaged: its SHA-256 is another one" in str(caught.value)
    assert "all-000002.tar is missing" in str(caught.value)


def test_without_a_folder_a_set_can_only_be_verified(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--out DIR is missing"):
        effnet.shard(images)
    with pytest.raises(UsageError, match=r"no set of shards: there is no index\.json"):
        effnet.shard(images, verify=True)
