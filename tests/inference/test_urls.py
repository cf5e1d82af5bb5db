"""Images in a storage: found in the order of a folder, tried again when the storage fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from effnet.errors import DataError, EffnetError, MissingExtraError, UsageError
from effnet.inference import urls
from effnet.inference.places import count, listed, place_of
from effnet.inference.scan import images_below
from effnet.inference.urls import Url


@pytest.fixture
def storage() -> Iterator[Any]:
    """Return a storage in memory with two folders."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("b/2.png", "b/1.JPG", "a.png", "b/note.txt", "b/.hidden.png", ".c/3.png", "b/z/4.bmp"):
        system.pipe(f"/photos/{name}", name.encode())
    yield system
    system.store.clear()


def test_images_come_folder_by_folder_in_the_order_of_their_names(storage: Any) -> None:
    names = [str(url) for url in Url("memory://photos").images()]
    assert names == [f"memory:///photos/{name}" for name in ("a.png", "b/1.JPG", "b/2.png", "b/z/4.bmp")]
    assert Url(names[0]).read() == b"a.png"


def test_the_order_is_that_of_a_folder(tmp_path: Path) -> None:
    for name in ("b/2.png", "a.png", "b.png", "b/1.png", "Z/9.png", "a/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(url).removeprefix("file://") for url in Url(f"file://{tmp_path}").images()]
    assert found == [str(path) for path in images_below(tmp_path)]


def test_one_image_is_itself(storage: Any) -> None:
    assert list(listed([place_of("memory://photos/a.png")])) == [Url("memory://photos/a.png")]
    assert count([Url("memory://photos")]) == 4


@pytest.mark.parametrize(
    ("places", "kind", "message"),
    [
        (["memory://nothing"], DataError, "memory://nothing: no such file or folder"),
        (["memory://photos/.c/none"], DataError, "no such file or folder"),
        (["memory://photos", "memory://photos"], UsageError, "is given twice"),
        (["memory://photos", "memory://photos/b"], UsageError, "lies in memory://photos, which is given too"),
        (["nowhere://photos"], UsageError, "nowhere"),
    ],
)
def test_urls_that_cannot_be_meant_are_refused(
    storage: Any, places: list[str], kind: type[EffnetError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        count([place_of(each) for each in places])


def test_an_image_that_is_gone_is_a_data_error(storage: Any) -> None:
    with pytest.raises(DataError, match=r"memory://photos/5\.png: no such file"):
        Url("memory://photos/5.png").read()


def test_a_storage_without_its_library_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match="s3fs"):
        Url("s3://bucket/photos").read()


def test_without_fsspec_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(
        MissingExtraError, match=r"it needs fsspec; install it with: pip install 'effnet\[remote\]'"
    ):
        Url("s3://bucket/photos").read()


class Flaky(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A storage that fails before it answers."""

    protocol = "flaky"
    failures = 0

    def cat_file(self, path: str, start: Any = None, end: Any = None, **more: Any) -> bytes:
        Flaky.failures -= 1
        if Flaky.failures >= 0:
            raise TimeoutError("the storage is slow")
        return b"image"


def test_a_storage_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(urls, "PAUSES", (0.0, 0.0))
    Flaky.failures = 2
    assert Url("flaky://a.png").read() == b"image"
    Flaky.failures = 3
    with pytest.raises(EffnetError, match="the storage fails: the storage is slow; the same command goes on"):
        Url("flaky://a.png").read()
