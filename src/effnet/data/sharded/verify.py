"""Read a set of shards again, whole, and compare it with its index."""

from pathlib import Path

from effnet.data.labels import show
from effnet.data.reporter import WorkReporter
from effnet.data.sharded.files import SetFiles, local_files, read_table, remote_files
from effnet.data.sharded.index import INDEX_FILE, parse_index
from effnet.data.sharded.opening import check_inside, checked_url
from effnet.data.sharded.remote import Remote, Trying, is_url
from effnet.data.sharded.result import ShardResult
from effnet.errors import DataError, UsageError, some


def verify_set(place: str, reporter: WorkReporter) -> ShardResult:
    """Compare all checksums of a set, in a folder or at a URL, with its index.

    Raises:
        UsageError: there is no such folder.
        DataError: shards are damaged, missing, or cannot be had; names them.

    """
    files, root = files_of(place)
    index = parse_index(files.index(), f"{files.where}/{INDEX_FILE}")
    problems = []
    done = 0

    def on_read(count: int) -> None:
        nonlocal done
        done += count
        reporter.working("verifying", min(done, index.num_bytes), index.num_bytes)

    for entry in index.entries:
        try:
            if root is not None:
                check_inside(root, entry.tar)
            read_table(entry, len(index.class_names), files)
            if files.digest(entry.tar, on_read) != entry.tar.sha256:
                problems.append(
                    f"shard {files.where}/{entry.tar.file} is damaged: its SHA-256 is another one"
                )
        except DataError as error:
            problems.append(str(error))
    on_read(index.num_bytes)
    if problems:
        raise DataError(f"{len(problems)} of {len(index.entries)} shards: {some(problems, limit=5)}")
    return ShardResult(place, index, verified=True)


def files_of(place: str) -> tuple[SetFiles, Path | None]:
    """Return the files of a set, and its folder if it lies on this machine."""
    if is_url(place):
        return remote_files(Remote(checked_url(place), Trying.from_environment())), None
    root = Path(place).resolve()
    if not (root / INDEX_FILE).is_file():
        raise UsageError(f"{show(place)}: no set of shards: there is no {INDEX_FILE} in it")
    return local_files(root), root
