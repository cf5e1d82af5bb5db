"""A worker of a search that has its trials done on a cluster, as many at a time as there is room for."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from effnet.cluster.machines import Cluster
from effnet.cluster.mapping import Later, WorkersDiedError, map_on_cluster
from effnet.config import TrainConfig
from effnet.errors import DivergedError, EffnetError
from effnet.sizing.outcomes import to_attrs
from effnet.sizing.remote import remote_trial
from effnet.sizing.search.candidates import Candidate
from effnet.sizing.search.ledger import Ledger
from effnet.sizing.search.plan import Plan
from effnet.sizing.search.progress import SearchReporter
from effnet.sizing.search.queue import Queue, Ticket
from effnet.sizing.search.worker import MAX_WAIT, STAND_OUT, Worker
from effnet.sizing.trial import Outcome, key_of
from effnet.training import state as states
from effnet.training.interrupt import Interrupts
from effnet.training.parts import assemble


@dataclass(frozen=True)
class Order:
    """A trial, as a machine of the cluster gets it."""

    number: int
    """Of the trial in the study."""
    label: str
    config: TrainConfig

    def __str__(self) -> str:
        return self.label


class PlacedWorker(Worker):
    """Takes trials from the queue, in its order, many at a time, and hands in what the cluster found.

    To the queue it is one worker like any other: signs of life and results are given by this process, so
    that no machine of the cluster needs to reach the storage.
    """

    def __init__(
        self, plan: Plan, queue: Queue, reporter: SearchReporter, interrupts: Interrupts, *, cluster: Cluster
    ) -> None:
        super().__init__(plan, queue, reporter, interrupts)
        self.cluster = cluster
        self.held: dict[int, tuple[Ticket, Candidate]] = {}
        self._asked = float("-inf")

    def run(self) -> Ledger:
        """Have all trials done; see `Worker.run`."""
        plan = self.plan
        try:
            with remote_trial(plan.dataset, plan.trials_folder) as function:
                for order, answer in map_on_cluster(function, self._orders(), self.cluster, self):
                    self._hand_in(order, answer)
        except BaseException as error:
            for number in list(self.held):
                self._let_go(number, error)
            raise
        return self.queue.ledger()

    def message(self, text: str) -> None:
        """Pass a line on."""
        self.reporter.message(text)

    def at_work(self, done: int, running: int) -> None:
        """Say how far the search is."""
        self._report(self.queue.ledger(), f"{running} on the cluster", own=len(self.held))

    def _orders(self) -> Iterator[Order | Later]:
        """Yield the trials that nobody has, until none is left, and nobody is at one."""
        agenda = self.plan.agenda
        while True:
            ticket = self.queue.take(agenda, self._fixed)
            if ticket is not None:
                yield self._order(ticket)
                continue
            ledger = self.queue.ledger()
            if ledger.is_over(agenda):
                return
            if not self.held:
                self._say_waiting(ledger)
            yield from self._later()

    def _later(self) -> Iterator[Later]:
        """Wait until a result has come, or the time has come to look what other workers do."""
        held, end = len(self.held), time.monotonic() + min(MAX_WAIT, self.queue.heartbeat)
        while len(self.held) == held and time.monotonic() < end:
            yield Later()

    def _order(self, ticket: Ticket) -> Order:
        ticket.__enter__()  # until its result is handed in
        candidate = self._candidate(ticket)
        self.held[ticket.trial.number] = ticket, candidate
        config = self.plan.trial_config(candidate.coefficients, ticket.job.seed)
        return Order(ticket.trial.number, f"{candidate.label}, seed {ticket.job.seed}", config)

    def _hand_in(self, order: Order, answer: tuple[Outcome, Sequence[str]] | EffnetError) -> None:
        """Say in the storage what became of a trial."""
        ticket, candidate = self.held[order.number]
        if isinstance(answer, DivergedError | WorkersDiedError):
            ticket.fail(str(answer))
            states.remove(self.plan.trials_folder / key_of(assemble(self.plan.dataset, order.config)))
            self.reporter.message(f"{order.label}: {answer}")
        elif isinstance(answer, EffnetError):
            raise answer
        else:
            outcome, lines = answer
            for line in lines:
                self._pass_on(line)
            value = self.plan.objective(outcome.val_top1, candidate.macs)
            self._say(order.label, outcome, ticket.complete(value, to_attrs(outcome)))
        del self.held[order.number]
        ticket.__exit__(None, None, None)

    def _pass_on(self, line: str) -> None:
        if line not in self.said and line.startswith(STAND_OUT):
            self.said.add(line)
            self.reporter.message(line)

    def _let_go(self, number: int, error: BaseException) -> None:
        """Leave a trial to whoever takes it next."""
        ticket, _ = self.held.pop(number)
        self._abandon(ticket, error)
        ticket.__exit__(None, None, None)
