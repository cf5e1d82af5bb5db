"""A set of shards with an index as a data set: in a folder, or in any store of files."""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effnet.data.download import OnProgress, is_safe
from effnet.data.packed import row_of
from effnet.data.samples import DataSet, Samples
from effnet.data.scan import EncodedReader, Files
from effnet.data.sharded.cache import ShardCache
from effnet.data.sharded.files import SetFiles, local_files, read_table, remote_files
from effnet.data.sharded.index import INDEX_FILE, Entry, Index, Known, digest_of_bytes, parse_index
from effnet.data.sharded.remote import HTTP, Remote, Trying
from effnet.data.sharded.stores import CachedStore, LocalStore, Span, Store
from effnet.data.sharded.table import CRC32, LABEL, LENGTH, OFFSET, PLACE, Table
from effnet.data.sources import PARTS, Source, map_splits
from effnet.errors import DataError, UsageError, some

AT_ONCE = 16  # tables asked for at the same time
REVISION = "revision"


@dataclass(frozen=True, eq=False)
class ShardReader(EncodedReader):
    """Reads images out of shards by their names.

    All is kept in a few arrays, which processes share.
    """

    store: Store
    tars: tuple[Known, ...]
    names: NDArray[np.bytes_]
    """Names of all images, sorted, `(N,)`."""
    spans: NDArray[np.int64]
    """Of each: which shard, offset, number of bytes, CRC-32; `(N, 4)`."""

    def content(self, name: str) -> bytes:
        """Return the bytes of an image's file.

        Raises:
            DataError: they cannot be had, or are other ones; names the image and its shard.

        """
        shard, *span = self.spans[row_of(name, self.names)].tolist()
        try:
            return self.store.read(self.tars[shard], Span(*span))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error


def open_sharded(source: Source, on_progress: OnProgress) -> DataSet:
    """Open a set of shards in a folder that holds an index.

    Raises:
        UsageError: an option that is not for shards.
        DataError: index or table are damaged, of another version, or name what is not in the folder.

    """
    source.allow("a set of shards with an index", PARTS)
    root = Path(source.place).resolve()
    files = local_files(root)
    index = parse_index(files.index(), str(root / INDEX_FILE))
    for entry in index.entries:
        check_inside(root, entry.tar)
    tables = read_tables(index, files, on_progress)
    return Opening(source, index, tables).assemble(
        root.name, LocalStore(root), source.at(str(root)), partial(stamps_of, root)
    )


def check_inside(root: Path, known: Known) -> None:
    """Raise DataError where a shard is missing, of another size, or a link that leads out of the folder."""
    path = root / known.file
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError:
        size = None
    if size is None:
        raise DataError(f"shard {path} is missing, though the index names it")
    if not path.resolve().is_relative_to(root):
        raise DataError(f"shard {path} is a link that leads out of the folder; it is not read")
    if size != known.bytes:
        raise DataError(
            f"shard {path} has {size:,} bytes, and the index says {known.bytes:,}: cut off, or another one"
        )


def stamps_of(root: Path, entries: tuple[Entry, ...]) -> Files:
    """Return size and time of the shards, one row a shard."""
    found = [(root / entry.tar.file).stat() for entry in entries]
    return Files(root, np.array([(f.st_size, f.st_mtime_ns) for f in found], np.int64), single=False)


def open_remote(source: Source, on_progress: OnProgress) -> DataSet:
    """Open a set of shards by the URL of its folder. Index and tables are fetched, shards when needed.

    Which index it was is kept in `source`, so that a training that is resumed has the same images.

    Raises:
        UsageError: an option that is not for shards; a URL that is not taken; an unknown kind of store.
        DataError: there is no index, it cannot be had, it is damaged, or it is another one than before.
        MissingExtraError: fsspec, or what it needs for this store, is not installed.

    """
    source.allow("a set of shards at a URL", (*PARTS, REVISION))
    url = checked_url(source.place)
    remote = Remote(url, Trying.from_environment())
    files = remote_files(remote)
    content = files.index()
    revision = digest_of_bytes(content)[:16]
    wanted = source.options.get(REVISION, revision)
    if wanted != revision:
        raise DataError(f"{url}: the index is another one than before: revision {revision}, not {wanted}")
    index = parse_index(content, f"{url}/{INDEX_FILE}")
    tables = read_tables(index, files, on_progress)
    name = re.sub(r"[^\w.-]", "-", url.rpartition("/")[2]).strip(".") or "shards"
    store = CachedStore(remote, ShardCache.from_environment())
    return Opening(source, index, tables).assemble(name, store, source.at(url, **{REVISION: revision}))


def checked_url(text: str) -> str:
    """Return the URL of a folder, without a slash at its end.

    Raises:
        UsageError: not https, or with a password or query in it, which would end up in model files.

    """
    url = text.rstrip("/")
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if url.lower().endswith(".tar"):
        raise UsageError(
            f"{url}: shards at a URL are read by their index: give the URL of the folder that effnet shard "
            f"wrote; those of others bring to a disk first"
        )
    if not rest or "@" in host or (scheme.lower() in HTTP and ("?" in url or "#" in url)):
        raise UsageError(f"{scheme}://…: give the URL of a folder, without password, ? or #")
    if scheme.lower() in HTTP and not is_safe(url):
        raise UsageError(f"cannot read {url}: it is not https")
    return url


def read_tables(index: Index, files: SetFiles, on_progress: OnProgress) -> dict[str, Table]:
    """Return the tables of all shards, by the file of the shard."""
    tables = {}
    num_classes, total = len(index.class_names), sum(entry.table.bytes for entry in index.entries)
    done = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(read_table, entry, num_classes, files) for entry in index.entries]
        try:
            for entry, future in zip(index.entries, running, strict=True):
                tables[entry.tar.file] = future.result()
                done += entry.table.bytes
                on_progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
    return tables


@dataclass(frozen=True)
class Opening:
    """What is known of a set, before it becomes a data set."""

    source: Source
    index: Index
    tables: Mapping[str, Table]

    def assemble(
        self,
        name: str,
        store: Store,
        text: str,
        files_of: Callable[[tuple[Entry, ...]], Files] | None = None,
    ) -> DataSet:
        """Make the data set. Images stand in the order that they had where the shards were made from."""
        splits = map_splits(self.index.parts, self.source)
        entries = {part: tuple(e for s in of for e in self.index.parts[s]) for part, of in splits.items()}  # type: ignore[index]  # its names are checked
        every = tuple(entry for of in entries.values() for entry in of)
        number = {entry.tar.file: place for place, entry in enumerate(every)}
        read = self.reader(store, every)
        parts = {part: self.samples(of, number, read, files_of) for part, of in entries.items()}
        return DataSet(name, self.index.class_names, parts, source=text)

    def reader(self, store: Store, entries: tuple[Entry, ...]) -> ShardReader:
        """Return what reads the images of these shards."""
        tables = [self.tables[entry.tar.file] for entry in entries]
        names = np.array([name.encode() for table in tables for name in table.names])
        number = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        rows = np.concatenate([table.rows for table in tables])
        spans = np.column_stack([number, rows[:, [OFFSET, LENGTH, CRC32]]])
        order = np.argsort(names, kind="stable")
        names = names[order]
        twice = names[1:][names[1:] == names[:-1]]
        if len(twice):
            raise DataError(
                f"{self.source.place}: two images are called {some(n.decode() for n in twice[:3])}"
            )
        return ShardReader(store, tuple(entry.tar for entry in entries), names, spans[order])

    def samples(
        self,
        entries: tuple[Entry, ...],
        number: Mapping[str, int],
        read: ShardReader,
        files_of: Callable[[tuple[Entry, ...]], Files] | None,
    ) -> Samples:
        """Return the images of a part."""
        tables = [self.tables[entry.tar.file] for entry in entries]
        lengths = [len(table) for table in tables]
        shards = np.repeat([number[entry.tar.file] for entry in entries], lengths)
        rows = np.concatenate([table.rows for table in tables])
        order = np.argsort(rows[:, PLACE], kind="stable")
        names = [name for table in tables for name in table.names]
        files = None
        if files_of is not None:
            files = files_of(entries).take(np.repeat(np.arange(len(entries)), lengths)[order])
        return Samples(tuple(names[i] for i in order), rows[order, LABEL], read, files, shards[order])
