"""What an index of shards may say: nothing outside its folder is ever read or written, whatever it says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effnet.data.datasets import open_dataset
from effnet.data.sharded import index as indices
from effnet.data.sharded.index import INDEX_FILE, parse_index
from effnet.data.sharded.table import CRC32, LABEL, LENGTH, OFFSET, PLACE, Table, from_bytes, to_bytes
from effnet.errors import DataError
from shard_sets import (
    change_index,
    change_table,
    first_entry,
    index_of,
    with_row,
    write_folder,
    write_set,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture
def shards(images: Path, tmp_path: Path) -> Path:
    return write_set(tmp_path / "shards", images)


def error_of(place: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(place)
    assert str(caught.value).isprintable()
    return str(caught.value)


PATHS = [
    "../secret.tar", "../../x.tar", "/etc/passwd", "a/b.tar", "a\\b.tar", "..", ".hidden", "", "c:x", "s3://b/c",
    "a\x1b[2J.tar", "a\nb.tar", "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("kind", ["tar", "table"])
@pytest.mark.parametrize("name", PATHS)
def test_an_index_names_files_beside_it_only(shards: Path, kind: str, name: str) -> None:
    change_index(shards, lambda data: first_entry(data)[kind].update(file=name))
    assert "must be the name of a file beside the index" in error_of(shards)


@pytest.mark.parametrize("kind", ["tar", "table"])
def test_a_link_out_of_the_folder_is_not_followed(shards: Path, tmp_path: Path, kind: str) -> None:
    victim = shards / getattr(index_of(shards).entries[0], kind).file
    victim.rename(tmp_path / "outside")
    victim.symlink_to(tmp_path / "outside")
    assert "is a link that leads out of the folder; it is not read" in error_of(shards)


def test_the_folder_itself_may_be_a_link(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shards)
    assert len(open_dataset(tmp_path / "link").parts["all"]) == 60


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (OFFSET, -1), (OFFSET, HUGE), (OFFSET, np.iinfo(np.int64).max), (LENGTH, -5), (LENGTH, 60_000),
        (LENGTH, np.iinfo(np.int64).max), (LABEL, -1), (LABEL, 10), (PLACE, -1), (CRC32, -1),
        (CRC32, 1 << 32),
    ],
)  # fmt: skip
def test_a_table_stays_within_its_shard(shards: Path, column: int, value: int) -> None:
    change_table(shards, lambda table: with_row(table, column, value))
    assert " cannot be: offset " in error_of(shards)


@pytest.mark.parametrize("name", ["", "a\x1b[31mb.png", "a\nb.png", "x" * 5000])
def test_a_name_of_an_image_can_be_printed(shards: Path, name: str) -> None:
    def rename(table: Table) -> Table:
        return Table((name, *table.names[1:]), table.rows, table.skipped, table.stop, table.tar)

    change_table(shards, rename)
    assert "is no name of an image" in error_of(shards)


def test_a_name_is_never_a_path(shards: Path, tmp_path: Path) -> None:
    def rename(table: Table) -> Table:
        return Table(("../../../etc/passwd", *table.names[1:]), table.rows, (), table.stop, table.tar)

    (before,) = (open_dataset(shards).parts["all"],)
    first = from_bytes((shards / "all-000000.index").read_bytes(), "table").names[0]
    content: Any = before.read
    change_table(shards, rename)
    after: Any = open_dataset(shards).parts["all"].read
    assert after.content("../../../etc/passwd") == content.content(first)


def test_an_image_may_not_be_listed_twice(shards: Path) -> None:
    def double(table: Table) -> Table:
        return Table((table.names[1], *table.names[1:]), table.rows, (), table.stop, table.tar)

    change_table(shards, double)
    assert "two images are called" in error_of(shards)


def test_a_table_has_as_many_rows_as_the_index_says(shards: Path) -> None:
    change_index(shards, lambda data: first_entry(data).update(images=7))
    assert "and the index says 7 images" in error_of(shards)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, (1 << 40).to_bytes(8, "little") + b"{}"])
def test_a_damaged_table_is_named(shards: Path, content: bytes) -> None:
    (shards / "all-000000.index").write_bytes(content)
    assert error_of(shards).startswith(f"{shards}/all-000000.index: damaged, or another one")
    with pytest.raises(DataError, match="not a table of a shard"):
        from_bytes(content, "table")


def test_a_table_of_another_form_is_refused() -> None:
    others: list[Any] = [np.zeros((2, 4), np.int64), np.zeros((2, 5), np.float64), np.zeros(5, np.int64)]
    for rows in others:
        content = to_bytes(Table(("a", "b"), rows))
        with pytest.raises(DataError, match="its rows have another form"):
            from_bytes(content, "table")


@pytest.mark.parametrize("version", [0, 2, "1", None, {"a": "\x1b"}])
def test_another_version_is_named(shards: Path, version: Any) -> None:
    change_index(shards, lambda data: data.update(effnet_shards=version))
    assert "of the index; this effnet reads version 1" in error_of(shards)


Change = Callable[[dict[str, Any]], object]

WRONG: dict[str, Change] = {
    "parts.other": lambda data: data["parts"].update({"\x1b[2J": []}),
    "tar.bytes": lambda data: first_entry(data)["tar"].update(bytes=-1),
    "tar.sha256": lambda data: first_entry(data)["tar"].update(sha256="../x"),
    "table.bytes": lambda data: first_entry(data)["table"].update(bytes=1 << 62),
    "images": lambda data: first_entry(data).update(images=0),
    "class_names": lambda data: data.update(class_names="ab"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_named(shards: Path, key: str) -> None:
    change_index(shards, WRONG[key])
    assert key.partition(".")[0] in error_of(shards)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(parts={}), "0 shards"),
        (lambda data: data["parts"].update(all=2 * data["parts"]["all"]), "a file is listed twice"),
        (lambda data: data.update(class_names=["a", "a"]), "two classes have the same name"),
        (lambda data: data.update(class_names=["a", "b\x1b"]), "is no name of a class"),
        (lambda data: first_entry(data)["table"].update(bytes=1 << 30), "268,435,456"),
        (lambda data: first_entry(data)["tar"].update(bytes=99), "and the index says 99"),
    ],
)
def test_an_index_that_cannot_be_is_refused(shards: Path, change: Change, said: str) -> None:
    change_index(shards, change)
    assert said in error_of(shards)


def test_a_missing_shard_is_named(shards: Path) -> None:
    (shards / "all-000001.tar").unlink()
    assert error_of(shards) == f"shard {shards}/all-000001.tar is missing, though the index names it"


def test_a_gigantic_index_is_not_read(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indices, "MAX_INDEX_BYTES", 10)
    with pytest.raises(DataError, match=r"larger than 10 bytes; that is no index"):
        parse_index((shards / INDEX_FILE).read_bytes(), "index")


@pytest.mark.parametrize("content", ['{"effnet_shards": 1', '{"effnet_shards": ' + "[" * 100_000])
def test_an_index_that_is_no_json_is_named(shards: Path, content: str) -> None:
    (shards / INDEX_FILE).write_text(content)
    assert "not an index of shards" in error_of(shards)


def test_a_foreign_index_is_not_ours(shards: Path) -> None:
    """Then the tar files are shards as others write them."""
    (shards / INDEX_FILE).write_text(json.dumps({"files": []}))
    assert len(open_dataset(f"{shards}").parts["all"]) == 60


def test_a_damaged_shard_is_named_with_the_images_in_it(shards: Path) -> None:
    of: Any = open_dataset(shards).parts["all"]
    table = from_bytes((shards / "all-000000.index").read_bytes(), "table")
    path = shards / "all-000000.tar"
    content = bytearray(path.read_bytes())
    content[table.rows[0, OFFSET]] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{table.names[0]}: shard {path} is damaged here") as caught:
        of.read(table.names[0])
    assert "CRC-32" in str(caught.value)
    assert of.read(table.names[1]).size == (8, 8)
