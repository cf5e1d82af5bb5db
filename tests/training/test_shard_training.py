"""Training on shards: the bits of the data that they were made from, also after a kill and a resume."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet.data.sharded import remote
from effnet.errors import DataError
from effnet.training import state as states

sys.path.append(str(Path(__file__).parents[1] / "data"))
from file_server import Folder, serve_folder

SETTINGS: dict[str, Any] = {
    "epochs": 2, "resolution": 8, "batch_size": 128, "seed": 3, "phi": -8.0, "recipe": "digits",
}  # fmt: skip
STREAM = {"storage": "stream", "workers": 2}
"""As many shards as a window has."""
WINDOWS = STREAM | {"window": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.001)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "shards"
    effnet.shard("digits", folder, shard_mb=0.4)
    return folder


@pytest.fixture
def server(shards: Path) -> Iterator[Folder]:
    with serve_folder(Folder(shards)) as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run over shards on the disk, in windows."""
    folder = tmp_path_factory.mktemp("undisturbed")
    effnet.train(shards, out=folder, data=WINDOWS, **SETTINGS)
    return folder


def test_shards_train_to_the_bits_of_what_they_were_made_from(shards: Path, tmp_path: Path) -> None:
    effnet.train("digits", out=tmp_path / "digits", **SETTINGS)
    effnet.train(shards, out=tmp_path / "shards", data=STREAM, **SETTINGS)
    assert_same_run(tmp_path / "shards", tmp_path / "digits")


def test_a_url_trains_to_the_bits_of_the_folder(server: Folder, undisturbed: Path, tmp_path: Path) -> None:
    effnet.train(server.url, out=tmp_path, data=WINDOWS, **SETTINGS)
    assert_same_run(tmp_path, undisturbed)


def test_memory_trains_to_the_bits_of_a_stream_of_shards(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    effnet.train(shards, out=tmp_path, data={"storage": "memory", "window": 3}, **SETTINGS)
    assert_same_run(tmp_path, undisturbed)


def killed(data: str, folder: Path) -> None:
    """Train in a process of its own, and kill all of it in the middle of an epoch."""
    code = (
        "import sys, effnet\n"
        f"effnet.train(sys.argv[1], out=sys.argv[2], data={WINDOWS}, save_minutes=1e-4, **{SETTINGS})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, data, str(folder)], start_new_session=True)
    deadline = time.monotonic() + 120
    while not states.exists(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_run_over_shards_is_resumed_to_the_same_bits(
    shards: Path, undisturbed: Path, tmp_path: Path
) -> None:
    killed(str(shards), tmp_path)
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, undisturbed)


def test_a_killed_run_over_a_url_is_resumed_to_the_same_bits(
    server: Folder, undisturbed: Path, tmp_path: Path
) -> None:
    killed(server.url, tmp_path)
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, undisturbed)


def test_a_cache_smaller_than_the_set_changes_no_bit(
    server: Folder, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFNET_SHARD_CACHE_GB", "0.0009")  # two of ten
    effnet.train(server.url, out=tmp_path, data=WINDOWS, **SETTINGS)
    assert_same_run(tmp_path, undisturbed)


def test_a_store_that_fails_now_and_then_changes_no_bit(
    server: Folder, undisturbed: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in server.root.glob("*.tar"))
    server.faults = {name: ["busy", "half", "wrong bytes", "busy"] for name in names}
    effnet.train(server.url, out=tmp_path, data=WINDOWS, **SETTINGS)
    assert_same_run(tmp_path, undisturbed)


def test_images_of_a_lost_shard_are_skipped_by_name_with_the_shard(server: Folder, tmp_path: Path) -> None:
    server.always["all-000004.tar"] = "gone"
    listener = Listener()
    data = STREAM | {"max_broken": 0.3}
    effnet.train(server.url, out=tmp_path, reporter=listener, data=data, **SETTINGS)
    skipped = [line for line in listener.messages if line.startswith("skipped: ")]
    said = f": shard {server.url}/all-000004.tar cannot be read: it is not there (status 404)"
    assert len(skipped) > 100
    assert all(line.endswith(said) for line in skipped)
    assert len(set(skipped)) == len(skipped)


def test_too_many_lost_images_are_an_error_that_names_the_shard(server: Folder, tmp_path: Path) -> None:
    server.always["all-000004.tar"] = "gone"
    said = r"images cannot be read, more than the 1\.0% .*data\.max_broken.*: shard .*/all-000004\.tar cannot"
    with pytest.raises(DataError, match=said):
        effnet.train(server.url, out=tmp_path, data=STREAM, **SETTINGS)


def test_a_run_over_a_set_that_was_replaced_is_not_resumed(server: Folder, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        effnet.train(server.url, out=tmp_path / "run", reporter=Listener(epochs=1), data=STREAM, **SETTINGS)
    effnet.shard("digits", tmp_path / "other", shard_mb=1.0)
    server.root = tmp_path / "other"
    with pytest.raises(DataError, match="the index is another one than before"):
        effnet.resume(tmp_path / "run")


def test_a_model_says_where_its_shards_were(server: Folder, tmp_path: Path) -> None:
    result = effnet.train(server.url, out=tmp_path, data=STREAM, **SETTINGS)
    model = effnet.load(result.model_path)
    assert model.header.training["source"].startswith(f"{server.url},revision=")
    assert model.evaluate("digits").top1 == result.evaluation.top1
