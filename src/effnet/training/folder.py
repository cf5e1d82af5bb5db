"""The folder of a run: one run at a time, and nothing finished or unfinished is overwritten unasked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from effnet.data.datasets import SPLIT_FOLDERS, DataSet
from effnet.errors import EffnetError, UsageError
from effnet.evaluation.record import METRICS_FILE
from effnet.files import check_folder
from effnet.training import state
from effnet.training.folds import is_unfinished

MODEL_FILE = "model.safetensors"
LOCK_FILE = ".lock"


class FolderInUseError(EffnetError):
    """Another run is writing to the folder."""


def run_folder(dataset: DataSet, out: str | Path | None, overwrite: bool) -> Path:
    """Return the folder for a run: one that is begun, or goes on (see `begun`).

    Raises:
        UsageError: it holds a finished run and `overwrite` is off, or it lies inside the data.

    """
    folder = outside_data(dataset, Path(out) if out is not None else Path("runs") / dataset.name)
    if overwrite:
        return folder
    if (folder / MODEL_FILE).exists() and not (state.exists(folder) or is_unfinished(folder)):
        raise UsageError(f"{folder} already holds a run; choose another --out, or --overwrite to replace it")
    return folder


def outside_data(dataset: DataSet, folder: Path, *, flag: str = "--out") -> Path:
    """Return the folder, if results can go there; `flag` is what it was given by.

    Raises:
        UsageError: it lies inside the data.

    """
    if is_inside(dataset, folder.resolve()):
        raise UsageError(
            f"{folder} lies inside the data, where it would become a class; choose another {flag}"
        )
    return folder


def is_inside(dataset: DataSet, folder: Path) -> bool:
    """Tell whether what lies in a folder, given as a resolved path, would count as images of the data set.

    Beside the parts of a split there is room for other folders, but for one that is called as a part is.
    """
    root = Path(dataset.source)
    if not root.is_absolute():  # a name: its images are no files of the user
        return False
    if not dataset.is_split:
        return folder.is_relative_to(root)
    found = {samples.names[0].partition("/")[0] for samples in dataset.parts.values()}
    if any(folder.is_relative_to((root / part).resolve()) for part in found):  # a part may be a link
        return True
    below = folder.relative_to(root).parts[:1] if folder.is_relative_to(root) else ()
    return any(name.casefold() in names for name in below for names in SPLIT_FOLDERS.values())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one run.

    Raises:
        EffnetError: the folder cannot be written to.
        FolderInUseError: another run holds it.

    """
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    check_folder(folder)  # an old lock may be there, and the folder to read only
    try:
        lock.acquire()
    except Timeout:
        raise FolderInUseError(f"another run is writing to {folder}; choose another --out, or wait") from None
    except OSError as error:
        raise EffnetError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        remove_cut_off(folder)
        yield
    finally:
        lock.release()


def remove_cut_off(folder: Path) -> None:
    """Remove what a run that was killed while it wrote a file has left of it: a state may be large."""
    for name in (state.NEXT_FILE, MODEL_FILE, METRICS_FILE):
        for path in folder.glob(f".{name}.*"):  # as `write_bytes` names what is not whole yet
            path.unlink(missing_ok=True)
