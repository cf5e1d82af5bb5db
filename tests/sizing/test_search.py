"""A whole search: shared, stopped, continued, extended; what it leaves behind is what was measured."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

import effnet
from chromium import Browser
from effnet.cli.main import main
from effnet.errors import EffnetError, UsageError
from effnet.sizing.search.candidates import Candidate
from effnet.sizing.search.optuna_study import QUESTION, open_queue
from effnet.sizing.search.plan import STORAGE_FILE
from effnet.sizing.search.results import SearchResult
from effnet.sizing.search.storage import sqlite_url
from effnet.sizing.search.worker import InterruptedSearchError
from effnet.sizing.trial import OUTCOME_FILE
from effnet.spec.coefficients import load as load_coefficients
from effnet.spec.scale import scale
from effnet.spec.solve import shape
from effnet.training.reporter import EpochRecord
from tiny_search import BASE, SETTINGS, Listener, command, write_base


def search(out: Path, reporter: Listener | None = None, **changes: Any) -> SearchResult:
    out.mkdir(exist_ok=True)
    settings = {"seeds": 2, **SETTINGS, **changes}
    return effnet.search("digits", base=write_base(out.parent), out=out, reporter=reporter, **settings)


def counted(result: SearchResult) -> Counter[Any]:
    ledger = open_queue(result.plan).ledger()
    return Counter(entry.job for entry in ledger.entries if entry.state == "complete")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search(tmp_path_factory.mktemp("search") / "out")


def outcomes(result: SearchResult) -> dict[tuple[str, int], tuple[float, float]]:
    """Return accuracy and loss of each candidate and seed."""
    return {
        (row.candidate.name, outcome.config.seed): (outcome.val_top1, outcome.val_loss)
        for row in result.ranking.ranked
        for outcome in row.outcomes
    }


def by_name(result: SearchResult) -> dict[str, Candidate]:
    return result.plan.by_name


def test_each_candidate_is_trained_with_each_seed_once(found: SearchResult) -> None:
    assert counted(found) == Counter(found.plan.agenda.jobs)
    assert {(job.candidate, job.seed) for job in found.plan.agenda.jobs} == {
        (name, seed) for name in by_name(found) for seed in (0, 1)
    }


def test_trials_train_the_rounded_networks(found: SearchResult) -> None:
    for row in (*found.ranking.ranked, *found.ranking.others):
        expected = scale(BASE, 1.0, row.candidate.coefficients)
        assert shape(row.candidate.spec) == shape(expected)
    trained = [json.loads(path.read_text()) for path in found.plan.trials_folder.glob(f"*/{OUTCOME_FILE}")]
    assert len(trained) == len(found.plan.agenda.jobs)
    assert {(each["config"]["epochs"], each["num_val"]) for each in trained} == {(1, 50)}


def test_what_the_study_keeps_is_what_was_measured(found: SearchResult) -> None:
    files = found.plan.trials_folder.glob(f"*/{OUTCOME_FILE}")
    measured = {content["key"]: content for content in (json.loads(path.read_text()) for path in files)}
    for row in found.ranking.ranked:
        for outcome in row.outcomes:
            kept = measured[outcome.key]
            assert (outcome.val_top1, outcome.config.seed) == (kept["val_top1"], kept["config"]["seed"])
            assert outcome.correct.mean() == pytest.approx(outcome.val_top1)
            assert outcome.curve[0]["val_top1"] == pytest.approx(kept["curve"][0]["val_top1"], abs=1e-5)


def test_the_best_comes_first(found: SearchResult) -> None:
    means = [row.mean for row in found.ranking.ranked]
    assert means == sorted(means, reverse=True)
    assert found.coefficients == found.ranking.ranked[0].candidate.coefficients


def test_the_coefficients_are_written_for_scale(
    found: SearchResult, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_coefficients(found.coefficients_path) == found.coefficients
    assert main(["scale", "b0", "--phi", "2", "--coefficients", str(found.coefficients_path)]) == 0
    assert "b0-phi2" in capsys.readouterr().out


def test_the_page_reads_well_everywhere(browser: Browser, found: SearchResult) -> None:
    assert browser.flaws(found.page_path) == []


def test_the_page_needs_nothing_else_and_says_how_sure_one_may_be(found: SearchResult) -> None:
    page = found.page_path.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page.replace("http-equiv", "")
    assert found.ranking.ranked[0].candidate.label in page
    assert "Not significant" in page
    assert all(row.candidate.label in page for row in found.ranking.ranked)


def test_a_second_call_does_nothing_again(found: SearchResult) -> None:
    before = {path: path.stat().st_mtime_ns for path in found.plan.trials_folder.glob("*/*")}
    again = search(found.plan.folder)
    assert again.to_dict() == found.to_dict()
    assert before == {path: path.stat().st_mtime_ns for path in found.plan.trials_folder.glob("*/*")}


def test_a_search_begun_before_a_setting_existed_goes_on(found: SearchResult) -> None:
    study = optuna.load_study(
        study_name=found.plan.study_name, storage=sqlite_url(found.plan.folder / STORAGE_FILE)
    )
    held = study.user_attrs[QUESTION]
    study.set_user_attr(QUESTION, {**held, "recipe": without(held["recipe"], "progressive")})
    assert search(found.plan.folder).to_dict() == found.to_dict()
    study.set_user_attr(QUESTION, held)


def without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def test_other_settings_under_the_same_name_are_refused(found: SearchResult) -> None:
    with pytest.raises(UsageError, match=r"study 'out' asks another question .*: recipe.epochs 2, there 1;"):
        search(found.plan.folder, epochs=2)
    with pytest.raises(UsageError, match=r"recipe.data.max_train 90, there 100"):
        search(found.plan.folder, data={"max_train": 90, "max_val": 50})
    with pytest.raises(UsageError, match=r"search.objective tradeoff, there accuracy"):
        search(found.plan.folder, objective="tradeoff")


def test_another_base_under_the_same_name_is_refused(found: SearchResult) -> None:
    settings: dict[str, Any] = {"seeds": 2, **SETTINGS, "step": 0.05}
    with pytest.raises(UsageError, match=r"another base.stages"):
        effnet.search("digits", base="quick-cifar", out=found.plan.folder, **settings)


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    optuna.create_study(storage=url, study_name="mine").enqueue_trial({"x": 1})
    with pytest.raises(UsageError, match=r"study 'mine' is not a search of effnet; take another --study"):
        search(tmp_path / "out", storage=url, study="mine")


def test_a_search_goes_on_with_more_seeds(tmp_path: Path) -> None:
    one = search(tmp_path / "out", seeds=1)
    assert one.ranking.comparison is None
    assert one.ranking.verdict.startswith("no claim: ")
    assert "--seeds 3" in one.ranking.verdict
    listener = Listener()
    two = search(tmp_path / "out", listener, seeds=2)
    assert two.ranking.comparison is not None
    assert sum("seed 1: " in message for message in listener.messages) == len(two.plan.candidates)
    assert not any("seed 0: " in message for message in listener.messages)


def test_settings_that_the_search_decides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a search decides model itself; take --base"):
        search(tmp_path / "out", model="b1")
    with pytest.raises(UsageError, match=r"seeds = 0: input should be greater"):
        search(tmp_path / "out", seeds=0)
    with pytest.raises(UsageError, match=r"unknown key 'seedz'"):
        search(tmp_path / "out", seedz=3)


def test_the_trial_of_a_worker_without_a_sign_of_life_is_waited_for_and_done(tmp_path: Path) -> None:
    first = search(tmp_path / "out", seeds=1, heartbeat=1)
    more = replace(first.plan, search=replace(first.plan.search, seeds=2))
    ticket = open_queue(more).take(more.agenda, lambda job, ledger: {})  # whoever has it does not live
    assert ticket is not None
    listener = Listener()
    result = search(tmp_path / "out", listener, seeds=2, heartbeat=1)
    assert counted(result) == Counter(result.plan.agenda.jobs)
    waits = [message for message in listener.messages if message.startswith("waiting for")]
    assert waits == [
        "waiting for trials of other workers (1); one without a sign of life for 3 seconds is done here"
    ]
    assert [entry.state for entry in open_queue(more).ledger().of(ticket.job)] == ["fail", "complete"]


class Stopper(Listener):
    """Presses Ctrl-C, or sends SIGTERM, some steps or trials into a search."""

    def __init__(self, number: int, after: int) -> None:
        super().__init__()
        self.number = number
        self.after = after

    def epoch(self, record: EpochRecord) -> None:
        self.after -= 1
        if self.after == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_search_goes_on_where_it_was(
    number: int, code: int, found: SearchResult, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedSearchError, match=r"stopped; 1 of 4 trials are done") as raised:
        search(tmp_path / "out", Stopper(number, after=2), seeds=1)
    assert raised.value.exit_code == code
    listener = Listener()
    result = search(tmp_path / "out", listener, seeds=1)
    assert counted(result) == Counter(result.plan.agenda.jobs)
    assert sum(message.startswith("going on after step") for message in listener.messages) == 1
    assert outcomes(result) == {key: value for key, value in outcomes(found).items() if key[1] == 0}


def test_progress_is_told(tmp_path: Path) -> None:
    listener = Listener()
    result = search(tmp_path / "out", listener, seeds=1)
    total = len(result.plan.agenda.jobs)
    assert [(each.done, each.total) for each in listener.progress] == [(done, total) for done in range(total)]
    assert listener.progress[0].seconds_left is None
    assert listener.progress[-1].seconds_left is not None
    assert sum(message.startswith("network ") for message in listener.messages) == 1


def test_a_diverged_candidate_is_not_ranked(tmp_path: Path) -> None:
    listener = Listener()
    with pytest.raises(
        EffnetError, match=r"no candidate was trained with all seeds: .*the loss is nan at step"
    ):
        search(tmp_path / "out", listener, seeds=1, input={"std": [1e-38]})
    assert sum("the loss is nan" in message for message in listener.messages) == 4


def test_a_sampler_picks_candidates_and_trains_each_with_all_seeds(tmp_path: Path) -> None:
    result = search(tmp_path / "out", sampler="tpe", step=0.05, trials=3)
    assert counted(result) == Counter(result.plan.agenda.jobs)
    assert 1 <= len(result.ranking.ranked) <= 3
    assert all(len(row.outcomes) == 2 for row in result.ranking.ranked)
    again = search(tmp_path / "again", sampler="tpe", step=0.05, trials=3)
    assert outcomes(again) == outcomes(result)


def test_halving_ends_first_seeds_early_and_trains_the_others_with_all(tmp_path: Path) -> None:
    result = search(tmp_path / "out", halving=True, epochs=3, data={"max_train": 300, "max_val": 50})
    stopped = [row for row in result.ranking.others if row.note.startswith("stopped after 1 of 3 epochs")]
    assert stopped
    assert all(len(row.outcomes) == 2 for row in result.ranking.ranked)
    assert len(result.ranking.ranked) + len(stopped) == len(result.plan.candidates)
    assert not list(result.plan.trials_folder.glob("*/training.state"))


def test_the_tradeoff_counts_what_a_network_costs(tmp_path: Path) -> None:
    result = search(tmp_path / "out", seeds=1, objective="tradeoff")
    for row in result.ranking.ranked:
        expected = row.mean * (row.candidate.macs / result.plan.space.target) ** -0.07
        assert row.score == pytest.approx(expected)
    scores = [row.score for row in result.ranking.ranked]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_two_workers_share_a_search(found: SearchResult, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    other = subprocess.Popen(
        [sys.executable, "-m", "effnet", *command(tmp_path / "there", "--yes", storage=url, study="both")],
        stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    mine = search(tmp_path / "here", storage=url, study="both")
    assert other.wait(timeout=120) == 0
    assert other.communicate()[1]
    assert counted(mine) == Counter(mine.plan.agenda.jobs)
    assert outcomes(mine) == outcomes(found)
    there = json.loads((tmp_path / "there" / "ranking.json").read_text())
    assert there["ranking"] == json.loads((tmp_path / "here" / "ranking.json").read_text())["ranking"]


@pytest.mark.slow
def test_a_killed_search_loses_and_repeats_nothing(found: SearchResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    slow_down = ["--save-minutes", "0.0001"]
    settings: dict[str, Any] = {"heartbeat": 1, "epochs": 8}
    process = subprocess.Popen(
        [sys.executable, "-m", "effnet", *command(out, "--yes", *slow_down, **settings)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (list(out.glob(f"trials/*/{OUTCOME_FILE}")) and list(out.glob("trials/*/training.state"))):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    result = search(out, **settings)
    assert counted(result) == Counter(result.plan.agenda.jobs)
    assert "fail" in {entry.state for entry in open_queue(result.plan).ledger().entries}
    undisturbed = search(tmp_path / "undisturbed", **settings)
    assert outcomes(result) == outcomes(undisturbed)
