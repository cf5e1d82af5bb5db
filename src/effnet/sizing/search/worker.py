"""One worker of a search: it takes trials from the queue until none is left."""

import time
from collections.abc import Mapping
from statistics import mean
from typing import Any

from effnet.errors import DivergedError, EffnetError
from effnet.sizing.outcomes import OUTCOME, to_attrs
from effnet.sizing.search.candidates import Candidate, nearest, on_surface
from effnet.sizing.search.ledger import Job, Ledger
from effnet.sizing.search.plan import Plan
from effnet.sizing.search.progress import Progress, SearchReporter
from effnet.sizing.search.queue import SURFACE, Queue, Ticket
from effnet.sizing.search.ranking import COEFFICIENTS, EPOCHS, candidate_of
from effnet.sizing.search.storage import GRACE_BEATS
from effnet.sizing.trial import Outcome, key_of, run_trial
from effnet.training import state as states
from effnet.training.folder import FolderInUseError
from effnet.training.interrupt import InterruptedTrainingError, Interrupts
from effnet.training.parts import assemble
from effnet.training.reporter import EpochRecord, StepRecord

POLL_SECONDS = 0.2
MAX_WAIT = 5.0  # seconds between two looks at what other workers do
STAND_OUT = ("warning", "skipped")


class InterruptedSearchError(EffnetError):
    """The search was asked to stop; the exit code is 128 + the signal."""

    def __init__(self, exit_code: int, done: int, total: int) -> None:
        super().__init__(f"stopped; {done} of {total} trials are done, and the same command goes on")
        self.exit_code = exit_code


class StoppedEarlyError(EffnetError):
    """The pruner ended a training."""

    def __init__(self, epochs: int) -> None:
        super().__init__(f"stopped after {epochs} epochs: others do better")
        self.epochs = epochs


class Watch:
    """Stands between a training and the search's reporter: it heeds signals, and asks the pruner."""

    def __init__(self, worker: "Worker", ticket: Ticket) -> None:
        self.worker = worker
        self.ticket = ticket
        self.reporter = worker.reporter

    def message(self, text: str) -> None:
        """Pass on each line once, and after the first trial only what stands out."""
        if text not in self.worker.said and (self.worker.is_first or text.startswith(STAND_OUT)):
            self.worker.said.add(text)
            self.reporter.message(text)

    def downloading(self, done: int, total: int | None) -> None:
        """Pass the bytes on."""
        self.reporter.downloading(done, total)

    def reading(self, split: str, done: int, total: int) -> None:
        """Pass the count on."""
        self.worker.heed()
        self.reporter.reading(split, done, total)

    def step(self, record: StepRecord) -> None:
        """Pass the step on."""
        self.worker.heed()
        self.reporter.step(record)

    def epoch(self, record: EpochRecord) -> None:
        """Pass the epoch on; under halving, ask whether the training of a first seed goes on.

        Raises:
            StoppedEarlyError: it does not.

        """
        self.reporter.epoch(record)
        plan, epochs = self.worker.plan, record.epoch + 1
        if (
            not plan.search.halving
            or self.ticket.job.seed != plan.config.seed
            or epochs >= plan.config.epochs
        ):
            return
        if self.ticket.is_hopeless(epochs, max(record.val_top1, record.ema_val_top1 or 0.0)):
            raise StoppedEarlyError(epochs)


class Worker:
    """Works on a search."""

    def __init__(self, plan: Plan, queue: Queue, reporter: SearchReporter, interrupts: Interrupts) -> None:
        self.plan = plan
        self.queue = queue
        self.reporter = reporter
        self.interrupts = interrupts
        self.said: set[str] = set()
        self.is_first = True
        self.waits = False

    def run(self) -> Ledger:
        """Work until nothing is left to do, and wait for what others do last.

        Returns:
            How all trials stand.

        Raises:
            InterruptedSearchError: stopped by a signal; the trial in hand is given back, its state saved.

        """
        while True:
            self.heed()
            ticket = self.queue.take(self.plan.agenda, self._fixed)
            if ticket is not None:
                with ticket:
                    self._work(ticket)
                continue
            ledger = self.queue.ledger()
            if ledger.is_over(self.plan.agenda):
                return ledger
            self._await_others(ledger)

    def _await_others(self, ledger: Ledger) -> None:
        """Let some time pass."""
        self._say_waiting(ledger)
        self._report(ledger, "waiting for other workers", own=0)
        self._wait()

    def _say_waiting(self, ledger: Ledger) -> None:
        """Say once what is waited for."""
        if not self.waits:
            self.waits = True
            seconds = GRACE_BEATS * self.queue.heartbeat
            self.reporter.message(
                f"waiting for trials of other workers ({ledger.count(self.plan.agenda, 'running')}); one "
                f"without a sign of life for {seconds} seconds is done here"
            )

    def heed(self) -> None:
        """Stop if a signal asked for it.

        Raises:
            InterruptedSearchError: it did.

        """
        if self.interrupts.received is not None:
            raise self._stopped(128 + self.interrupts.received)

    def _stopped(self, exit_code: int) -> InterruptedSearchError:
        ledger, agenda = self.queue.ledger(), self.plan.agenda
        done = len(agenda.jobs) - ledger.count(agenda, "open", "running")
        return InterruptedSearchError(exit_code, done, len(agenda.jobs))

    def _wait(self) -> None:
        """Let some time pass, with an ear for signals."""
        end = time.monotonic() + min(MAX_WAIT, self.queue.heartbeat)
        while time.monotonic() < end:
            self.heed()
            time.sleep(POLL_SECONDS)

    def _fixed(self, job: Job, ledger: Ledger) -> Mapping[str, float]:
        """Return the point of the surface that was drawn for a job's candidate, if there is one."""
        gate = self.plan.agenda.gate(job)
        result = ledger.result(gate) if gate is not None else None
        attempts = [result] if result is not None else ledger.of(job)
        drawn = [entry.params for entry in attempts if set(SURFACE) <= entry.params.keys()]
        return {name: drawn[-1][name] for name in SURFACE} if drawn else {}

    def _work(self, ticket: Ticket) -> None:
        """Do a trial, and say in the storage what became of it."""
        try:
            candidate = self._candidate(ticket)
            self._report(self.queue.ledger(), f"{candidate.label}, seed {ticket.job.seed}")
            self._train(ticket, candidate)
            self.is_first = False
        except InterruptedTrainingError as error:
            ticket.give_back("interrupted")
            raise self._stopped(error.exit_code) from None
        except FolderInUseError:  # by a worker that was taken for dead, and is not
            ticket.give_back("in use")
            self._wait()
        except BaseException as error:
            self._abandon(ticket, error)
            raise

    def _abandon(self, ticket: Ticket, error: BaseException) -> None:
        """Give a trial back on the way out; without a storage, its heartbeats end instead."""
        try:
            ticket.give_back(type(error).__name__)
        except EffnetError as second:
            if str(second) != str(error):
                self.reporter.message(f"warning: {second}")

    def _candidate(self, ticket: Ticket) -> Candidate:
        """Return what to train: the job's candidate, or the one nearest to the point that is drawn."""
        candidate = candidate_of(ticket.job, self.plan, self.queue.ledger())
        if candidate is None:
            candidate = nearest(on_surface(*ticket.point()), self.plan.candidates)
        elif self.plan.search.sampler == "tpe":
            ticket.point()  # the same as before: a sampler learns from each seed
        ticket.note({COEFFICIENTS: list(vars(candidate.coefficients).values())})
        return candidate

    def _train(self, ticket: Ticket, candidate: Candidate) -> None:
        """Train, and hand in what came of it."""
        plan, what = self.plan, f"{candidate.label}, seed {ticket.job.seed}"
        config = plan.trial_config(candidate.coefficients, ticket.job.seed)
        try:
            outcome = run_trial(plan.dataset, config, plan.trials_folder, Watch(self, ticket))
        except (StoppedEarlyError, DivergedError) as error:
            if isinstance(error, StoppedEarlyError):
                ticket.stop({EPOCHS: error.epochs})
            else:
                ticket.fail(str(error))
            states.remove(plan.trials_folder / key_of(assemble(plan.dataset, config)))
            self.reporter.message(f"{what}: {error}")
            return
        counts = ticket.complete(plan.objective(outcome.val_top1, candidate.macs), to_attrs(outcome))
        self._say(what, outcome, counts)

    def _say(self, what: str, outcome: Outcome, counts: bool) -> None:
        self.reporter.message(f"{what}: {outcome.val_top1:.2%} in {outcome.seconds:.0f} s")
        if not counts:
            self.reporter.message(
                "warning: taken for dead, this worker has lost the trial to another one, whose result counts"
            )
        if self.queue.problem is not None:
            self.reporter.message(
                f"warning: for a while the storage could not be reached: {self.queue.problem}"
            )
            self.queue.problem = None

    def _report(self, ledger: Ledger, now: str, own: int = 1) -> None:
        """Say how far the search is; `own` trials that are at work are this worker's."""
        agenda = self.plan.agenda
        left, running = ledger.count(agenda, "open", "running"), ledger.count(agenda, "running")
        spent = [seconds_of(entry.attrs) for job in agenda.jobs if (entry := ledger.result(job)) is not None]
        seconds = mean(spent) * left / max(1, running) if spent else None
        done, total = len(agenda.jobs) - left, len(agenda.jobs)
        self.reporter.trials(Progress(done, total, max(0, running - own), seconds, now))


def seconds_of(attrs: Mapping[str, Any]) -> float:
    """Return how long the training of a finished trial took."""
    return float(attrs[OUTCOME]["seconds"])
