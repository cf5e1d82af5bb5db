"""Going on with what was interrupted: a training, or a cross-validation."""

from pathlib import Path

from effnet.training import crossing, run
from effnet.training.folds import is_unfinished
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
    place, listener = Path(folder), reporter or Silent()
    if is_unfinished(place):
        return crossing.go_on(place, listener)
    return run.resume(place, reporter=listener)
