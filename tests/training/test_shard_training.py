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
from effnet.evaluation.classifier import load
from effnet.training import state as states
from file_server import Folder, serve_folder
from shard_sets import write_folder, write_set

SETTINGS: dict[str, Any] = {
    "epochs": 2, "resolution": 8, "batch_size": 32, "seed": 3, "phi": -8.0, "recipe": "digits",
    "native": False,
}  # fmt: skip
STREAM = {"storage": "stream", "workers": 1}
"""As many shards as a window has."""
WINDOWS = STREAM | {"window": 3}
NUM_IMAGES = 300


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.001)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"), NUM_IMAGES)


@pytest.fixture(scope="module")
def shards(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set") / "shards", images, shard_mb=0.07)


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


def test_shards_train_to_the_bits_of_what_they_were_made_from(
    shards: Path, images: Path, tmp_path: Path
) -> None:
    effnet.train(images, out=tmp_path / "images", **SETTINGS)
    effnet.train(shards, out=tmp_path / "shards", data=STREAM, **SETTINGS)
    assert_same_run(tmp_path / "shards", tmp_path / "images")


def test_a_url_whose_store_fails_now_and_then_trains_to_the_bits_of_the_folder(
    server: Folder, images: Path, undisturbed: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in server.root.glob("*.tar"))
    server.faults = {name: ["busy", "half", "wrong bytes", "busy"] for name in names}
    result = effnet.train(server.url, out=tmp_path, data=WINDOWS, **SETTINGS)
    assert_same_run(tmp_path, undisturbed)
    model = load(result.model_path)
    assert model.header.training["source"].startswith(f"{server.url},revision=")
    assert model.evaluate(images).top1 == result.evaluation.top1  # the same split, known by its names


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


def test_a_killed_run_over_foreign_shards_is_resumed_to_the_same_bits(shards: Path, tmp_path: Path) -> None:
    """Without our index they are read at any place too: the resume is in the middle of an epoch."""
    foreign = f"{shards}/*.tar"
    effnet.train(foreign, out=tmp_path / "undisturbed", data=STREAM, **SETTINGS)
    killed(foreign, tmp_path / "killed")
    effnet.resume(tmp_path / "killed")
    assert_same_run(tmp_path / "killed", tmp_path / "undisturbed")


def test_a_killed_run_over_a_url_is_resumed_to_the_same_bits(
    server: Folder, undisturbed: Path, tmp_path: Path
) -> None:
    killed(server.url, tmp_path)
    effnet.resume(tmp_path)
    assert_same_run(tmp_path, undisturbed)


def test_a_cache_smaller_than_the_set_changes_no_bit(
    server: Folder, shards: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = max(path.stat().st_size for path in shards.glob("*.tar"))
    monkeypatch.setenv("EFFNET_SHARD_CACHE_GB", str(2 * size / 1e9))
    effnet.train(server.url, out=tmp_path, data=WINDOWS | {"workers": 0}, **SETTINGS)
    assert_same_run(tmp_path, undisturbed)


def test_images_of_a_lost_shard_are_skipped_by_name_with_the_shard(server: Folder, tmp_path: Path) -> None:
    server.always["all-000002.tar"] = "gone"
    listener = Listener()
    with pytest.raises(
        DataError, match=r"more than the 1\.0% .*data\.max_broken.*: shard .*/all-000002\.tar "
    ):
        effnet.train(server.url, out=tmp_path / "strict", data=STREAM, **SETTINGS)
    data = STREAM | {"max_broken": 0.3}
    effnet.train(server.url, out=tmp_path / "lenient", reporter=listener, data=data, **SETTINGS)
    skipped = [line for line in listener.messages if line.startswith("skipped: ")]
    said = f": shard {server.url}/all-000002.tar cannot be read: it is not there (status 404)"
    assert len(skipped) > 20
    assert all(line.endswith(said) for line in skipped)
    assert len(set(skipped)) == len(skipped)


def test_a_run_over_a_set_that_has_changed_is_not_resumed(
    server: Folder, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(StopError):
        effnet.train(server.url, out=tmp_path / "run", reporter=Listener(epochs=1), data=STREAM, **SETTINGS)
    write_set(tmp_path / "other", images, shard_mb=1.0)
    server.root = tmp_path / "other"
    with pytest.raises(DataError, match="the index is another one than before"):
        effnet.resume(tmp_path / "run")
