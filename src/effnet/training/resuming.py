"""Going on with what was interrupted: a training, or a cross-validation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from effnet.errors import DivergedError, EffnetError, UsageError
from effnet.training import crossing, run
from effnet.training import state as states
from effnet.training.folder import FolderInUseError
from effnet.training.folds import is_unfinished
from effnet.training.group import ALONE
from effnet.training.joining import current
from effnet.training.reporter import Reporter, Silent
from effnet.training.results import TrainResult


def resume(folder: str | Path, *, reporter: Reporter | None = None) -> TrainResult:
    """Go on with an interrupted training or cross-validation, exactly where its last state was saved.

    On a CPU, weights and metrics come out bit for bit as if it had never stopped. Weights to begin with, and
    a teacher, need not be there any more.

    Raises:
        StateError: the folder holds no unfinished training, or both saved states are damaged.
        DataError: the data set is not the one that the training began with, or other images are unreadable.

    """
    return go_on(Path(folder), reporter or Silent(), run.NOTHING)


def go_on(folder: Path, reporter: Reporter, changed: Mapping[str, Any]) -> TrainResult:
    """Go on as `resume` does, with `changed` settings: such as decide nothing of what is trained.

    Raises:
        UsageError: it is a cross-validation, and this process is one of a group.

    """
    if not is_unfinished(folder):
        return run.resume(folder, reporter=reporter, changed=changed)
    if current() is not ALONE:
        raise UsageError(f"{folder} holds a cross-validation, which takes one process; go on without a group")
    return crossing.go_on(folder, reporter, changed)


@contextmanager
def saying_how_to_go_on(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Say which command goes on after an error, where there is a state and going on may help."""
    try:
        yield
    except EffnetError as error:
        command = states.resume_command(folder)
        hopeless = isinstance(error, UsageError | DivergedError | FolderInUseError | states.StateError)
        if (states.exists(folder) or is_unfinished(folder)) and not hopeless and command not in str(error):
            reporter.message(f"the last saved state stays; when this is mended, go on with: {command}")
        raise
