"""Training on shards, parquet files and CSV files: the same bits from all of them, resumed exactly."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_runs import assert_same_run

import effnet
from effnet.data.datasets import open_digits
from effnet.training import state as states

COUNT = 300
SMALL: dict[str, Any] = {"recipe": "digits", "epochs": 2, "resolution": 8, "batch_size": 64, "phi": -8.0}
SETTINGS = {**SMALL, "native": False}  # kernels would be compiled into the empty cache of these tests
FLAGS = ["--recipe", "digits", "--epochs", "2", "--resolution", "8", "--batch-size", "64", "--phi", "-8"]
STREAM = {"storage": "stream", "workers": 2}
STREAM_FLAGS = ["--data.storage", "stream", "--data.workers", "2", "--save-minutes", "0.0001", "--no-native"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def members() -> Iterator[tuple[int, bytes, int]]:
    samples = open_digits().parts["all"]
    for index in range(COUNT):
        file = io.BytesIO()
        samples.read(samples.names[index]).save(file, "PNG")
        yield index, file.getvalue(), int(samples.labels[index])


def as_shards(folder: Path) -> Path:
    for shard in range(3):
        with tarfile.open(folder / f"digits-{shard}.tar", "w") as tar:
            for index, image, label in members():
                if index * 3 // COUNT == shard:
                    for name, content in ((f"{index:04d}.png", image), (f"{index:04d}.cls", b"%d" % label)):
                        info = tarfile.TarInfo(name)
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
    return folder


def as_parquet(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"image": {"bytes": image, "path": "x"}, "label": label} for _, image, label in members()]
    pq.write_table(pa.Table.from_pylist(rows), folder / "digits.parquet", row_group_size=40)
    return folder / "digits.parquet"


def as_csv(folder: Path) -> Path:
    lines = ["path,label"]
    for index, image, label in members():
        (folder / f"{index:04d}.png").write_bytes(image)
        lines.append(f"{index:04d}.png,{label}")
    (folder / "digits.csv").write_text("\n".join(lines))
    return folder / "digits.csv"


KINDS: dict[str, Callable[[Path], Path]] = {"shards": as_shards, "parquet": as_parquet, "csv": as_csv}


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on the same images, which lie in memory from the start."""
    folder = tmp_path_factory.mktemp("in_memory")
    (folder / "data").mkdir()
    effnet.train(as_csv(folder / "data"), out=folder / "run", **SETTINGS)
    return folder / "run"


@pytest.fixture(params=KINDS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return KINDS[request.param](tmp_path / "data")


def start(data: Path, folder: Path) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "effnet",
        "train",
        str(data),
        "--out",
        str(folder),
        *FLAGS,
        *STREAM_FLAGS,
    ]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not states.exists(folder):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_stream_trains_to_the_bits_of_files_in_memory(data: Path, in_memory: Path, tmp_path: Path) -> None:
    effnet.train(data, out=tmp_path / "run", data=STREAM, **SETTINGS)
    assert_same_run(tmp_path / "run", in_memory)


def test_in_memory_it_trains_to_the_same_bits(data: Path, in_memory: Path, tmp_path: Path) -> None:
    effnet.train(data, out=tmp_path / "run", **SETTINGS)
    assert_same_run(tmp_path / "run", in_memory)


def test_a_killed_run_on_shards_is_resumed_to_the_same_bits(in_memory: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    process = start(as_shards(tmp_path / "data"), tmp_path / "run")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    effnet.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", in_memory)
