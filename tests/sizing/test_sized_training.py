"""A training within a budget: the network is sized, trained, and its file says how it was chosen."""

from pathlib import Path
from typing import Any

import pytest

import effnet
from effnet.cli.main import main
from effnet.errors import UsageError
from effnet.modelfile import load_header
from effnet.spec.cost import cost
from effnet.training.reporter import EpochRecord, Silent

SMALL: dict[str, Any] = {"epochs": 2, "resolution": 8, "device": "cpu", "optim": {"ema_decay": 0.0}}


class Stopping(Silent):
    """Ends the training after its first epoch, as a stop button does."""

    def epoch(self, record: EpochRecord) -> None:
        if record.epoch == 1:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was sized by the command."""
    folder = tmp_path_factory.mktemp("sized") / "run"
    arguments = [
        "train",
        "digits",
        "--out",
        str(folder),
        "--max-params",
        "250k",
        "--max-train-minutes",
        "1e6",
    ]
    assert main([*arguments, "--epochs", "1", "--resolution", "8", "--device", "cpu"]) == 0
    return folder


def test_the_file_says_what_was_chosen_and_measured(run: Path) -> None:
    header = load_header(run / "model.safetensors")
    sizing = header.training["sizing"]
    assert cost(header.spec, 10).params <= 250_000
    assert header.training["config"]["phi"] == sizing["phi"] < 0
    assert sizing["limits"] == {"max_params": 250_000, "max_train_minutes": 1e6}
    assert sizing["binding"] == ["max_params"]
    assert sizing["measured"]["params"] == cost(header.spec, 10).params
    assert sizing["measured"]["latency"]["median_ms"] > 0
    assert sizing["conditions"]["device"] == "cpu"


def test_show_says_it_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(run / "model.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert "the largest within max_params 250000, max_train_minutes 1e+06; measured" in printed


def test_a_resumed_training_still_knows(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        effnet.train("digits", out=tmp_path, max_params=2.5e5, reporter=Stopping(), **SMALL)
    header = load_header(effnet.resume(tmp_path).model_path)
    assert header.training["sizing"]["limits"] == {"max_params": 250_000}
    assert cost(header.spec, 10).params <= 250_000


def test_without_limits_nothing_is_sized(tmp_path: Path) -> None:
    result = effnet.train("digits", out=tmp_path, phi=-9, **{**SMALL, "epochs": 1})
    assert "sizing" not in load_header(result.model_path).training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_params": 2.5e5, "phi": -3}, "--phi and --max-params 250000 exclude each other"),
        ({"max_params": "many"}, "--max-params many: must be a number"),
        (
            {"max_train_minutes": 30, "max_minutes": 10.0},
            "--max-train-minutes 30 and max_minutes = 10 contradict each other",
        ),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        effnet.train("digits", out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
