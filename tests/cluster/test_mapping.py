"""A function over items on a cluster: each result once, whatever happens to the workers."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from cluster_work import Listener, StoppedError

from effnet import __version__
from effnet.cluster import mapping
from effnet.cluster.machines import Cluster
from effnet.cluster.mapping import MAX_DEATHS, Later, WorkersDiedError, WorkerStoppedError, map_on_cluster
from effnet.errors import DataError, EffnetError, UsageError


def square(number: int) -> int:
    return number * number


def dies_at_first(folder: Path, number: int) -> int:
    """Do an item; 3 takes its worker along the first time."""
    tried = folder / f"{number}-{os.getpid()}"
    tried.touch()
    if number == 3 and len(list(folder.glob("3-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def dies(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuses(number: int) -> int:
    if number == 1:
        raise DataError("no images")
    return number


def is_wrong(number: int) -> int:
    return 1 // number


def is_asked_to_stop(folder: Path, number: int) -> int:
    marker = folder / str(number)
    if not marker.exists():
        marker.touch()
        raise WorkerStoppedError("the machine is shut down")
    return number


def waits(folder: Path, number: int) -> None:
    """Wait for a signal, and leave a word when it comes."""
    (folder / f"begun-{number}").touch()
    try:
        for _ in range(6000):  # Ray's signal does not end a sleep
            time.sleep(0.01)
    except KeyboardInterrupt:
        (folder / f"stopped-{number}").touch()
        raise


def test_each_item_comes_once_with_its_result(cluster: Cluster) -> None:
    listener = Listener()
    found = list(map_on_cluster(square, range(20), cluster, listener))
    assert sorted(found) == [(number, number * number) for number in range(20)]
    assert (listener.lines, listener.most) == ([], 2)


def test_what_a_killed_worker_had_is_done_again(cluster: Cluster, tmp_path: Path) -> None:
    listener = Listener()
    found = list(map_on_cluster(partial(dies_at_first, tmp_path), range(6), cluster, listener))
    assert sorted(found) == [(number, number * number) for number in range(6)]
    (line,) = listener.lines
    assert line == (
        "warning: the worker that had 3 died (WorkerCrashedError); it is done again, attempt 2 of 5"
    )
    assert len(list(tmp_path.glob("3-*"))) == 2


def test_an_item_that_no_worker_survives_is_given_up(cluster: Cluster) -> None:
    listener = Listener()
    found = dict(map_on_cluster(dies, range(3), cluster, listener))
    assert (found[0], found[2]) == (0, 2)
    assert isinstance(found[1], WorkersDiedError)
    assert str(found[1]).startswith(f"1: its worker died {MAX_DEATHS} times (out of memory?)")
    assert len(listener.lines) == MAX_DEATHS - 1


def test_an_error_for_the_user_comes_as_what_it_is(cluster: Cluster) -> None:
    found = dict(map_on_cluster(refuses, range(3), cluster, Listener()))
    assert isinstance(found[1], DataError)
    assert str(found[1]) == "no images"
    assert (found[0], found[2]) == (0, 2)


def lacks_a_module(number: int) -> None:
    import_module("not_installed_there")


def test_what_a_machine_lacks_is_named(cluster: Cluster) -> None:
    ((_, error),) = map_on_cluster(lacks_a_module, [1], cluster, Listener())
    assert str(error).startswith("a machine of the cluster lacks the module not_installed_there; install")


def test_a_bug_shows_itself(cluster: Cluster) -> None:
    with pytest.raises(ZeroDivisionError, match="is_wrong"):
        list(map_on_cluster(is_wrong, [0], cluster, Listener()))


def test_an_item_whose_machine_stops_is_done_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    listener = Listener()
    found = list(map_on_cluster(partial(is_asked_to_stop, tmp_path), [7], cluster, listener))
    assert found == [(7, 7)]
    assert "died (the machine is shut down)" in listener.lines[0]


def test_items_may_come_later(cluster: Cluster) -> None:
    done: list[int] = []

    def items() -> Iterator[int | Later]:
        yield 1
        while not done:
            yield Later()
        yield 2

    for item, _ in map_on_cluster(square, items(), cluster, Listener()):
        done.append(item)
    assert done == [1, 2]


def test_no_more_than_so_many_items_are_begun_behind_the_oldest(cluster: Cluster) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(12):
            taken.append(number)
            yield number

    def first_is_slow(number: int) -> int:
        time.sleep(1.0 if number == 0 else 0.0)
        return number

    behind = []
    for item, _ in map_on_cluster(first_is_slow, items(), cluster, Listener(), max_ahead=4):
        if item == 0:
            behind.append(len(taken))
    assert behind[0] <= 6


def test_who_is_stopped_hears_it(cluster: Cluster, tmp_path: Path) -> None:
    listener = Listener(stop=lambda: len(list(tmp_path.glob("begun-*"))) == 2)
    with pytest.raises(StoppedError):
        list(map_on_cluster(partial(waits, tmp_path), range(5), cluster, listener))
    assert len(list(tmp_path.glob("begun-*"))) == 2
    assert len(list(tmp_path.glob("stopped-*"))) == 2


def test_who_does_not_stop_is_killed(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "STOP_SECONDS", 0.2)

    def is_deaf(number: int) -> None:
        (tmp_path / str(os.getpid())).touch()
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                continue

    with pytest.raises(StoppedError):
        list(map_on_cluster(is_deaf, [0], cluster, Listener(stop=lambda: any(tmp_path.iterdir()))))
    (process,) = [int(path.name) for path in tmp_path.iterdir()]
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{process}").exists()


@pytest.mark.parametrize(("cpus", "gpus"), [(64, 0), (1, 1)])
def test_what_no_machine_here_has_is_refused(cluster: Cluster, cpus: float, gpus: float) -> None:
    with pytest.raises(UsageError, match=r"each takes .* GPUs; this machine has 2 CPUs and 0 GPUs"):
        list(map_on_cluster(square, [1], Cluster("local", cpus, gpus), Listener()))


@pytest.mark.parametrize(("cpus", "gpus"), [(0, None), (-1, None), (1, -0.5)])
def test_an_item_takes_something(cpus: float, gpus: float | None) -> None:
    with pytest.raises(UsageError, match="not possible"):
        Cluster("local", cpus, gpus)


def test_a_machine_with_another_effnet_refuses(tmp_path: Path) -> None:
    refusal = mapping._attempt(square, 2, f"not {__version__}", str(tmp_path))
    assert isinstance(refusal, mapping._Refusal)
    error = refusal.error()
    assert type(error) is EffnetError
    assert f"has effnet {__version__}, and this machine not {__version__}; install the same" in str(error)
