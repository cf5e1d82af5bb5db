"""The ledger: every job is open, with a worker, or over, and counts once."""

import pytest

from effnet.sizing.search.ledger import ERROR, MAX_DEATHS, REASON, Agenda, Entry, Job, Ledger, State

JOB, OTHER = Job("1 1.4 1", 0), Job("2 1 1", 0)
LATER = Job(JOB.candidate, 1)
AGENDA = Agenda((JOB, OTHER, LATER), first_seed=0, is_gated=False)
GATED = Agenda(AGENDA.jobs, first_seed=0, is_gated=True)


def entry(number: int, state: State, job: Job | None = JOB) -> Entry:
    return Entry(number, state, job, {}, {})


def noted(number: int, state: State, name: str, text: str) -> Entry:
    return Entry(number, state, JOB, {name: text}, {})


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ([], "open"),
        ([entry(0, "waiting")], "open"),
        ([entry(0, "running")], "running"),
        ([entry(0, "fail")], "open"),
        ([noted(0, "fail", REASON, "interrupted")], "open"),
        ([entry(0, "fail"), entry(1, "running")], "running"),
        ([entry(0, "fail"), entry(1, "complete")], "done"),
        ([entry(0, "complete"), entry(1, "running")], "done"),
        ([entry(0, "pruned")], "stopped"),
        ([noted(0, "fail", ERROR, "the loss is nan")], "failed"),
        ([entry(0, "complete", OTHER)], "open"),
        ([entry(0, "complete", None)], "open"),
    ],
)
def test_status_of_a_job(entries: list[Entry], status: str) -> None:
    assert Ledger(entries).status(JOB, AGENDA) == status


def test_a_job_that_kills_its_workers_is_given_up() -> None:
    deaths = [entry(number, "fail") for number in range(MAX_DEATHS)]
    assert Ledger(deaths[1:]).status(JOB, AGENDA) == "open"
    assert Ledger(deaths).status(JOB, AGENDA) == "failed"
    assert "died 5 times" in (Ledger(deaths).error(JOB) or "")


def test_interruptions_are_no_deaths() -> None:
    given_back = [noted(number, "fail", REASON, "interrupted") for number in range(2 * MAX_DEATHS)]
    assert Ledger(given_back).status(JOB, AGENDA) == "open"


def test_the_first_result_is_the_only_one_that_counts() -> None:
    ledger = Ledger([entry(0, "fail"), entry(1, "complete"), entry(2, "complete")])
    counted = ledger.result(JOB)
    assert counted is not None
    assert counted.number == 1


def test_jobs_are_ready_in_the_order_of_the_agenda() -> None:
    assert Ledger([]).ready(AGENDA) == [JOB, OTHER, LATER]
    assert Ledger([entry(0, "running")]).ready(AGENDA) == [OTHER, LATER]


def test_other_seeds_wait_at_the_gate() -> None:
    assert Ledger([]).ready(GATED) == [JOB, OTHER]
    assert Ledger([entry(0, "running")]).ready(GATED) == [OTHER]
    assert Ledger([entry(0, "complete")]).ready(GATED) == [OTHER, LATER]


@pytest.mark.parametrize("end", [entry(0, "pruned"), noted(0, "fail", ERROR, "the loss is nan")])
def test_other_seeds_are_skipped_when_the_first_came_to_nothing(end: Entry) -> None:
    ledger = Ledger([end, entry(1, "complete", OTHER)])
    assert ledger.status(LATER, GATED) == "skipped"
    assert ledger.is_over(GATED)
    assert not ledger.is_over(AGENDA)


def test_a_search_is_not_over_while_someone_is_at_it() -> None:
    done = [entry(number, "complete", job) for number, job in enumerate((OTHER, LATER))]
    assert not Ledger([*done, entry(2, "running")]).is_over(AGENDA)
    assert Ledger([*done, entry(2, "complete")]).is_over(AGENDA)


def test_of_two_that_began_a_job_the_first_holds_it() -> None:
    ledger = Ledger([entry(3, "running"), entry(4, "running")])
    assert ledger.holds(3, JOB)
    assert not ledger.holds(4, JOB)


def test_who_begins_a_job_that_is_done_does_not_hold_it() -> None:
    assert not Ledger([entry(3, "running"), entry(4, "complete")]).holds(3, JOB)
    assert Ledger([entry(2, "fail"), entry(3, "running")]).holds(3, JOB)
