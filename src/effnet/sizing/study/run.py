"""A study from a question to a page: which way of scaling wins at equal cost, and can it be foreseen?"""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Any

from effnet import config as configuration
from effnet.cluster.machines import Cluster
from effnet.data.datasets import open_dataset
from effnet.errors import EffnetError, UsageError
from effnet.files import write_text
from effnet.sizing.study.design import StudyConfig, build
from effnet.sizing.study.findings import Findings, find
from effnet.sizing.study.page import write_study_page
from effnet.sizing.study.placed import place
from effnet.sizing.study.setup import STUDY_FILE, Study, identity, prepare, with_base
from effnet.sizing.study.work import StoppedError, Trial, Watch, carry_out, is_done
from effnet.sizing.trial import OUTCOME_FILE, Outcome, load
from effnet.spec import netspec
from effnet.training.interrupt import Interrupts
from effnet.training.reporter import Reporter, Silent
from effnet.training.setup import default_recipe

PAGE_SECONDS = 60.0  # within a round the page is written anew after so long


class InterruptedStudyError(EffnetError):
    """The study was asked to stop; all is kept. The exit code is 128 + the signal."""

    def __init__(self, number: int, study: Study, left: str) -> None:
        again = f": {study.command}" if study.command else ""
        super().__init__(f"stopped by {signal.Signals(number).name}; {left}{again}")
        self.exit_code = 128 + number


@dataclass(frozen=True)
class StudyResult:
    """What is done of a study, and what it found."""

    study: Study
    findings: Findings
    done: int
    """Trials that are finished."""
    failures: dict[str, str]
    """Why a trial ended without a result, by its label."""
    page: Path

    @property
    def total(self) -> int:
        """Trials of the whole study."""
        return len(self.study.keys)

    @property
    def is_complete(self) -> bool:
        """Whether all trials are finished."""
        return self.done == self.total

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        question = self.study.question
        return {
            "identity": identity(self.study),
            "question": vars(question) | {"base": self.study.base.name, "first_seed": self.study.config.seed},
            "command": self.study.command,
            "trials": self.total,
            "trials_done": self.done,
            "failures": self.failures,
            **self.findings.to_dict(),
            "page": str(self.page),
        }


def study(
    data: str | Path,
    /,  # so that `data` among the settings is the recipe's part of that name
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    reporter: Reporter | None = None,
    stop_after: float | None = None,
    **settings: Any,
) -> StudyResult:
    """Train one base scaled in several ways to equal cost, and compare; what was trained before is kept.

    Args:
        data: a name (`digits`, `cifar10`, `cifar100`) or a folder of images.
        out: folder for trials, page and pictures; `runs/<name of the data>-study` when not given.
        recipe: name or `.toml` path of the recipe; chosen by the data when not given.
        reporter: told of the progress; without one nothing is printed.
        stop_after: stop in order after so many minutes; the same call again goes on.
        settings: fields of `StudyConfig` (`base`, `phis`, `arms`, `seeds`, …), and of the recipe; and
            `cluster`, the `effnet.Cluster` that has the trials; this machine alone when not given.

    Raises:
        UsageError: unknown name or key, bad value, networks that cannot be, or another study in `out`.
        DataError: the data cannot be used.
        InterruptedStudyError: stopped by a signal; the same call again goes on.

    """
    listener = reporter or Silent()
    cluster = settings.pop("cluster", None)
    words = {field.name: settings.pop(field.name) for field in fields(StudyConfig) if field.name in settings}
    if "model" in settings:
        raise UsageError("a study scales its base: give base, not model")
    question = build(**words)
    dataset = open_dataset(data, on_download=listener.downloading)
    chosen = configuration.load_recipe(recipe or default_recipe(dataset))
    config = configuration.override(chosen, settings)
    config = with_base(config, question.base, has_phi="phi" in settings)
    return run(prepare(dataset, question, config, out), listener, stop_after=stop_after, cluster=cluster)


class Progress:
    """What is done of a study, and how it is written down."""

    def __init__(self, study: Study) -> None:
        """Read what was done before."""
        self.study = study
        done = {each.trial.key for each in study.assignments if is_done(each.trial, study.store)}
        self.outcomes: dict[str, Outcome] = {key: load(study.store / key / OUTCOME_FILE) for key in done}
        self.failures: dict[str, str] = {}
        self.written = perf_counter()

    @property
    def done(self) -> int:
        """How many trials of the study are finished."""
        return len(self.study.keys & self.outcomes.keys())

    def add(self, trial: Trial, result: Outcome | EffnetError) -> str:
        """Take a result in; return the line that says so."""
        if isinstance(result, EffnetError):
            self.failures[trial.label] = str(result)
            return f"warning: {trial.label} ends without a result: {result}"
        self.outcomes[trial.key] = result
        count = f"{self.done}/{len(self.study.keys)}"
        return f"{count}  {trial.label}: {result.val_top1:.2%}, {result.seconds:.0f} s"

    def write(self) -> StudyResult:
        """Write page, pictures and `study.json`, as far as the study has come."""
        study, findings = self.study, find(self.study, self.outcomes)
        page = write_study_page(study, findings, done=self.done, failures=self.failures)
        result = StudyResult(study, findings, self.done, self.failures, page)
        write_text(study.folder / STUDY_FILE, json.dumps(result.to_dict(), indent=1) + "\n")
        self.written = perf_counter()
        return result


def run(
    study: Study, reporter: Reporter, *, stop_after: float | None = None, cluster: Cluster | None = None
) -> StudyResult:
    """Do what is left of a study; the page is written after every round of trials, and at every end.

    With a cluster its machines have the trials, several at a time.
    """
    for network in study.networks:
        netspec.save(network.spec, study.file_of(network))
    progress = Progress(study)
    if not study.pending():
        return progress.write()
    progress.write()  # so that the folder says whose it is
    try:
        with Interrupts() as interrupts:
            work_off(progress, Watch(reporter, interrupts, stop_after), cluster)
    except StoppedError as stop:
        result = progress.write()
        left = f"{result.done} of {result.total} trials are done; run again to go on"
        if stop.number is None:
            reporter.message(f"the time is up: {left}: {study.command}".rstrip(": "))
            return result
        raise InterruptedStudyError(stop.number, study, left) from None
    return progress.write()


def work_off(progress: Progress, watch: Watch, cluster: Cluster | None) -> None:
    """Do the trials that are left, and write the page whenever a round is over, or much time has passed."""
    study = progress.study
    ends = {each[-1].trial.key for each in study.rounds}
    has_foreseen = False
    for trial, result in results(study, watch, cluster):
        watch.say(progress.add(trial, result))
        if trial.key in ends or perf_counter() - progress.written > PAGE_SECONDS:
            findings = progress.write().findings
            if findings.law is not None and not has_foreseen:
                has_foreseen = True
                announce_forecast(findings, watch)


def results(
    study: Study, watch: Watch, cluster: Cluster | None
) -> Iterator[tuple[Trial, Outcome | EffnetError]]:
    """Yield what comes of the trials that are left, one after the other here, or as a cluster has them."""
    if cluster is not None:
        return place(study, cluster, watch)
    return carry_out([each.trial for each in study.pending()], study.dataset, study.store, watch)


def announce_forecast(findings: Findings, watch: Watch) -> None:
    """Say what is foreseen of the networks that are not all trained yet."""
    for case in findings.cases:
        if case.outcome is None:
            foreseen = case.prediction
            watch.say(
                f"foreseen for {case.network.label}: {foreseen.error:.1%} wrong "
                f"({foreseen.low:.1%} to {foreseen.high:.1%})"
            )
