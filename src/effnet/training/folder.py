"""The folder of a run: one run at a time, and nothing finished or unfinished is overwritten unasked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from effnet.data.datasets import DataSet
from effnet.errors import EffnetError, UsageError
from effnet.training import state

MODEL_FILE = "model.safetensors"
LOCK_FILE = ".lock"


class FolderInUseError(EffnetError):
    """Another run holds the folder."""


def run_folder(dataset: DataSet, out: str | Path | None, overwrite: bool) -> Path:
    """Return the folder for a new run.

    Raises:
        UsageError: it holds a run and `overwrite` is off, or it lies inside the data.

    """
    folder = Path(out) if out is not None else Path("runs") / dataset.name
    if not dataset.is_split and folder.resolve().is_relative_to(dataset.source):
        raise UsageError(
            f"{folder} lies inside the data, where it would become a class; choose an --out elsewhere"
        )
    if overwrite:
        return folder
    if state.exists(folder):
        raise UsageError(
            f"{folder} holds an unfinished training; go on with: effnet train --resume {folder}, "
            f"choose another --out, or --overwrite to start anew"
        )
    if (folder / MODEL_FILE).exists():
        raise UsageError(f"{folder} already holds a run; choose another --out, or --overwrite to replace it")
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one run.

    Raises:
        FolderInUseError: another run holds it.
        EffnetError: it cannot be written to.

    """
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise FolderInUseError(f"another run is writing to {folder}; choose another --out, or wait") from None
    except OSError as error:
        raise EffnetError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
