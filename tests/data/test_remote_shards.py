"""Shards at a URL: brought once, tried again when a store fails, never trusted without their checksums."""

import os
import pickle
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import effnet
from effnet.data.datasets import needs_download, open_dataset
from effnet.data.samples import Samples
from effnet.data.sharded import cache as caches
from effnet.data.sharded import index as indices
from effnet.data.sharded import remote
from effnet.data.sharded.index import INDEX_FILE
from effnet.errors import DataError, MissingExtraError, UsageError
from file_server import Fault, Folder, serve_folder
from shard_sets import change_index, files_in, index_of, write_folder, write_set

FIRST = "all-000000.tar"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set") / "shards", images)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EFFNET_CACHE", str(folder))
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.001)
    return folder / "shards"


@pytest.fixture
def server(whole: Path) -> Iterator[Folder]:
    with serve_folder(Folder(whole)) as served:
        yield served


def part(place: str) -> Samples:
    return open_dataset(place).parts["all"]


def content_of(samples: Samples, row: int) -> bytes:
    read: Any = samples.read
    content: bytes = read.content(samples.names[row])
    return content


def in_shard(samples: Samples, shard: int) -> list[int]:
    assert samples.shards is not None
    return np.flatnonzero(samples.shards == shard).tolist()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, list(path.parent.iterdir())
        time.sleep(0.005)


def place_of(cache: Path, folder: Path, shard: int = 0) -> Path:
    return cache / f"{index_of(folder).entries[shard].tar.sha256}.tar"


def error_of(place: str) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        open_dataset(place)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_set_at_a_url_is_that_in_the_folder(server: Folder, images: Path) -> None:
    dataset, original = open_dataset(server.url), open_dataset(images)
    assert dataset.fingerprint() == original.fingerprint()
    of: Any = dataset.parts["all"]
    assert [content_of(of, row) for row in range(60)] == [(images / n).read_bytes() for n in of.names]


def test_the_url_may_end_in_a_slash_and_asks_for_parts(server: Folder) -> None:
    assert open_dataset(f"{server.url}/").source == open_dataset(server.url).source
    assert needs_download(server.url)


def test_opening_reads_no_shard(server: Folder) -> None:
    open_dataset(server.url)
    assert sorted(name for name, _ in server.asked) == [
        *(f"all-00000{n}.index" for n in range(3)),
        INDEX_FILE,
    ]


def test_tables_are_kept_and_the_index_is_looked_at_again(server: Folder) -> None:
    open_dataset(server.url)
    server.asked.clear()
    open_dataset(server.url)
    assert [name for name, _ in server.asked] == [INDEX_FILE]


def test_one_image_is_asked_for_alone_and_then_the_shard_comes_whole(
    server: Folder, cache: Path, whole: Path
) -> None:
    samples = part(server.url)
    rows = in_shard(samples, 0)
    content_of(samples, rows[0])
    assert not cache.exists()
    content_of(samples, rows[1])
    wait_for(place_of(cache, whole))
    size = (whole / FIRST).stat().st_size
    assert f"bytes=0-{size - 1}" in server.ranges(FIRST)
    server.asked.clear()
    for row in rows:
        content_of(samples, row)
    assert server.asked == []


def test_what_is_here_serves_without_the_store(server: Folder, cache: Path, whole: Path) -> None:
    samples = part(server.url)
    rows = in_shard(samples, 0)
    for row in rows[:2]:
        content_of(samples, row)
    wait_for(place_of(cache, whole))
    server.always[FIRST] = "gone"
    assert all(content_of(samples, row) for row in rows)


def test_a_copy_that_is_damaged_here_is_thrown_away(server: Folder, cache: Path, whole: Path) -> None:
    samples = part(server.url)
    rows = in_shard(samples, 0)
    for row in rows[:2]:
        content_of(samples, row)
    copy = place_of(cache, whole)
    wait_for(copy)
    copy.write_bytes(bytes(copy.stat().st_size))
    again = part(server.url)
    expected = part(str(whole))
    assert content_of(again, rows[0]) == content_of(expected, rows[0])
    assert not copy.exists()


@pytest.mark.parametrize("fault", ["busy", "half", "wrong bytes", "hang"])
def test_a_store_that_fails_a_few_times_is_asked_again(
    server: Folder, whole: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setenv("EFFNET_SHARD_TIMEOUT", "0.2")
    samples = part(server.url)
    server.faults[FIRST] = [fault] * 4
    row = in_shard(samples, 0)[0]
    assert content_of(samples, row) == content_of(part(str(whole)), row)
    assert len(server.ranges(FIRST)) == 5


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("busy", r"cannot be read: the server answers 503 \(3 tries\)"),
        ("half", r"cannot be read: .*\(3 tries\)"),
        ("hang", r"cannot be read: no answer within 0\.2 seconds \(3 tries\)"),
        ("wrong bytes", r"is damaged here: these bytes are not those that were written \(CRC-32\)"),
        ("gone", r"cannot be read: it is not there \(status 404\)"),
        ("forbidden", r"cannot be read: the server does not give it to us \(status 403\)"),
        ("no ranges", r"answers with whole files and not with the parts asked for \(Range\)"),
        ("elsewhere", r"cannot be read: the server leads to .*, which is not https"),
    ],
)
def test_a_store_that_fails_for_good_is_named_with_shard_and_image(
    server: Folder, monkeypatch: pytest.MonkeyPatch, fault: Fault, said: str
) -> None:
    monkeypatch.setenv("EFFNET_SHARD_TIMEOUT", "0.2")
    monkeypatch.setenv("EFFNET_SHARD_TRIES", "3")
    samples = part(server.url)
    server.always[FIRST] = fault
    row = in_shard(samples, 0)[0]
    with pytest.raises(DataError, match=rf"^{samples.names[row]}: shard {server.url}/{FIRST} .*{said}"):
        content_of(samples, row)
    requests = {"gone": 1, "forbidden": 1, "no ranges": 1, "elsewhere": 2}
    assert len(server.ranges(FIRST)) == requests.get(fault, 3)


def test_other_images_of_a_lost_shard_are_not_waited_for(server: Folder) -> None:
    samples = part(server.url)
    server.always[FIRST] = "gone"
    for row in in_shard(samples, 0):
        with pytest.raises(DataError, match="it is not there"):
            content_of(samples, row)
    assert len(server.ranges(FIRST)) <= 2  # one for an image, one for the whole shard
    assert content_of(samples, in_shard(samples, 1)[0])


def test_images_that_are_right_are_had_from_a_shard_that_is_not(
    server: Folder, cache: Path, whole: Path, tmp_path: Path
) -> None:
    for name, content in files_in(whole).items():
        (tmp_path / name).write_bytes(content)
    damaged = bytearray((tmp_path / FIRST).read_bytes())
    damaged[-1] ^= 1  # behind the last image
    (tmp_path / FIRST).write_bytes(damaged)
    server.root = tmp_path
    samples = part(server.url)
    assert all(content_of(samples, row) for row in in_shard(samples, 0))
    assert not place_of(cache, whole).exists()


def test_an_endless_index_is_bounded(server: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effnet.data.sharded.files.MAX_INDEX_BYTES", 100_000)
    monkeypatch.setattr(indices, "MAX_INDEX_BYTES", 100_000)
    server.always[INDEX_FILE] = "endless"
    assert "larger than 100,000 bytes; that is no index of shards" in error_of(server.url)


def test_an_endless_image_is_bounded(server: Folder) -> None:
    samples = part(server.url)
    server.faults[FIRST] = ["endless"]
    assert content_of(samples, in_shard(samples, 0)[0])


def test_a_url_without_an_index_says_what_to_do(server: Folder) -> None:
    server.always[INDEX_FILE] = "gone"
    assert "shards at a URL are read by the index that effnet shard writes" in error_of(server.url)
    assert "give the URL of the folder" in error_of(f"{server.url}/{FIRST}")


def test_an_index_at_a_url_names_files_beside_it_only(server: Folder, whole: Path, tmp_path: Path) -> None:
    for name, content in files_in(whole).items():
        (tmp_path / name).write_bytes(content)
    change_index(tmp_path, lambda data: data["parts"]["all"][0]["tar"].update(file="../../x.tar"))
    server.root = tmp_path
    assert "must be the name of a file beside the index" in error_of(server.url)
    assert [name for name, _ in server.asked] == [INDEX_FILE]


def test_another_index_than_before_is_refused(server: Folder, whole: Path, tmp_path: Path) -> None:
    source = open_dataset(server.url).source
    assert open_dataset(source).source == source
    for name, content in files_in(whole).items():
        (tmp_path / name).write_bytes(content)
    change_index(tmp_path, lambda data: data["made"].update(effnet="9"))
    server.root = tmp_path
    assert "the index is another one than before: revision" in error_of(source)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://192.0.2.1/shards", "it is not https"),
        ("https://me:secret@example.org/shards", "without password"),
        ("https://example.org/shards?token=secret", "without password, \\? or #"),
        ("nonsense://example.org/shards", "no store is called nonsense://"),
    ],
)
def test_a_url_that_is_not_taken(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_dataset(url)
    assert "secret" not in str(caught.value)


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(MissingExtraError, match="s3:// needs a library of its own: Install s3fs"):
        open_dataset("s3://bucket/shards")


@pytest.mark.parametrize("variable", ["EFFNET_SHARD_TRIES", "EFFNET_SHARD_TIMEOUT", "EFFNET_SHARD_CACHE_GB"])
@pytest.mark.parametrize("value", ["many", "-1", "nan"])
def test_a_wrong_setting_is_named(
    server: Folder, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert f"${variable} = {value!r}: must be a number from" in error_of(server.url)


def test_any_store_of_fsspec_is_read(whole: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for name, content in files_in(whole).items():
        memory.pipe_file(f"/bucket/digits/{name}", content)
    dataset = open_dataset("memory://bucket/digits")
    assert dataset.name == "digits"
    assert [content_of(dataset.parts["all"], row) for row in range(60)] == [
        content_of(part(str(whole)), row) for row in range(60)
    ]
    memory.rm("/bucket", recursive=True)
    assert "it is not there" in error_of("memory://bucket/digits")


def test_a_file_url_is_a_folder(whole: Path) -> None:
    assert open_dataset(whole.as_uri()).source == str(whole)


def test_a_reader_can_be_sent_to_another_process(server: Folder) -> None:
    samples = part(server.url)
    again: Any = pickle.loads(pickle.dumps(samples.read))
    assert again.content(samples.names[3]) == content_of(samples, 3)


def read_all(samples: Samples, expected: list[bytes]) -> None:
    """Exit with 1 where an image is another one."""
    os._exit(int([content_of(samples, row) for row in range(60)] != expected))


def test_processes_share_what_they_bring(server: Folder, cache: Path, whole: Path) -> None:
    samples = part(server.url)
    expected = [content_of(part(str(whole)), row) for row in range(60)]
    content_of(samples, 0)  # this process is connected when it forks
    server.delay = 0.002
    workers = [get_context("fork").Process(target=read_all, args=(samples, expected)) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    for shard in range(3):
        name = f"all-00000{shard}.tar"
        size = (whole / name).stat().st_size
        assert server.ranges(name).count(f"bytes=0-{size - 1}") == 1
        assert place_of(cache, whole, shard).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_the_cache_is_never_larger_than_asked(
    server: Folder, cache: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    size = max(entry.tar.bytes for entry in index_of(whole).entries)
    monkeypatch.setenv("EFFNET_SHARD_CACHE_GB", str(kept * size / 1e9))
    monkeypatch.setattr(caches, "IN_USE", -1.0)
    samples = part(server.url)
    store = samples.read.store  # type: ignore[attr-defined]
    for entry in index_of(whole).entries:
        assert store.cache.bring(entry.tar, store.remote) == ("here" if kept else "no room")
    held = sum(path.stat().st_size for path in cache.glob("*.tar")) if kept else 0
    assert held <= kept * size
    assert not kept or place_of(cache, whole, 2).exists()  # the last one that was used


def test_a_shard_in_use_is_not_removed_for_another(
    server: Folder, cache: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = index_of(whole).entries[:2]
    monkeypatch.setenv("EFFNET_SHARD_CACHE_GB", str(first.tar.bytes / 1e9))
    store = part(server.url).read.store  # type: ignore[attr-defined]
    assert store.cache.bring(first.tar, store.remote) == "here"
    assert store.cache.bring(second.tar, store.remote) == "no room"
    os.utime(place_of(cache, whole), (0, 0))
    assert store.cache.bring(second.tar, store.remote) == "here"
    assert not place_of(cache, whole).exists()


def test_what_a_killed_process_left_is_removed(server: Folder, cache: Path, whole: Path) -> None:
    store = part(server.url).read.store  # type: ignore[attr-defined]
    cache.mkdir()
    (cache / f"{'0' * 64}.part").write_bytes(b"left over")
    assert store.cache.bring(index_of(whole).entries[0].tar, store.remote) == "here"
    assert not list(cache.glob("*.part"))


def test_a_cache_that_cannot_be_written_to_is_done_without(server: Folder, cache: Path, images: Path) -> None:
    cache.parent.joinpath("shards").write_text("a file where the folder should be")
    samples = part(server.url)
    assert [content_of(samples, row) for row in range(60)] == [
        (images / name).read_bytes() for name in samples.names
    ]


def test_a_set_at_a_url_is_verified(server: Folder) -> None:
    assert effnet.shard(server.url, verify=True).verified
    server.always[FIRST] = "wrong bytes"
    with pytest.raises(
        DataError, match=rf"1 of 3 shards: shard {server.url}/{FIRST} is damaged: its SHA-256"
    ):
        effnet.shard(server.url, verify=True)
    server.always[FIRST] = "gone"
    with pytest.raises(DataError, match="cannot be read: it is not there"):
        effnet.shard(server.url, verify=True)
