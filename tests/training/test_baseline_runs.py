"""Whole runs of the baselines: they train, resume in the same bits, and leave a model file that works."""

from pathlib import Path
from typing import Any

import pytest
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet.evaluation.classifier import load
from effnet.modelfile import load_header

SETTINGS: dict[str, Any] = {"epochs": 2, "resolution": 8, "batch_size": 64, "phi": -8.0, "seed": 3}
SLOW = ("mobilenet-v1", "resnet-50-cifar")


@pytest.mark.parametrize(
    "name",
    ["mobilenet-v2-cifar", "resnet-18-cifar", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)],
)
def test_a_baseline_trains_and_resumes_in_the_same_bits(name: str, tmp_path: Path) -> None:
    settings = SETTINGS | {"model": name, "checkpoint_stages": name.startswith("resnet")}
    result = effnet.train("digits", out=tmp_path / "whole", **settings)
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path / "resumed", reporter=Listener(epochs=1), **settings)
    effnet.resume(tmp_path / "resumed")
    assert_same_run(tmp_path / "resumed", tmp_path / "whole")

    model = tmp_path / "whole" / "model.safetensors"
    assert load_header(model).spec.name == f"{name}-phi-8"
    assert load(model).evaluate("digits").loss == result.evaluation.loss
