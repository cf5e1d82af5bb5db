"""The report of an evaluation: one HTML page that needs nothing else, and its pictures."""

from datetime import datetime
from pathlib import Path
from typing import Any, Unpack

from effnet.data.datasets import DataSet, open_dataset
from effnet.device import environment
from effnet.errors import UsageError
from effnet.evaluation import report
from effnet.evaluation.calibration import reliability
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.explanation import single_cell
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.mistake_maps import map_hits, map_mistakes
from effnet.evaluation.mistakes import (
    Mistake,
    confident_mistakes,
    frequent_confusions,
    typical_hits,
    weak_classes,
    weakest_first,
)
from effnet.evaluation.page import Extras, Picture, flatten, machine, picture, write_page
from effnet.evaluation.record import read_record
from effnet.evaluation.summary import summary
from effnet.evaluation.thumbnails import draw_thumbnails
from effnet.evaluation.trust import trust
from effnet.modelfile import ModelHeader
from effnet.spec.cost import cost

REPORT_FILE = "report.html"
MAX_MISTAKES = 12
MAX_HITS = 10
MAX_CONFUSIONS = 12


def write_report(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    classifier: Classifier,
    data: str | Path | DataSet,
    **extras: Unpack[Extras],
) -> Path:
    """Write `report.html`, which needs no other file and no network, and its pictures as PNG files.

    Args:
        evaluation: what `classifier.evaluate(data)` returned.
        folder: where to write; older reports in it are replaced.
        classifier: the network that was evaluated.
        data: name or folder; the pictures of mistakes are read from it.
        extras: the command line to show, and sections for what else was measured.

    Returns:
        The path of `report.html`.

    Raises:
        UsageError: the evaluation is that of another classifier.
        DataError: an image is gone since it was evaluated.
        EffnetError: the folder cannot be written to.

    """
    if tuple(result.name for result in evaluation.classes) != classifier.header.class_names:
        raise UsageError("the evaluation has other classes than the classifier: it is that of another one")
    dataset = data if isinstance(data, DataSet) else open_dataset(data)
    path = Path(folder) / REPORT_FILE
    mistakes = _draw_mistakes(evaluation, dataset, path.parent)
    content = _contents(evaluation, classifier) | {
        "dataset": dataset.name,
        "charts": _draw_charts(evaluation, classifier, path.parent),
        "mistakes": mistakes,
        "looks": map_mistakes(classifier, [mistake for mistake, _ in mistakes], dataset.all_samples()),
        "hits": map_hits(classifier, typical_hits(evaluation, MAX_HITS), dataset.all_samples()),
        "no_maps": single_cell(classifier.header),
        "facts": _facts(classifier, extras.get("command", "")),
        "sections": extras.get("sections", ()),
    }
    write_page(path, REPORT_FILE, content)
    return path


def _contents(evaluation: Evaluation, classifier: Classifier) -> dict[str, Any]:
    answers, header = evaluation.answers, classifier.header
    return {
        "evaluation": evaluation,
        "network": header.spec.name,
        "classes": weakest_first(evaluation.classes),
        "weak": weak_classes(evaluation),
        "confusions": frequent_confusions(evaluation, MAX_CONFUSIONS),
        "bins": [each for each in reliability(answers.confidence, answers.correct) if each.count],
        "before": evaluation.uncalibrated,
        "trust": trust(evaluation),
        "summary": summary(evaluation),
        "settings": flatten(header.training.get("config", {})),
        "numbered": len(evaluation.classes) <= report.MAX_NUMBERED_CLASSES,
    }


def _draw_charts(evaluation: Evaluation, classifier: Classifier, folder: Path) -> dict[str, Picture]:
    """Draw all that the report shows besides images; the curves only if the record of the run is there."""
    report.draw_confusion(evaluation, folder / "confusion.png")
    names = ["confusion", *_draw_reliability(evaluation, folder)]
    records = read_record(classifier.header, classifier.path) if classifier.path else []
    if records:
        report.draw_curves(records, folder / "curves.png")
        report.draw_curves(records, folder / "curves-stacked.png", stacked=True)
        names += ["curves", "curves-stacked"]
    return {name: picture(folder / f"{name}.png") for name in names}


def _draw_reliability(evaluation: Evaluation, folder: Path) -> list[str]:
    """Draw whether probabilities can be trusted, before calibration too; return the names of the pictures."""
    before = evaluation.uncalibrated
    if before is None:
        report.draw_reliability(evaluation, folder / "reliability.png")
        (folder / "reliability-before.png").unlink(missing_ok=True)
        return ["reliability"]
    report.draw_reliability(before, folder / "reliability-before.png", when="before calibration")
    report.draw_reliability(evaluation, folder / "reliability.png", when="after calibration")
    return ["reliability-before", "reliability"]


def _draw_mistakes(evaluation: Evaluation, dataset: DataSet, folder: Path) -> list[tuple[Mistake, Picture]]:
    """Save the images of the most confident mistakes, and remove those of an older report."""
    mistakes = confident_mistakes(evaluation, MAX_MISTAKES)
    paths = [folder / f"mistake-{number:02d}.png" for number in range(1, MAX_MISTAKES + 1)]
    pictures = draw_thumbnails(dataset.all_samples(), [mistake.name for mistake in mistakes], paths)
    for path in paths[len(mistakes) :]:
        path.unlink(missing_ok=True)
    return list(zip(mistakes, pictures, strict=True))


def _facts(classifier: Classifier, command: str) -> list[tuple[str, str]]:
    """Say how the numbers came about: term and value."""
    header, preprocess = classifier.header, classifier.header.preprocess
    side, total = preprocess.resolution, cost(header.spec, header.num_classes)
    now = datetime.now().astimezone()
    facts = [
        ("Evaluated", f"{now:%Y-%m-%d %H:%M %Z}"),
        ("Command", command),
        ("On", machine(environment(classifier.device))),
        ("Model file", str(classifier.path or "")),
        (
            "Network",
            f"{header.spec.name}: {total.params:,} parameters, {total.macs / 1e6:,.1f} M multiply-adds",
        ),
        (
            "Input",
            f"{side}×{side} pixels, {preprocess.colours}: short side resized to "
            f"{preprocess.resized_short_side} "
            f"({preprocess.interpolation}), middle cut out",
        ),
        ("Calibrated", _calibration(header)),
        *_training_facts(header),
    ]
    return [(term, value) for term, value in facts if value]


def _calibration(header: ModelHeader) -> str:
    """Say which temperature probabilities have and where it is from; nothing where they have none."""
    if header.temperature == 1.0:
        return ""
    found = header.metrics.get("calibration", {})
    where = f", fitted on {found['num_images']:,} validation images" if "num_images" in found else ""
    return f"temperature {header.temperature:.3f}{where}"


def _training_facts(header: ModelHeader) -> list[tuple[str, str]]:
    training = header.training
    if not header.is_recorded:
        return [("Trained", "elsewhere; the model file has no record of it")]
    counts = ", ".join(f"{count:,} {part}" for part, count in training["num_images"].items())
    return [
        ("Trained on", f"{training['data']} ({counts} images)"),
        ("Trained with", machine(training["environment"])),
    ]
