"""The queue of a search: an Optuna study, by ask and tell, that workers join and leave at any time."""

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from threading import Event, Thread
from types import TracebackType
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from effnet.sizing.search.ledger import ERROR, REASON, WORKER, Agenda, Entry, Job, Ledger, State
from effnet.sizing.search.storage import deliberately, readable, talking, turn_of

STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "fail",
}
CANDIDATE, SEED = "candidate", "seed"
SURFACE = ("u", "v")
"""What a sampler draws for a candidate: a point of the surface, see `candidates.on_surface`."""


class Ticket:
    """A job that this worker has. While it is open, a thread tells the storage that the worker lives.

    What is written after the job was given to another worker, because this one seemed dead, is dropped.
    """

    def __init__(self, queue: "Queue", trial: optuna.Trial, job: Job) -> None:
        self.queue = queue
        self.trial = trial
        self.job = job
        self._stopped = Event()
        self._thread: Thread | None = None

    def __enter__(self) -> "Ticket":
        self._thread = Thread(target=self._beat, args=(self.queue.heart(self.trial.number),), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self, beat: Callable[[], None]) -> None:
        """Beat; a storage that cannot be reached for a while is no reason to stop computing."""
        while not self._stopped.wait(self.queue.heartbeat):
            try:
                beat()
            except (SQLAlchemyError, StorageInternalError) as error:
                self.queue.problem = str(error).partition("\n")[0]

    def point(self) -> tuple[float, float]:
        """Let the sampler draw a point of the surface; a job that was begun before has its point already."""
        with talking(self.queue.name):
            u, v = (self.trial.suggest_float(name, 0.0, 1.0) for name in SURFACE)
        return u, v

    def note(self, attrs: Mapping[str, Any]) -> bool:
        """Write something down with the trial; tell whether it is still this worker's."""
        with talking(self.queue.name):
            try:
                for name, value in attrs.items():
                    self.trial.set_user_attr(name, value)
            except UpdateFinishedTrialError:
                return False
        return True

    def is_hopeless(self, epoch: int, value: float) -> bool:
        """Report an epoch's accuracy, and ask the pruner."""
        with talking(self.queue.name):
            try:
                self.trial.report(value, epoch)
                return self.trial.should_prune()
            except UpdateFinishedTrialError:
                return False

    def complete(self, value: float, attrs: Mapping[str, Any]) -> bool:
        """Hand in the result; tell whether it counts."""
        return self._end(TrialState.COMPLETE, attrs, value)

    def stop(self, attrs: Mapping[str, Any]) -> None:
        """Say that the pruner ended it."""
        self._end(TrialState.PRUNED, attrs)

    def fail(self, error: str) -> None:
        """Say that it failed and would fail again."""
        self._end(TrialState.FAIL, {ERROR: error})

    def give_back(self, reason: str) -> None:
        """Leave the job to whoever takes it next."""
        self._end(TrialState.FAIL, {REASON: reason})

    def _end(self, state: TrialState, attrs: Mapping[str, Any], value: float | None = None) -> bool:
        with talking(self.queue.name), self.queue.turn:
            if not self.note(attrs):
                return False
            told = self.queue.study.tell(self.trial, value, state, skip_if_finished=True)
        return told.state == state


class Queue:
    """The jobs of a study, shared by all of its workers.

    Nothing is put into it beforehand: whoever is free looks which jobs nobody has and begins one. So it does
    not matter when a worker dies, joins or brings more candidates or seeds; two that begin the same job at
    the same moment see so in the storage, and the second one lets go.
    """

    def __init__(self, study: optuna.Study, storage: RDBStorage, url: str, *, seed: int | None) -> None:
        """Share a study.

        Args:
            study: in the storage.
            storage: with heartbeats.
            url: of the storage.
            seed: of the sampler that draws what a job does not fix; None where jobs fix everything.

        """
        self.study = study
        self.storage = storage
        self.name = readable(url)
        self.seed = seed
        self.turn = turn_of(url)
        self.heartbeat = storage.get_heartbeat_interval() or 1
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self.problem: str | None = None
        """Why a sign of life could not be given, if one could not."""
        self._met: set[int] = set()

    def ledger(self) -> Ledger:
        """Read how all trials stand, after those of dead workers were given back."""
        with talking(self.name), deliberately(), self.turn:
            fail_stale_trials(self.study)
            entries = [entry_of(trial) for trial in self.study.get_trials(deepcopy=False)]
            self._meet(entries)
        return Ledger(entries)

    def _meet(self, entries: list[Entry]) -> None:
        """Give each trial that was begun, and whose worker has not signed yet, one heartbeat.

        Only trials with a heartbeat can be found stale: one whose worker died before its first would be
        waited for forever.
        """
        for entry in entries:
            if entry.state == "running" and WORKER not in entry.attrs and entry.number not in self._met:
                self._met.add(entry.number)
                self.heart(entry.number)()

    def take(self, agenda: Agenda, make: Callable[[Job, Ledger], Mapping[str, float]]) -> Ticket | None:
        """Begin the next job that nobody has; None if there is none now.

        Args:
            agenda: what there is to do.
            make: gives the parameters that are fixed for a job; those it leaves out are drawn.

        """
        while True:
            with talking(self.name), deliberately(), self.turn:
                ledger = self.ledger()
                jobs = ledger.ready(agenda)
                if not jobs:
                    return None
                if not any(entry.state == "waiting" for entry in ledger.entries):
                    attrs = {CANDIDATE: jobs[0].candidate, SEED: jobs[0].seed}
                    self.study.enqueue_trial(dict(make(jobs[0], ledger)), attrs)
                self.study.sampler = self._sampler(len(ledger.entries))
                ticket = self._claim(self.study.ask(), agenda)
            if ticket is not None:
                return ticket

    def _sampler(self, number: int) -> BaseSampler:
        """Return the sampler for a draw: what is random about it is a function of seed and number."""
        if self.seed is None:
            return RandomSampler()
        return TPESampler(seed=(self.seed * 1_000_003 + number) % 2**32)

    def _claim(self, trial: optuna.Trial, agenda: Agenda) -> Ticket | None:
        """Sign for a trial that was begun, unless it is another worker's job, or none."""
        self.heart(trial.number)()
        job = job_of(trial.user_attrs)
        if job is None:  # someone else took what was enqueued, and Optuna made an empty trial
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        ticket = Ticket(self, trial, job)
        ticket.note({WORKER: self.worker})
        if job not in agenda.jobs:
            ticket.give_back("not on this worker's agenda")
        elif not self.ledger().holds(trial.number, job):
            ticket.give_back("begun twice")
        else:
            return ticket
        return None

    def heart(self, number: int) -> Callable[[], None]:
        """Return what gives a sign of life of the worker that has a trial."""
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return partial(self.storage.record_heartbeat, trial_id)


def job_of(attrs: Mapping[str, Any]) -> Job | None:
    """Return the job of a trial; None for one that is not of a search."""
    return Job(attrs[CANDIDATE], attrs[SEED]) if CANDIDATE in attrs and SEED in attrs else None


def entry_of(trial: FrozenTrial) -> Entry:
    """Return what the ledger says of a trial."""
    return Entry(trial.number, STATES[trial.state], job_of(trial.user_attrs), trial.user_attrs, trial.params)
