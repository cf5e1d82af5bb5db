"""Any data set as shards, from its name to the index: what `effnet shard` does."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import PIL

from effnet import __version__
from effnet.data.broken import check_broken, skipped
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.labels import show
from effnet.data.randomness import permutation
from effnet.data.reporter import Quiet, WorkReporter
from effnet.data.samples import Samples
from effnet.data.scan import EncodedReader
from effnet.data.sharded.folder import begin, clear, locked, outside, written
from effnet.data.sharded.index import INDEX_FILE, MAX_SHARDS, Entry, Index
from effnet.data.sharded.pieces import piece_of
from effnet.data.sharded.result import ShardResult, ShardSettings, build_settings
from effnet.data.sharded.table import MAX_NAME_BYTES, is_name, written_name
from effnet.data.sharded.verify import verify_set
from effnet.data.sharded.writer import Labelled, ShardWriter, disk_error, stem
from effnet.data.workers import num_workers
from effnet.errors import DataError, UsageError
from effnet.files import check_folder, write_text

SEED = 0  # of the order in which images lie in shards: each shard is a sample of all
AHEAD = 4  # images read ahead, for each worker

Image = Labelled | str
"""What is stored of an image, or why it cannot be read."""


def shard(
    data: str | Path | DataSet,
    out: str | Path | None = None,
    *,
    verify: bool = False,
    overwrite: bool = False,
    reporter: WorkReporter | None = None,
    **settings: Any,
) -> ShardResult:
    """Write a data set as WebDataset shards with an index, or verify such a set.

    What was interrupted goes on after the last whole shard, and ends in the same bytes.

    Args:
        data: whatever `open_dataset` takes; without `out` the folder or URL of a set to verify.
        out: folder for shards and index.
        verify: read all shards in the end and compare their checksums with the index.
        overwrite: replace a set in the folder.
        reporter: told of the progress.
        settings: fields of `ShardSettings`.

    Raises:
        UsageError: a wrong setting; `out` holds another set, or lies inside the data.
        DataError: the data cannot be opened, too many images cannot be read, or a shard is damaged.
        EffnetError: `out` cannot be written to.

    """
    chosen, listener = build_settings(settings), reporter or Quiet()
    if out is None:
        if not verify or isinstance(data, DataSet):
            raise UsageError(
                "--out DIR is missing; without it a set of shards can only be verified: --verify"
            )
        return verify_set(str(data), listener)
    dataset = data if isinstance(data, DataSet) else open_dataset(data, on_download=listener.downloading)
    folder = outside(dataset, Path(out))
    check_folder(folder)
    with locked(folder):
        result = Sharding(dataset, folder, chosen, listener).run(overwrite=overwrite)
    return verify_set(str(folder), listener) if verify else result


def without_folder(problem: str, read: Any, name: str) -> str:
    """Return what is wrong with an image without saying on which machine it lay."""
    called = read.called(name) if isinstance(read, EncodedReader) else name
    return written_name(problem.replace(called, name, 1))


class Sharding:
    """One data set on its way into a folder."""

    def __init__(
        self, dataset: DataSet, folder: Path, settings: ShardSettings, reporter: WorkReporter
    ) -> None:
        self.dataset = dataset
        self.folder = folder
        self.settings = settings
        self.reporter = reporter
        self.total = sum(len(of) for of in dataset.parts.values())
        self.done = 0
        self.broken: list[str] = []

    def run(self, *, overwrite: bool) -> ShardResult:
        """Write what is missing, then the index."""
        if overwrite:
            clear(self.folder)
        plan = self.plan()
        whole = begin(self.folder, plan)
        if whole is not None:
            self.reporter.message(f"{self.folder} holds this set already, whole")
            return ShardResult(self.folder, whole)
        try:
            parts: Any = {part: self.part(part, of) for part, of in self.dataset.parts.items()}
        except OSError as error:
            raise disk_error(self.folder, error) from error
        index = Index(self.dataset.class_names, parts, plan, tuple(self.broken))
        write_text(self.folder / INDEX_FILE, index.to_json())
        clear(self.folder, keep=index)
        return ShardResult(self.folder, index)

    def plan(self) -> dict[str, Any]:
        """Return what decides the bytes of a set."""
        return {
            "data": self.dataset.name,
            "images": {part: len(of) for part, of in self.dataset.parts.items()},
            "fingerprint": self.dataset.fingerprint(),
            "shard_mb": self.settings.shard_mb,
            "resize": self.settings.resize,
            "quality": self.settings.quality,
            "effnet": __version__,
            "pillow": PIL.__version__,
        }

    def part(self, part: str, samples: Samples) -> tuple[Entry, ...]:
        """Write the shards of a part that are not there yet."""
        entries: list[Entry] = []
        stop = 0
        for entry, table in written(self.folder, part):
            entries.append(entry)
            stop = table.stop
            self.note(*table.skipped)
        self.count(stop)
        order = permutation(SEED, 0, len(samples))[stop:].tolist()
        with ThreadPoolExecutor(num_workers(self.settings.workers)) as pool:
            entries += self.shards(part, self.images(samples, order, pool), (len(entries), stop))
        if not entries:
            raise DataError(f"{self.dataset.name}: none of the images of {part} can be read")
        return tuple(entries)

    def images(self, samples: Samples, order: list[int], pool: ThreadPoolExecutor) -> Iterator[Image]:
        """Yield the images of a part in this order: what is stored of each, or why it cannot be read."""

        def read(place: int) -> Image:
            name, label = samples.names[place], int(samples.labels[place])
            if not is_name(written_name(name)):
                return f"{show(name)}: its name has more than {MAX_NAME_BYTES:,} bytes"
            try:
                return Labelled(name, place, label, piece_of(samples.read, name, self.settings.smaller))
            except DataError as error:
                return without_folder(str(error), samples.read, name)

        places = iter(order)
        running: deque[Future[Image]] = deque()
        ahead = AHEAD * num_workers(self.settings.workers)
        try:
            running.extend(pool.submit(read, place) for place in islice(places, ahead))
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(read, place) for place in islice(places, 1))
        finally:
            for future in running:
                future.cancel()

    def shards(self, part: str, images: Iterator[Image], start: tuple[int, int]) -> Iterator[Entry]:
        """Write images into shards; a shard ends where the next image would make it larger than asked."""
        number, stop = start
        writer: ShardWriter | None = None
        problems: list[str] = []
        try:
            for image in images:
                if isinstance(image, str):
                    problems.append(image)
                    self.note(image)
                else:
                    if writer is not None and writer.size_with(image.piece) > self.settings.num_bytes:
                        yield writer.finish(problems, stop)
                        number, writer, problems = number + 1, None, []
                    writer = writer or self.begin_shard(part, number)
                    writer.add(image)
                stop += 1
                self.count(1)
            if writer is not None:
                yield writer.finish(problems, stop)
                writer = None
        finally:
            if writer is not None:
                writer.abandon()

    def begin_shard(self, part: str, number: int) -> ShardWriter:
        """Return the writer of a shard.

        Raises:
            UsageError: there would be too many.

        """
        if number >= MAX_SHARDS:
            raise UsageError(f"more than {MAX_SHARDS:,} shards of {part}; take a larger --shard-mb")
        return ShardWriter(self.folder, stem(part, number))

    def count(self, images: int) -> None:
        """Tell how far it is."""
        self.done += images
        self.reporter.working("sharding", self.done, self.total)

    def note(self, *problems: str) -> None:
        """Say which images cannot be read; too many are an error."""
        for problem in problems:
            self.broken.append(problem)
            self.reporter.message(skipped(problem))
            check_broken(self.broken, self.total, self.settings.max_broken)
