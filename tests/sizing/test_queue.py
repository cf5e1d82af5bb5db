"""The queue: workers share jobs through a database; none is lost, none is counted twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest

from effnet.errors import EffnetError, UsageError
from effnet.sizing.search.ledger import REASON, WORKER, Agenda, Job, Ledger
from effnet.sizing.search.queue import Queue, Ticket
from effnet.sizing.search.storage import deliberately, open_storage, readable, sqlite_url

AGENDA = Agenda(
    tuple(Job(name, seed) for seed in (0, 1) for name in ("1 1.4 1", "2 1 1")), first_seed=0, is_gated=False
)
HEARTBEAT = 1

CLAIM = """
import sys, time
sys.path.insert(0, {folder!r})
from test_queue import AGENDA, join, nothing
queue = join({path!r})
{action}
print("ready", flush=True)
time.sleep(60)
"""


def join(path: Path | str, seed: int | None = None, heartbeat: int = HEARTBEAT) -> Queue:
    storage = open_storage(sqlite_url(Path(path)), heartbeat)
    with deliberately():
        study = optuna.create_study(
            storage=storage, study_name="test", direction="maximize", load_if_exists=True
        )
    return Queue(study, storage, sqlite_url(Path(path)), seed=seed)


def nothing(job: Job, ledger: Ledger) -> Mapping[str, float]:
    return {}


def take(queue: Queue) -> Ticket:
    ticket = queue.take(AGENDA, nothing)
    assert ticket is not None
    return ticket


def finish(queue: Queue) -> None:
    while (ticket := queue.take(AGENDA, nothing)) is not None:
        with ticket:
            assert ticket.complete(0.5, {})


def counted(queue: Queue) -> Counter[Job | None]:
    return Counter(entry.job for entry in queue.ledger().entries if entry.state == "complete")


def assert_each_job_counts_once(queue: Queue) -> None:
    assert counted(queue) == Counter(AGENDA.jobs)
    assert queue.ledger().is_over(AGENDA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.sqlite"


def killed(path: Path, action: str) -> None:
    """Let another process do something with the queue, and kill it."""
    code = CLAIM.format(folder=str(Path(__file__).parent), path=str(path), action=action)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_worker_does_each_job_once(path: Path) -> None:
    queue = join(path)
    finish(queue)
    assert_each_job_counts_once(queue)
    assert queue.take(AGENDA, nothing) is None


def test_two_workers_have_different_jobs(path: Path) -> None:
    one, other = join(path), join(path)
    tickets = [take(one), take(other), take(one), take(other)]
    assert {ticket.job for ticket in tickets} == set(AGENDA.jobs)
    assert one.take(AGENDA, nothing) is None
    assert not one.ledger().is_over(AGENDA)


def test_jobs_come_in_the_order_of_the_agenda(path: Path) -> None:
    queue = join(path)
    assert [take(queue).job for _ in AGENDA.jobs] == list(AGENDA.jobs)


def test_what_is_given_back_is_done_by_the_next(path: Path) -> None:
    one, other = join(path), join(path)
    ticket = take(one)
    ticket.give_back("interrupted")
    assert take(other).job == ticket.job
    assert one.ledger().entries[0].attrs[REASON] == "interrupted"


def test_more_seeds_are_only_added(path: Path) -> None:
    finish(join(path))
    more = Agenda((*AGENDA.jobs, Job("2 1 1", 2)), first_seed=0, is_gated=False)
    ticket = join(path).take(more, nothing)
    assert ticket is not None
    assert ticket.job == Job("2 1 1", 2)


def test_a_job_begun_twice_is_let_go_by_the_second(path: Path) -> None:
    one, other = join(path), join(path)
    job = AGENDA.jobs[0]
    for _ in range(2):  # both look at the same moment, see it open and enqueue it
        one.study.enqueue_trial({}, {"candidate": job.candidate, "seed": job.seed})
    assert take(one).job == job
    assert take(other).job == AGENDA.jobs[1]
    finish(one)
    reasons = [entry.attrs.get(REASON) for entry in one.ledger().of(job)]
    assert reasons == [None, "begun twice"]


def test_a_job_of_another_agenda_is_put_back(path: Path) -> None:
    queue = join(path)
    queue.study.enqueue_trial({}, {"candidate": "9 9 9", "seed": 0})
    assert take(queue).job == AGENDA.jobs[0]
    assert "agenda" in queue.ledger().entries[0].attrs[REASON]


def test_a_trial_that_someone_else_enqueued_is_let_go(path: Path) -> None:
    queue = join(path)
    queue.study.enqueue_trial({"u": 0.5})
    finish(queue)
    assert_each_job_counts_once(queue)


def test_a_killed_workers_job_goes_to_another(path: Path) -> None:
    killed(path, "queue.take(AGENDA, nothing).__enter__()")
    queue = join(path)
    assert queue.ledger().of(AGENDA.jobs[0])[0].state == "running"
    finish(queue)
    assert not queue.ledger().is_over(AGENDA)
    wait_until(lambda: queue.ledger().ready(AGENDA) == [AGENDA.jobs[0]])
    finish(queue)
    assert_each_job_counts_once(queue)
    assert [entry.state for entry in queue.ledger().of(AGENDA.jobs[0])] == ["fail", "complete"]


@pytest.mark.parametrize(
    "action",
    [
        'queue.study.enqueue_trial({}, {"candidate": "1 1.4 1", "seed": 0})',
        'queue.study.enqueue_trial({}, {"candidate": "1 1.4 1", "seed": 0}); queue.study.ask()',
    ],
    ids=["before it began", "before its first sign of life"],
)
def test_a_worker_killed_at_a_bad_moment_loses_nothing(action: str, path: Path) -> None:
    action = f"import warnings; warnings.simplefilter('ignore'); {action}"
    killed(path, action)
    queue = join(path)

    def is_over() -> bool:
        finish(queue)
        return queue.ledger().is_over(AGENDA)

    wait_until(is_over)
    assert_each_job_counts_once(queue)


def test_a_living_worker_keeps_its_job(path: Path) -> None:
    one, other = join(path), join(path)
    with take(one) as ticket:
        time.sleep(4.5 * HEARTBEAT)
        finish(other)
        assert other.ledger().status(ticket.job, AGENDA) == "running"
        assert ticket.complete(0.7, {})
    assert_each_job_counts_once(other)


def test_a_worker_taken_for_dead_is_not_counted(path: Path) -> None:
    one, other = join(path), join(path)
    ticket = take(one)  # its heart does not beat: it was not entered
    wait_until(lambda: other.ledger().ready(AGENDA)[:1] == [ticket.job])
    again = take(other)
    assert again.job == ticket.job
    assert not ticket.complete(0.9, {"late": 1})
    assert not ticket.note({"late": 2})
    assert again.complete(0.5, {})
    finish(other)
    assert_each_job_counts_once(other)


def test_a_sampler_draws_by_seed_and_number(path: Path, tmp_path: Path) -> None:
    def draws(file: Path, seed: int) -> list[tuple[float, float]]:
        queue = join(file, seed)
        return [take(queue).point() for _ in range(3)]

    first = draws(path, 1)
    assert draws(tmp_path / "again.sqlite", 1) == first
    assert draws(tmp_path / "other.sqlite", 2) != first
    assert len(set(first)) == 3


def test_a_job_keeps_the_point_that_was_drawn(path: Path) -> None:
    queue = join(path, seed=1)
    point = take(queue).point()
    ticket = queue.take(AGENDA, lambda job, ledger: dict(zip("uv", point, strict=True)))
    assert ticket is not None
    assert ticket.point() == point


def test_the_pruner_ends_what_is_worse_than_others(path: Path) -> None:
    queue = join(path)
    queue.study.pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    good, bad = take(queue), take(queue)
    assert [good.is_hopeless(epoch, 0.1 * epoch) for epoch in (1, 2, 3)] == [False, False, False]
    assert [bad.is_hopeless(epoch, 0.05 * epoch) for epoch in (1, 2)] == [False, True]


def test_a_worker_signs_its_trial(path: Path) -> None:
    queue = join(path)
    take(queue)
    assert queue.ledger().entries[0].attrs[WORKER].endswith(f":{os.getpid()}")


@pytest.mark.parametrize("url", ["somewhere", "sqlite:/x", "a b c", "nodb://host/x"])
def test_what_is_no_url_is_said_so(url: str) -> None:
    with pytest.raises(UsageError, match=r"not the URL of a database; it looks like sqlite:///FILE"):
        open_storage(url, 1)


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(
        UsageError, match=r"--storage oracle://.*: .*install the package for this kind of dat"
    ):
        open_storage("oracle://me@host/x", 1)


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        EffnetError, match=r"--storage sqlite.*cannot be used: .*unable to open database file"
    ):
        open_storage(sqlite_url(tmp_path / "missing" / "study.sqlite"), 1)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(EffnetError, match=r"cannot be used: .*file is not a database"):
        open_storage(sqlite_url(tmp_path / "text"), 1)


def test_passwords_are_not_shown() -> None:
    assert "secret" not in readable("postgresql://me:secret@host/x")
