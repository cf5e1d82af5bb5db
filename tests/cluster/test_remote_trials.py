"""Trials of studies and searches on a cluster: the results of one machine, whatever kills the workers."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from cluster_work import killed_when

import effnet
from effnet.cli.main import main
from effnet.cluster.machines import Cluster
from effnet.cluster.witness import Witness, witness_in
from effnet.errors import DataError, UsageError
from effnet.sizing.remote import RemoteTrial
from effnet.sizing.search.optuna_study import open_queue
from effnet.sizing.search.results import RANKING_FILE, SearchResult
from effnet.sizing.search.worker import InterruptedSearchError
from effnet.sizing.study.run import InterruptedStudyError, StudyResult
from effnet.sizing.trial import OUTCOME_FILE
from effnet.training.reporter import Silent
from tiny_search import SETTINGS, Listener, command, write_base

FEW = {"max_train": 300, "max_val": 100}
STUDY = {
    "data": FEW,
    "arms": ("width", "compound"),
    "phis": (0.0, 1.0),
    "seeds": 1,
    "device": "cpu",
    "resolution": 12,
}
OF_TIME = ("seconds", "command", "page", "images_per_second", "environment")


class Talker(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def timeless(value: Any) -> Any:
    """Return JSON values without times and places."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in OF_TIME}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def content(path: Path) -> Any:
    return timeless(json.loads(path.read_text(encoding="utf-8")))


def outcomes(store: Path) -> dict[str, Any]:
    return {path.parent.name: content(path) for path in store.glob(f"*/{OUTCOME_FILE}")}


def study(place: Path, **words: Any) -> StudyResult:
    """Do a study whose results name no other folder than that of any other place."""
    settings: dict[str, Any] = {**STUDY, "epochs": 2, "batch_size": 20, "native": False, **words}
    return effnet.study("digits", out="out", base=write_base(place), input={"channels": 1}, **settings)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the working folder."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_study_is_that_of_one_machine_though_a_worker_is_killed(cluster: Cluster, place: Path) -> None:
    talker, store = Talker(), place / "out" / "trials"
    with killed_when(lambda: any(store.glob("*/training.state"))) as killed:
        together = study(place, cluster=cluster, reporter=talker)
    assert len(killed) == 1
    assert any("died (WorkerCrashedError); it is done again, attempt 2 of 5" in each for each in talker.lines)
    assert together.is_complete
    shutil.move(place / "out", place / "together")
    study(place)
    assert content(place / "together" / "study.json") == content(place / "out" / "study.json")
    assert outcomes(place / "together" / "trials") == outcomes(store)
    assert not list(place.rglob("training.state"))
    assert not list(place.rglob(".cluster-*"))


def test_a_signal_saves_the_trials_and_the_same_call_goes_on(cluster: Cluster, place: Path) -> None:
    store = place / "out" / "trials"
    sent = False

    class Cancelling(Talker):
        def working(self, what: str, done: int, total: int) -> None:
            nonlocal sent
            if not sent:
                sent = True
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedStudyError, match="of 3 trials are done; run again to go on") as stopped:
        study(place, cluster=cluster, reporter=Cancelling())
    assert stopped.value.exit_code == 130
    assert len(outcomes(store)) < 3
    assert study(place, cluster=cluster).is_complete


def search(place: Path, **words: Any) -> SearchResult:
    settings: dict[str, Any] = {"seeds": 2, **SETTINGS, "epochs": 2, "batch_size": 20, **words}
    return effnet.search("digits", base=write_base(place), out="out", **settings)


@pytest.mark.slow
def test_a_search_is_that_of_one_machine_though_a_worker_is_killed(cluster: Cluster, place: Path) -> None:
    store, listener = place / "out" / "trials", Listener()
    with killed_when(lambda: any(store.glob("*/training.state"))) as killed:
        together = search(place, cluster=cluster, reporter=listener)
    assert len(killed) == 1
    assert any("it is done again, attempt 2 of 5" in line for line in listener.messages)
    entries = open_queue(together.plan).ledger().entries
    assert [entry.state for entry in entries] == ["complete"] * len(together.plan.agenda.jobs)
    assert listener.progress[-1].total == len(entries)
    shutil.move(place / "out", place / "together")
    search(place)
    assert content(place / "together" / RANKING_FILE) == content(place / "out" / RANKING_FILE)
    assert outcomes(place / "together" / "trials") == outcomes(store)


def test_a_stopped_search_gives_its_trials_back(cluster: Cluster, place: Path) -> None:
    class Stopping(Listener):
        def trials(self, progress: Any) -> None:
            super().trials(progress)
            if len(self.progress) == 3:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedSearchError):
        search(place, cluster=cluster, reporter=Stopping())
    result = search(place, cluster=cluster)
    states = [entry.state for entry in open_queue(result.plan).ledger().entries]
    assert states.count("complete") == len(result.plan.agenda.jobs)
    assert "running" not in states


def test_halving_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = command(place / "out", "--yes", "--halving", "--cluster", "local", epochs=3)
    assert main(asked) == 2
    assert "--halving asks the storage after every epoch" in capsys.readouterr().err


def test_shares_without_a_cluster_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(place / "out", "--yes", "--gpus-per-trial", "0.5")) == 2
    assert "add --cluster ADDRESS" in capsys.readouterr().err


def remote(place: Path, **changes: Any) -> RemoteTrial:
    from effnet.data.datasets import open_digits

    values: dict[str, Any] = {
        "store": place,
        "folder": str(place),
        "data": None,
        "witness": Witness(place / "w", "secret"),
    }
    return RemoteTrial(open_digits(), **(values | changes))


def test_a_machine_that_does_not_see_the_store_says_so(place: Path) -> None:
    with pytest.raises(
        UsageError, match=r"does not see the folder .* of this machine; a cluster needs one that"
    ):
        remote(place)(None)  # type: ignore[arg-type]


def test_a_folder_of_the_same_name_is_another_one(place: Path) -> None:
    with witness_in(place) as witness:
        witness.check()
        with pytest.raises(UsageError, match="does not see the folder"):
            Witness(witness.path, "another secret").check()
    assert not list(place.iterdir())


def test_a_machine_without_the_data_or_the_folder_says_so(place: Path) -> None:
    with witness_in(place) as witness:
        with pytest.raises(UsageError, match="does not see /elsewhere, where the command runs"):
            remote(place, witness=witness, folder="/elsewhere")(None)  # type: ignore[arg-type]
        with pytest.raises(
            DataError, match="does not see the data /photos; put it where all machines see it"
        ):
            remote(place, witness=witness, data=Path("/photos"))(None)  # type: ignore[arg-type]
