"""The trials of a study on a cluster, as many at a time as it has room for."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from effnet.cluster.connection import joined
from effnet.cluster.machines import Cluster
from effnet.cluster.mapping import map_on_cluster
from effnet.errors import DataError, EffnetError, UsageError
from effnet.sizing.remote import remote_trial
from effnet.sizing.study.setup import Study
from effnet.sizing.study.work import Trial, Watch
from effnet.sizing.trial import Outcome


@runtime_checkable
class ShowsWork(Protocol):
    """A reporter that can show how many pieces of work are done."""

    def working(self, what: str, done: int, total: int) -> None:
        """Follow the pieces."""


class Follower:
    """Tells the watch of a study how its trials go on."""

    def __init__(self, watch: Watch, before: int, total: int) -> None:
        self.watch, self.before, self.total = watch, before, total

    def message(self, text: str) -> None:
        """Pass a line on."""
        self.watch.say(text)

    def at_work(self, done: int, running: int) -> None:
        """Show the count, where it can be shown."""
        if isinstance(self.watch.reporter, ShowsWork):
            name = f"trials on the cluster, {running} at work"
            self.watch.reporter.working(name, self.before + done, self.total)

    def heed(self) -> None:
        """Stop if a signal or the time asks for it."""
        self.watch.heed()


def place(study: Study, cluster: Cluster, watch: Watch) -> Iterator[tuple[Trial, Outcome | EffnetError]]:
    """Yield the outcome of each trial that is left, as they come; see `work.carry_out`.

    What the forecast is made from comes first, and all of it, before the networks that are foreseen.

    Raises:
        StoppedError: by a signal, or the time was up; trainings have saved their states.
        UsageError, DataError: what all trials have in common is wrong.
        EffnetError: the cluster cannot be joined.

    """
    pending = study.pending()
    phases = [[e.trial for e in pending if study.is_fitted(e.network) is fitted] for fitted in (True, False)]
    with joined(cluster.address), remote_trial(study.dataset, study.store) as run:
        done = 0
        for trials in phases:
            for trial, answer in map_on_cluster(run, trials, cluster, Follower(watch, done, len(pending))):
                yield trial, _judged(answer, watch)
            done += len(trials)


def _judged(answer: tuple[Outcome, Sequence[str]] | EffnetError, watch: Watch) -> Outcome | EffnetError:
    if isinstance(answer, UsageError | DataError):
        raise answer
    if isinstance(answer, EffnetError):
        return answer
    outcome, lines = answer
    for line in lines:
        watch.message(line)
    return outcome
