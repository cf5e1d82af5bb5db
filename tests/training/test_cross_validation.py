"""Cross-validation: one run a fold, scores in a file, then a model of all training images."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet import modelfile
from effnet.config import DataConfig, TrainConfig
from effnet.data.datasets import open_digits
from effnet.data.splits import split
from effnet.errors import DataError, EffnetError, ModelFileError, UsageError
from effnet.evaluation.classifier import load
from effnet.training import state as states
from effnet.training.crossing import Crossing, of_fold, with_share
from effnet.training.folds import CrossValidation, FoldScore
from effnet.training.parts import assemble
from effnet.training.reporter import EpochRecord, Silent
from effnet.training.results import TrainResult
from tiny_origins import FEW, write

SETTINGS = FEW | {"epochs": 1}


class Stop(Listener):
    """Ends the run after so many epochs of all folds together."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.left = epochs

    def epoch(self, record: EpochRecord) -> None:
        if self.left == 0:
            raise StopError
        self.left -= 1


def cross(source: Path, out: Path, **settings: Any) -> TrainResult:
    reporter = settings.pop("reporter", None)
    given = {"folds": 2} | SETTINGS | settings
    return effnet.train("digits", source=str(source), out=out, reporter=reporter, **given)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "source.safetensors")


@pytest.fixture(scope="module")
def crossed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return cross(source, tmp_path_factory.mktemp("crossed"))


def test_every_training_image_is_judged_once(crossed: TrainResult) -> None:
    assert crossed.folds is not None
    plain = split(open_digits(), DataConfig(test_fraction=0.03), 0)
    assert sum(score.num_images for score in crossed.folds.scores) == len(plain.train) + len(plain.val)


def test_the_model_is_that_of_a_training_without_folds(
    source: Path, crossed: TrainResult, tmp_path: Path
) -> None:
    effnet.train("digits", source=str(source), out=tmp_path, **SETTINGS)
    assert_same_run(crossed.folder, tmp_path)


def test_the_file_holds_every_score_and_what_they_come_to(crossed: TrainResult) -> None:
    plan = json.loads((crossed.folder / "folds.json").read_text())
    assert crossed.folds is not None
    assert plan["finished"]
    assert (plan["mean"], plan["spread"]) == (crossed.folds.mean, crossed.folds.spread)
    assert crossed.to_dict()["folds"]["scores"] == plan["scores"]
    for score in plan["scores"]:
        header = modelfile.load_header(Path(score["model"]))
        assert header.metrics["test"]["top1"] == score["top1"]
        assert header.training["config"]["data"]["fold"] == f"{score['fold']}/2"
    assert not list(crossed.folder.rglob("*.state"))
    assert not (crossed.folder / "folds" / "from.safetensors").exists()


def test_a_model_of_a_fold_is_evaluated_on_its_fold(crossed: TrainResult) -> None:
    assert crossed.folds is not None
    score = crossed.folds.scores[1]
    found = load(score.model).evaluate("digits")
    assert (found.num_images, found.top1) == (score.num_images, score.top1)


@pytest.mark.parametrize("epochs", [1, 2], ids=["second fold", "after the folds"])
def test_an_interrupted_one_goes_on_to_the_same_bits_without_its_source(
    epochs: int, crossed: TrainResult, tmp_path: Path
) -> None:
    source = write(tmp_path / "source.safetensors")
    with pytest.raises(StopError):
        cross(source, tmp_path / "run", reporter=Stop(epochs))
    source.unlink()
    with pytest.raises(UsageError, match="holds an unfinished training with other settings"):
        cross(crossed.model_path, tmp_path / "run")
    result = effnet.resume(tmp_path / "run")
    assert_same_run(tmp_path / "run", crossed.folder)
    assert result.folds is not None
    assert crossed.folds is not None
    assert [score.top1 for score in result.folds.scores] == [score.top1 for score in crossed.folds.scores]


def test_a_fold_in_the_middle_goes_on_where_it_was(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        cross(source, tmp_path, reporter=Stop(1), epochs=2)
    step = states.load(tmp_path / "folds" / "1")[0].info["step"]
    listener = Stop(1)
    with pytest.raises(StopError):
        effnet.resume(tmp_path, reporter=listener)
    assert listener.messages.count(f"going on after step {step}") == 1
    assert (tmp_path / "folds" / "1" / "model.safetensors").exists()


def test_a_finished_one_cannot_be_resumed(crossed: TrainResult) -> None:
    with pytest.raises(EffnetError, match="holds no unfinished training"):
        effnet.resume(crossed.folder)


def test_other_weights_than_before_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        cross(source, tmp_path / "run", reporter=Stop(0))
    write(tmp_path / "run" / "folds" / "from.safetensors", seed=7)
    with pytest.raises(ModelFileError, match="is not the model file that the training began with"):
        effnet.resume(tmp_path / "run")


def test_folds_of_probes_take_the_same_images(source: Path, crossed: TrainResult, tmp_path: Path) -> None:
    probed = cross(source, tmp_path, probe=True)
    assert probed.folds is not None
    assert crossed.folds is not None
    for one, other in zip(probed.folds.scores, crossed.folds.scores, strict=True):
        headers = [modelfile.load_header(Path(score.model)) for score in (one, other)]
        assert headers[0].split == headers[1].split


def test_a_limit_of_time_is_that_of_all_trainings_together(tmp_path: Path) -> None:
    config = TrainConfig(model="b0-cifar", max_minutes=3.0)
    crossing = Crossing(assemble(open_digits(), config), 2, False, tmp_path, Silent())
    assert with_share(crossing).config.max_minutes == of_fold(crossing, 1).config.max_minutes == 1.0


def test_more_folds_than_images_of_a_class_start_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1000 folds, and class '\d' has 1\d\d images to train on"):
        cross(source, tmp_path / "run", folds=1000)
    assert not (tmp_path / "run").exists()


def test_one_fold_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folds 1: there must be at least 2"):
        cross(source, tmp_path / "run", folds=1)


def scores(*tops: float) -> CrossValidation:
    return CrossValidation([FoldScore(n, 100, 0, top, 0.1, 1.0, "") for n, top in enumerate(tops, start=1)])


def test_mean_and_spread_are_those_of_the_folds() -> None:
    tops = [0.8, 0.9, 0.85, 0.95, 0.9]
    assert (scores(*tops).mean, scores(*tops).spread) == (mean(tops), stdev(tops))


def test_the_interval_is_that_of_nadeau_and_bengio() -> None:
    """By hand: s = 0.01, and 4.302653 is the 97.5 % quantile of Student's t with two degrees of freedom."""
    found = scores(0.5, 0.51, 0.49).interval
    half = 4.302653 * 0.01 * (1 / 3 + 1 / 2) ** 0.5
    assert found == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    assert scores(0.1, 0.9).interval == (0.0, 1.0)
