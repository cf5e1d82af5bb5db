"""The README's code runs as it stands: blocks marked `sh` and `python`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_six_lines_of_each() -> None:
    for language in ("sh", "python"):
        lines = [line for line in blocks(language)[0].splitlines() if line and "import effnet" not in line]
        assert len(lines) == 6


@pytest.mark.parametrize("block", blocks("sh"))
def test_command_lines_run(block: str, tmp_path: Path) -> None:
    printed = run(["bash", "-euo", "pipefail", "-c", block], tmp_path)
    assert "images right" in printed
    assert list((tmp_path / "runs" / "digits" / "examples").glob("*.png"))


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block: str, tmp_path: Path) -> None:
    printed = run([sys.executable, "-c", block], tmp_path)
    assert "Cost(params=" in printed
    assert "Prediction(image=" in printed
