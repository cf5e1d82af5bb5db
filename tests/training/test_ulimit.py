"""A real limit on memory, as a shell sets it: what does not fit is refused with what would, and then fits."""

import subprocess
import sys
from pathlib import Path

import pytest

from effnet.device import STATUS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATUS.exists(), reason="memory can be measured on Linux only"),
]

LIMIT_KB = 6_000_000  # torch alone takes 1 to 4 GB of addresses


def train(out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "effnet", "train", "digits", "--out", str(out), "--model", "b0-cifar",
        "--resolution", "64", "--batch-size", "512", "--epochs", "1", *flags,
    ]  # fmt: skip
    shell = ["bash", "-c", f'ulimit -v {LIMIT_KB} && exec "$@"', "bash", *command]
    return subprocess.run(shell, capture_output=True, text=True, check=False)


def test_a_batch_that_does_not_fit_is_refused_with_what_does(tmp_path: Path) -> None:
    done = train(tmp_path)
    assert done.returncode == 1
    assert "--optim.accumulate" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_auto_batch_trains_in_the_same_memory(tmp_path: Path) -> None:
    done = train(tmp_path, "--auto-batch")
    assert done.returncode == 0, done.stderr
    assert "pieces" in done.stderr
    assert (tmp_path / "model.safetensors").exists()
