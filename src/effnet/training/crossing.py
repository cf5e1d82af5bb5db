"""Cross-validation: one run for each fold, then one for all training images; each can be gone on with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import Tensor

from effnet import config as configuration
from effnet.data.datasets import DataSet, open_dataset
from effnet.data.splits import split
from effnet.files import copy_file, write_text
from effnet.spec import netspec
from effnet.training import run
from effnet.training import state as states
from effnet.training.folder import locked
from effnet.training.folds import FOLDS_FILE, MARK, CrossValidation, FoldScore, read_plan
from effnet.training.interrupt import InterruptedTrainingError
from effnet.training.linear_probe import run_probe
from effnet.training.origins import FROM, begin_with, keep_teacher, kept_teacher, open_kept
from effnet.training.parts import Parts, assemble
from effnet.training.reporter import Reporter
from effnet.training.results import TrainResult

FOLDS_FOLDER = "folds"
SOURCE_FILE = "from.safetensors"  # a copy, so that going on needs no file from elsewhere


@dataclass(frozen=True)
class Crossing:
    """A cross-validation to do."""

    parts: Parts
    """Of the training after it, on all training images."""
    num_folds: int
    probe: bool
    folder: Path
    reporter: Reporter


def cross_validate(crossing: Crossing, source: Path | None) -> TrainResult:
    """Train once for each fold, then once more on all training images; the test part is for that one.

    `source` is the model file that all of them begin with, if there is one.

    Raises:
        DataError: more folds than images of a class.
        InterruptedTrainingError: stopped by a signal; `resume` goes on exactly there.

    """
    parts, place = crossing.parts, crossing.folder / FOLDS_FOLDER
    for number in range(1, crossing.num_folds + 1):
        of_fold(crossing, number)  # what cannot be divided is better known before hours of work
    with locked(place):
        for old in (crossing.folder, *(place / str(number) for number in range(1, crossing.num_folds + 1))):
            states.remove(old)  # `overwrite` was said, or there is none
        write_scores(crossing, [])
        keep_teacher(parts.teacher, place)
        if source is not None:
            copy_file(source, place / SOURCE_FILE)
        return carry_out(crossing, [])


def go_on(folder: Path, reporter: Reporter, changed: Mapping[str, Any]) -> TrainResult:
    """Go on with a cross-validation: folds that are done stay, one in the middle goes on, others follow.

    `changed` settings are others than it began with.

    Raises:
        DataError: the data set is not the one that it began with.
        ModelFileError: a copy of a model file that it builds on is missing or changed.

    """
    plan, place = read_plan(folder / FOLDS_FILE), folder / FOLDS_FOLDER
    config = configuration.from_dict({**plan["config"], **changed}, origin=str(folder / FOLDS_FILE))
    dataset = open_dataset(plan["source"], on_download=reporter.downloading)
    run.check_same_data(dataset, plan, folder)
    parts = replace(
        assemble(dataset, config, netspec.from_dict(plan["spec"])),
        sizing=plan["sizing"],
        ancestry=plan["ancestry"],
        asked=plan.get("asked", {}),
        start=kept_start(plan["ancestry"], place, dataset),
        teacher=kept_teacher(plan["ancestry"], place),
    )
    crossing = Crossing(parts, plan["num_folds"], plan["probe"], folder, reporter)
    with locked(place):
        return carry_out(crossing, [FoldScore(**score) for score in plan["scores"]])


def carry_out(crossing: Crossing, scores: list[FoldScore]) -> TrainResult:
    """Do what is not done yet."""
    folder, count = crossing.folder, crossing.num_folds
    try:
        for number in range(len(scores) + 1, count + 1):
            crossing.reporter.message(f"fold {number} of {count}")
            result = train(of_fold(crossing, number), folder / FOLDS_FOLDER / str(number), crossing)
            scores.append(score_of(number, result))
            write_scores(crossing, scores)
        crossing.reporter.message(f"all training images, after {count} folds")
        result = train(with_share(crossing), folder, crossing)
    except InterruptedTrainingError as error:
        raise InterruptedTrainingError(error.number, error.step, folder) from error
    write_scores(crossing, scores, finished=True)
    (folder / FOLDS_FOLDER / SOURCE_FILE).unlink(missing_ok=True)
    (folder / FOLDS_FOLDER / states.TEACHER_FILE).unlink(missing_ok=True)
    return replace(result, folds=CrossValidation(scores))


def train(parts: Parts, folder: Path, crossing: Crossing) -> TrainResult:
    """Train in a folder, or go on with what is in it."""
    if crossing.probe:
        return run_probe(parts, folder, crossing.reporter, perf_counter())
    if states.exists(folder):
        return run.resume(folder, reporter=crossing.reporter)
    return run.run_parts(parts, folder, crossing.reporter, perf_counter())


def of_fold(crossing: Crossing, number: int) -> Parts:
    """Return the parts of a fold's training: the images of the fold are its part to test."""
    parts = with_share(crossing)
    data = replace(parts.config.data, fold=f"{number}/{crossing.num_folds}")
    config = replace(parts.config, data=data)
    return replace(parts, config=config, splits=split(parts.dataset, data, config.seed))


def with_share(crossing: Crossing) -> Parts:
    """Return the parts with a share of the time: that of all folds and of the training after them is one."""
    config = crossing.parts.config
    if config.max_minutes is None:
        return crossing.parts
    share = config.max_minutes / (crossing.num_folds + 1)
    return replace(crossing.parts, config=replace(config, max_minutes=share))


def kept_start(ancestry: Mapping[str, Any], place: Path, dataset: DataSet) -> Mapping[str, Tensor]:
    """Return the weights to begin with from the copy that was kept, if there are any.

    Raises:
        ModelFileError: the copy is missing, or not the file of then.

    """
    if FROM not in ancestry:
        return {}
    return begin_with(open_kept(place / SOURCE_FILE, ancestry[FROM]), dataset.class_names)[0]


def score_of(number: int, result: TrainResult) -> FoldScore:
    """Return the score of a fold."""
    measured = result.evaluation
    return FoldScore(
        fold=number,
        num_images=measured.num_images,
        num_errors=measured.num_errors,
        top1=measured.top1,
        loss=measured.loss,
        seconds=round(result.seconds, 1),
        model=str(result.model_path),
    )


def write_scores(crossing: Crossing, scores: Sequence[FoldScore], *, finished: bool = False) -> None:
    """Write down what is known so far, and what is needed to go on."""
    parts = crossing.parts
    plan = {
        **MARK,
        "finished": finished,
        "num_folds": crossing.num_folds,
        "probe": crossing.probe,
        "source": parts.dataset.source,
        "fingerprint": parts.dataset.fingerprint(),
        "config": configuration.to_dict(parts.config),
        "spec": netspec.to_dict(parts.spec),
        "sizing": dict(parts.sizing),
        "ancestry": dict(parts.ancestry),
        "asked": dict(parts.asked),
        "scores": [asdict(score) for score in scores],
    }
    if len(scores) == crossing.num_folds:
        plan |= CrossValidation(scores).summary()
    write_text(crossing.folder / FOLDS_FILE, json.dumps(plan, indent=1) + "\n")
