"""The benchmark of fine-tuning: what it compares, and how it says so."""

from pathlib import Path

import finetune
from effnet.spec import netspec
from tiny_origins import SPEC, write


def test_all_ways_have_the_same_images_network_and_input(tmp_path: Path) -> None:
    source = write(tmp_path / "source.safetensors")
    contest = finetune.Contest(tmp_path, source, tmp_path, folds=5, resolution=12, seed=3)
    settings = {way: contest.settings(way) for way in finetune.WAYS}
    for name in ("resolution", "seed", "folds"):
        assert len({given[name] for given in settings.values()}) == 1
    assert settings["finetune"] | {"probe": True} == settings["probe"]
    assert netspec.load(Path(settings["scratch"]["model"])) == SPEC
    assert settings["scratch"]["input"]["mean"] == (0.3,)
    assert settings["scratch"]["input"]["channels"] == 1


def test_a_difference_is_paired_by_fold() -> None:
    """The gains are 0.1 ± 0.01: t(0.975, 2) · 0.01 · √(1/3 + 1/2) is 3.93 %."""
    said = finetune.difference([0.91, 0.60, 0.39], [0.80, 0.50, 0.30])
    assert said == "+10.00% (95 % interval +6.07% to +13.93%)"


def test_a_network_once_trained_is_taken_again(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors")
    assert finetune.trained_source(tmp_path, "no such data", 1.0) == tmp_path / "model.safetensors"
