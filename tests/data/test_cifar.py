"""CIFAR-10 and CIFAR-100 from archives laid out like the official ones."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Served, serve
from small_cifar import CIFAR10, contents_of, pack, pixels_of, small, with_md5, write

import effnet
from effnet.cli.main import main
from effnet.data import download
from effnet.data.cifar import ARCHIVES, Archive, load, read_archive
from effnet.data.datasets import DataSet, needs_download, open_dataset
from effnet.data.download import ignore
from effnet.errors import DataError
from effnet.training.setup import default_recipe

NAMES = ("cifar10", "cifar100")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a test, and a server that nobody can reach."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("EFFNET_CIFAR_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("EFFNET_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "WAITS", (0.0,))
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A mirror with a small CIFAR-10, which the table knows as the right one."""
    packed = pack(contents_of(small("cifar10")))
    monkeypatch.setitem(ARCHIVES, "cifar10", with_md5(small("cifar10"), packed))
    with serve(Served(packed)) as served:
        monkeypatch.setenv("EFFNET_CIFAR_URL", served.url + "/")
        yield served


def opened(name: str, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """Open a small archive that lies in the cache folder already."""
    archive = small(name)
    monkeypatch.setitem(ARCHIVES, name, write(archive.path, pack(contents_of(archive)), archive))
    return open_dataset(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_has_the_official_numbers(name: str) -> None:
    counts = {"train": 0, "test": 0}
    for member in ARCHIVES[name].members:
        counts[member.part] += member.num_images
    assert counts == {"train": 50_000, "test": 10_000}
    assert ARCHIVES[name].record_bytes == {"cifar10": 3073, "cifar100": 3074}[name]


def test_the_official_site_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EFFNET_CIFAR_URL")
    assert [archive.url for archive in ARCHIVES.values()] == [
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    ]


def test_cifar10_has_its_parts_classes_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = opened("cifar10", monkeypatch)
    assert (dataset.name, dataset.source, dataset.recipe) == ("cifar10", "cifar10", None)
    assert dataset.class_names == CIFAR10
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 100, "test": 40}
    assert dataset.parts["train"].names[42] == "train/00042.png"
    assert dataset.parts["test"].names[-1] == "test/00039.png"
    assert dataset.parts["train"].labels.tolist() == list(range(10)) * 10
    assert dataset.parts["train"].labels.dtype == np.int64


def test_cifar100_has_the_fine_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = opened("cifar100", monkeypatch)
    assert len(dataset.class_names) == 100
    assert dataset.class_names[37] == "class_37"
    assert dataset.parts["train"].labels.tolist() == list(range(100)) * 2
    assert dataset.parts["test"].labels.tolist() == list(range(40))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("part", "index"), [("train", 0), ("train", 99), ("test", 39)])
def test_an_image_is_planes_of_red_green_and_blue(
    name: str, part: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = opened(name, monkeypatch).parts[part]
    image = np.asarray(samples.read(samples.names[index]))  # (32, 32, 3)
    planes = np.frombuffer(pixels_of(part, index), np.uint8).reshape(3, 32, 32)
    assert all(np.array_equal(image[:, :, channel], planes[channel]) for channel in range(3))


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_in_memory_has_the_shapes_of_batches(name: str, tmp_path: Path) -> None:
    archive = small(name)
    write(tmp_path / archive.file, pack(contents_of(archive)), archive)
    test = read_archive(tmp_path / archive.file, archive).parts["test"]
    assert (test.pixels.shape, test.pixels.dtype.name) == ((40, 3, 32, 32), "uint8")


def test_small_images_choose_their_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_recipe(opened("cifar10", monkeypatch)) == "small-images"


def test_a_data_set_is_downloaded_once(server: Served, cache: Path) -> None:
    progress: list[int] = []
    assert needs_download("cifar10")
    first = open_dataset("cifar10", on_download=lambda done, total: progress.append(done))
    assert not needs_download("cifar10")
    assert open_dataset("cifar10").fingerprint() == first.fingerprint()
    assert server.num_requests == 1
    assert progress[-1] == len(server.content) == (cache / "cifar-10-binary.tar.gz").stat().st_size


def test_a_damaged_download_is_named_with_its_md5(server: Served, cache: Path) -> None:
    server.content = server.content[:-1] + b"x"
    with pytest.raises(DataError, match=rf"{server.url}/cifar-10-binary\.tar\.gz is damaged .* expected"):
        open_dataset("cifar10")
    assert {path.suffix for path in cache.iterdir()} <= {".lock"}


@pytest.mark.parametrize("name", NAMES)
def test_offline_says_which_file_to_put_where(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    archive = ARCHIVES[name]
    assert line.startswith(f"effnet: cannot download {archive.url}: Connection refused; ")
    assert line.endswith(f"bring the file by hand: put it at {archive.path} (md5 {archive.md5})")


def read_back(archive: Archive, packed: bytes) -> None:
    """Load what has the right MD5 and yet may be wrong inside."""
    load(write(archive.path, packed, archive), ignore)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_off_archive_is_named(share: float) -> None:
    archive = small("cifar10")
    packed = pack(contents_of(archive))
    with pytest.raises(DataError, match=rf"{archive.path} is damaged or cut off: .*; remove it to download"):
        read_back(archive, packed[: int(share * len(packed))])


def test_an_archive_with_flipped_bytes_is_named() -> None:
    archive = small("cifar10")
    packed = bytearray(pack(contents_of(archive)))
    packed[1000:1100] = bytes(100)
    with pytest.raises(DataError, match=rf"{archive.path} is damaged or cut off: CRC check failed"):
        read_back(archive, bytes(packed))


@pytest.mark.parametrize("change", [-1, 1, 3073])
def test_a_member_of_another_size_is_named(change: int) -> None:
    archive = small("cifar10")
    contents = contents_of(archive)
    name = "cifar-10-batches-bin/data_batch_3.bin"
    contents[name] = (contents[name] + bytes(5000))[: 20 * 3073 + change]
    message = rf"{name} in {archive.path} has {20 * 3073 + change:,} bytes instead of 61,460"
    with pytest.raises(DataError, match=message):
        read_back(archive, pack(contents))


def test_a_missing_member_is_named() -> None:
    archive = small("cifar100")
    contents = contents_of(archive)
    del contents["cifar-100-binary/test.bin"]
    with pytest.raises(
        DataError, match=rf"{archive.path} lacks cifar-100-binary/test\.bin; is it the binary"
    ):
        read_back(archive, pack(contents))


def test_a_label_without_a_class_is_named() -> None:
    archive = small("cifar10")
    contents = contents_of(archive)
    contents[archive.class_names] = "\n".join(CIFAR10[:9]).encode()
    with pytest.raises(DataError, match="the train images have a label 9, but there are 9 classes"):
        read_back(archive, pack(contents))


@pytest.mark.parametrize(
    ("names", "message"),
    [(b"", "is no list"), (b"cat\ncat\n", "is no list"), (b"x\n" * 40_000, "has 80,000 bytes")],
)
def test_class_names_that_are_none_are_refused(names: bytes, message: str) -> None:
    archive = small("cifar10")
    contents = {**contents_of(archive), archive.class_names: names}
    with pytest.raises(DataError, match=rf"{archive.class_names} in {archive.path} {message}"):
        read_back(archive, pack(contents))


def test_help_and_wrong_flags_come_before_the_download(server: Served) -> None:
    with pytest.raises(SystemExit):
        main(["train", "cifar10", "--help"])
    assert main(["train", "cifar10", "--epochs", "0"]) == 2
    assert server.num_requests == 0


def test_train_and_evaluate_by_name(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("--phi", "-8", "--epochs", "1", "--batch-size", "30")
    assert main(["train", "cifar10", "--out", str(tmp_path / "run"), *settings, "--json"]) == 0
    assert effnet.load(tmp_path / "run" / "model.safetensors").header.class_names == CIFAR10
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run" / "model.safetensors"), "cifar10", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["split"], result["num_images"]) == ("test", 40)
    assert server.num_requests == 1


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cifar10").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not needs_download("cifar10")
    with pytest.raises(DataError, match="cifar10 has no folders in it"):
        open_dataset("cifar10")
