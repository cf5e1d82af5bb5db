"""Trials on the machines of a cluster: each runs there as it would here, in the same store."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from effnet.cluster.mapping import WorkerStoppedError
from effnet.cluster.witness import Witness, witness_in
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.errors import DataError, UsageError
from effnet.sizing.trial import Outcome, run_trial
from effnet.training.folder import FolderInUseError
from effnet.training.interrupt import InterruptedTrainingError
from effnet.training.reporter import Silent

POLL_SECONDS = 1.0


class HasConfig(Protocol):
    """What a trial is known by."""

    @property
    def config(self) -> TrainConfig:
        """Network, recipe and seed."""


class Notes(Silent):
    """Keeps what a training says, for the machine that waits for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


@dataclass(frozen=True)
class RemoteTrial:
    """Runs trials wherever it is called, in the folder of all trials, which all machines see.

    A trial that was begun elsewhere goes on from the state that is there. One that another process has at
    the moment is waited for, so that it is not done twice.
    """

    dataset: DataSet
    store: Path
    witness: Witness
    folder: str
    """Where the command runs: relative paths begin there."""
    data: Path | None
    """Folder or file of the data; None where the data set brings it itself."""

    def __call__(self, trial: HasConfig) -> tuple[Outcome, list[str]]:
        """Return the outcome of a trial, and what the training had to say.

        Raises:
            UsageError, DataError: this machine does not see a folder.
            WorkerStoppedError: it was asked to stop; the state is saved.
            EffnetError: as `run_trial`.

        """
        self._check()
        notes = Notes()
        while True:
            try:
                return run_trial(self.dataset, trial.config, self.store, notes), notes.lines
            except FolderInUseError:
                time.sleep(POLL_SECONDS)
            except InterruptedTrainingError as error:
                raise WorkerStoppedError(str(error)) from None

    def _check(self) -> None:
        self.witness.check()
        host = socket.gethostname()
        if os.getcwd() != self.folder:
            raise UsageError(
                f"{host} does not see {self.folder}, where the command runs; run it in a shared folder"
            )
        if self.data is not None and not self.data.exists():
            raise DataError(f"{host} does not see the data {self.data}; put it where all machines see it")


@contextmanager
def remote_trial(dataset: DataSet, store: Path) -> Iterator[RemoteTrial]:
    """Give what runs trials elsewhere, while a witness lies in their folder.

    Raises:
        EffnetError: the folder cannot be written to.

    """
    place = Path(dataset.source.partition(",")[0])
    data = place if place.is_absolute() and place.exists() else None
    with witness_in(store) as witness:
        yield RemoteTrial(dataset, store, witness, os.getcwd(), data)
