"""The ledger of a search: which trial stands where, read off what the study's storage holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["waiting", "running", "complete", "pruned", "fail"]
Status = Literal["open", "running", "done", "stopped", "failed", "skipped"]

MAX_DEATHS = (
    5  # a trial that its worker did not survive so often, for want of memory for example, is given up
)

# Names of what is written down with a trial.
REASON = "reason"
"""Why it was given back; without one, a failed trial is one whose worker died."""
ERROR = "error"
"""Why it failed for good."""
WORKER = "worker"
"""Who has it."""


@dataclass(frozen=True)
class Job:
    """A trial to do: a candidate with a seed."""

    candidate: str
    """Name of the candidate; where a sampler chooses it, of the sample."""
    seed: int


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: one attempt at a job."""

    number: int
    state: State
    job: Job | None
    """None for a line that is not of a search."""
    attrs: Mapping[str, Any]
    params: Mapping[str, Any]
    """What the sampler drew."""

    @property
    def is_death(self) -> bool:
        """Whether its worker died with it."""
        return self.state == "fail" and REASON not in self.attrs and ERROR not in self.attrs


@dataclass(frozen=True)
class Agenda:
    """What a search has to do."""

    jobs: tuple[Job, ...]
    """In the order in which they should be done."""
    first_seed: int
    is_gated: bool
    """Whether a candidate's other seeds wait for the first one, and need it to have come to its end."""

    def gate(self, job: Job) -> Job | None:
        """Return the job that must be done before this one."""
        return Job(job.candidate, self.first_seed) if self.is_gated and job.seed != self.first_seed else None


class Ledger:
    """All lines of a study at one moment, by job."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self.by_job: dict[Job, list[Entry]] = {}
        for entry in self.entries:
            if entry.job is not None:
                self.by_job.setdefault(entry.job, []).append(entry)

    def of(self, job: Job) -> list[Entry]:
        """Return the attempts at a job, the oldest first."""
        return self.by_job.get(job, [])

    def result(self, job: Job) -> Entry | None:
        """Return the line that counts as the job's result: the first that is complete, and no other."""
        return next((entry for entry in self.of(job) if entry.state == "complete"), None)

    def error(self, job: Job) -> str | None:
        """Return why a job failed for good, if it did."""
        for entry in self.of(job):
            if entry.state == "fail" and ERROR in entry.attrs:
                return str(entry.attrs[ERROR])
        deaths = sum(entry.is_death for entry in self.of(job))
        return f"its worker died {deaths} times (out of memory?)" if deaths >= MAX_DEATHS else None

    def status(self, job: Job, agenda: Agenda) -> Status:
        """Return how a job stands."""
        states = {entry.state for entry in self.of(job)}
        if "complete" in states:
            return "done"
        if "pruned" in states:
            return "stopped"
        if self.error(job) is not None:
            return "failed"
        gate = agenda.gate(job)
        if gate is not None and self.status(gate, agenda) in ("stopped", "failed"):
            return "skipped"
        return "running" if "running" in states else "open"

    def ready(self, agenda: Agenda) -> list[Job]:
        """Return the jobs that nobody has, and that can be begun."""
        return [
            job
            for job in agenda.jobs
            if self.status(job, agenda) == "open" and self._is_passed(agenda.gate(job))
        ]

    def _is_passed(self, gate: Job | None) -> bool:
        return gate is None or self.result(gate) is not None

    def count(self, agenda: Agenda, *statuses: Status) -> int:
        """Return how many jobs stand so."""
        return sum(self.status(job, agenda) in statuses for job in agenda.jobs)

    def is_over(self, agenda: Agenda) -> bool:
        """Tell whether nothing is left to do, and nobody is at it."""
        return not self.count(agenda, "open", "running")

    def holds(self, number: int, job: Job) -> bool:
        """Tell whether an attempt is the one that should be made: two workers may have begun the same job.

        Who came first goes on. Numbers are given by the storage, one after the other, so both see it so.
        """
        others = [entry for entry in self.of(job) if entry.number != number]
        finished = any(entry.state in ("complete", "pruned") or ERROR in entry.attrs for entry in others)
        return not finished and not any(e.state == "running" and e.number < number for e in others)
