"""The report page: valid, complete, safe, and right."""

import base64
import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import effnet
from effnet.cli.main import main
from effnet.data.datasets import DataSet, Samples
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.metrics import Evaluation, summarise
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from html_page import Page, open_page

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{", "a & b", "猫" * 40)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    effnet.train("digits", out=folder, epochs=1, resolution=8, phi=-8.0)
    return folder


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    folder = run.parent / "report"
    assert main(["evaluate", str(run / "model.safetensors"), "digits", "--report", str(folder)]) == 0
    return folder / "report.html"


def synthetic(class_names: tuple[str, ...], per_class: int = 3) -> tuple[Evaluation, Classifier, DataSet]:
    """Return an evaluation whose images exist in memory only, most of them right."""
    count = len(class_names)
    labels = torch.arange(count * per_class) % count
    logits = torch.randn(len(labels), count, generator=torch.Generator().manual_seed(0))
    logits[torch.arange(len(labels)), labels] += 2
    names = tuple(f"{class_names[label]}/{index}.png" for index, label in enumerate(labels.tolist()))
    samples = Samples(names, labels.numpy(), lambda name: Image.new("RGB", (40, 20), "red"))
    spec = effnet.scale("b0-cifar", phi=-10.0)
    header = ModelHeader(spec, Preprocess(resolution=32), class_names)
    classifier = Classifier(header, ConvNet(spec, count), torch.device("cpu"))
    dataset = DataSet("pictures", class_names, {"test": samples}, source="pictures")
    return summarise(logits, labels, class_names, "test", names), classifier, dataset


def write(folder: Path, made: tuple[Evaluation, Classifier, DataSet]) -> Page:
    evaluation, classifier, dataset = made
    return open_page(effnet.write_report(evaluation, folder, classifier=classifier, data=dataset))


def test_page_is_html5_with_language_title_and_viewport(report: Path) -> None:
    text, page = report.read_text(encoding="utf-8"), open_page(report)
    assert text.lstrip().startswith("<!DOCTYPE html>")
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("title")) == len(page.of("h1")) == len(page.of("main")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.of("meta")


def test_identifiers_are_unique_and_inner_links_lead_to_them(report: Path) -> None:
    page = open_page(report)
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    assert {f"#{identifier}" for identifier in identifiers} == {link["href"] for link in page.of("a")}


def test_page_needs_nothing_else(report: Path) -> None:
    page = open_page(report)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form"}
    for _, attributes in page.tags:
        for source in ("src", "srcset"):
            given = str(attributes.get(source, "data:image/png;base64,"))
            assert given.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))
        assert str(attributes.get("href", "#")).startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?://|url\(|@import", report.read_text(encoding="utf-8"))


def test_every_image_has_an_alternative_text_and_its_true_size(report: Path) -> None:
    page = open_page(report)
    images = page.of("img")
    num_hits = sum(str(image["alt"]).endswith(", which is right") for image in images)
    assert num_hits
    assert len(images) == 3 + 12 * 3 + 2 * num_hits  # a mistake has two maps, a right answer one
    for image in images:
        assert image["alt"]
        content = base64.b64decode(str(image["src"]).partition(",")[2])
        with Image.open(BytesIO(content)) as picture:
            assert (str(picture.width), str(picture.height)) == (image["width"], image["height"])


def test_pictures_lie_beside_the_page(report: Path) -> None:
    mistakes = {f"mistake-{number:02d}.png" for number in range(1, 13)}
    found = {path.name for path in report.parent.iterdir()}
    assert (
        found
        == {"report.html", "confusion.png", "reliability.png", "curves.png", "curves-stacked.png"} | mistakes
    )


def test_page_states_the_numbers(report: Path, run: Path) -> None:
    model, text = load(run / "model.safetensors"), open_page(report).text
    evaluation = model.evaluate("digits")
    low, high = evaluation.interval
    for expected in (
        f"{evaluation.top1:.2%}", f"95% interval {low:.1%} to {high:.1%}", f"{evaluation.top5:.2%}",
        f"{evaluation.loss:.4f}", f"{evaluation.ece:.1%}", "359 images of the part “test”",
        "effnet evaluate", "optim.lr", f"torch {torch.__version__}",
    ):  # fmt: skip
        assert expected in text
    assert "Caution" not in text


def test_a_calibrated_network_is_shown_before_and_after(tmp_path: Path) -> None:
    evaluation, classifier, dataset = synthetic(tuple("abcdef"))
    before = replace(evaluation, ece=0.25)
    classifier.header = replace(
        classifier.header, temperature=0.5, metrics={"calibration": {"num_images": 1234}}
    )
    page = write(tmp_path, (replace(evaluation, temperature=0.5, uncalibrated=before), classifier, dataset))
    titles = [image["alt"] for image in page.of("img") if str(image["alt"]).startswith("Reliability")]
    assert [str(title).partition(":")[0] for title in titles] == [
        "Reliability diagram before calibration", "Reliability diagram after calibration",
    ]  # fmt: skip
    assert "Before calibration it was 25.0%; the outputs are divided by a temperature of 0.500." in page.text
    assert "temperature 0.500, fitted on 1,234 validation images" in page.text
    write(tmp_path, (evaluation, replace_header(classifier), dataset))
    assert not (tmp_path / "reliability-before.png").exists()


def replace_header(classifier: Classifier) -> Classifier:
    """Return the same classifier without its calibration."""
    header = replace(classifier.header, temperature=1.0, metrics={})
    return Classifier(header, classifier.network, classifier.device)


def test_each_class_has_the_interval_of_its_recall(report: Path, run: Path) -> None:
    text = open_page(report).text
    for result in load(run / "model.safetensors").evaluate("digits").classes:
        low, high = result.recall_interval
        assert f"{result.recall:.1%} {100 * low:.0f}–{100 * high:.0f}" in text


def test_classes_without_images_are_listed(tmp_path: Path) -> None:
    names = tuple("abcdefg")
    evaluation, classifier, dataset = synthetic(names)
    some = summarise(torch.eye(7)[:6] * 9, torch.arange(6), names, "test", evaluation.answers.names[:6])
    page = write(tmp_path, (some, classifier, dataset))
    assert "Not measured, because there are no images of them: 1 of 7 classes" in page.text


def test_first_picture_is_the_most_confident_mistake(report: Path, run: Path) -> None:
    evaluation = load(run / "model.safetensors").evaluate("digits")
    answers = evaluation.answers
    worst = int(np.where(answers.correct, 0, answers.confidence).argmax())
    digits = effnet.data.datasets.open_digits().all_samples()
    shown = np.asarray(Image.open(report.parent / "mistake-01.png"))
    assert np.array_equal(shown, np.asarray(digits.read(answers.names[worst])))
    assert f"{answers.predicted[worst]}, {answers.confidence[worst]:.1%}" in open_page(report).text


def test_command_line_prints_the_interval_and_the_place(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(run / "model.safetensors")
    assert main(["evaluate", model, "digits", "--split", "val", "--report", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert re.search(r"val: \d+\.\d\d% \(95% interval \d+\.\d–\d+\.\d\) of", printed.out)
    assert "note: these images also chose the epoch" in printed.out
    assert str(tmp_path / "report.html") in printed.err
    assert "Caution: these images also chose the epoch" in open_page(tmp_path / "report.html").text


def test_json_stays_one_value(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(run / "model.safetensors")
    assert main(["evaluate", model, "digits", "--json", "--report", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 359
    assert (tmp_path / "report.html").exists()


def test_report_into_a_file_is_wrong_use(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = str(run / "model.safetensors")
    assert main(["evaluate", model, "digits", "--report", str(tmp_path / "file")]) == 2


def test_curves_of_another_run_are_not_shown(run: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes((run / "model.safetensors").read_bytes())
    record = json.loads((run / "metrics.jsonl").read_text())
    record["val_loss"] = record["ema_val_loss"] = 1.0
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record))
    classifier = load(model)
    made = (classifier.evaluate("digits"), classifier, effnet.data.datasets.open_digits())
    assert "The training" not in write(tmp_path / "report", made).text
    (tmp_path / "metrics.jsonl").write_text("no JSON")
    assert "The training" not in write(tmp_path / "report", made).text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    page = write(tmp_path, synthetic(HOSTILE))
    assert not page.of("script")
    assert not any("onerror" in attributes for attributes in page.of("img"))
    assert all(name in page.text for name in HOSTILE)


def test_names_that_are_not_unicode_are_written_with_question_marks(tmp_path: Path) -> None:
    page = write(tmp_path, synthetic(("caf\udce9", "b")))
    assert "caf?" in page.text


def test_hundred_classes_have_a_row_each_and_the_weakest_are_marked(tmp_path: Path) -> None:
    made = synthetic(tuple(f"class {index}" for index in range(100)))
    page = write(tmp_path, made)
    rows = [attributes for attributes in page.of("th") if attributes.get("scope") == "row"]
    assert len(rows) == 100
    badges = [each for each in page.of("span") if each.get("class") == "badge"]
    scores = sorted(result.f1 for result in made[0].classes)
    assert len(badges) == sum(score <= scores[9] for score in scores) < 50


def test_every_table_scrolls_in_its_own_container(tmp_path: Path) -> None:
    page = write(tmp_path, synthetic(tuple("abcdef")))
    before = [
        page.tags[index - 1][1].get("class") or ""
        for index, (tag, _) in enumerate(page.tags)
        if tag == "table"
    ]
    assert len(before) == 3
    assert all(name.split()[0] == "scroll" for name in before)


def test_no_chart_is_wider_than_the_screen(report: Path) -> None:
    """Charts stand in no container that scrolls, and nothing asks for a width of their own."""
    page = open_page(report)
    before = [page.tags[index - 1][0] for index, (tag, _) in enumerate(page.tags) if tag == "picture"]
    assert before == ["figure"] * 3
    css = report.read_text(encoding="utf-8")
    assert ".chart img { display: block; width: 100%;" in css
    assert not re.search(r"img[^{}]*{[^{}]*min-width: [^0]", css)


def test_a_phone_gets_the_curves_stacked(report: Path) -> None:
    (narrow,) = open_page(report).of("source")
    assert narrow["media"] == "screen and (max-width: 40rem)"
    assert int(narrow["width"] or 0) < int(narrow["height"] or 0)


def test_without_mistakes_the_page_says_so(tmp_path: Path) -> None:
    evaluation, classifier, dataset = synthetic(("a", "b"))
    perfect = summarise(torch.eye(2) * 9, torch.arange(2), ("a", "b"), "test", evaluation.answers.names[:2])
    (tmp_path / "mistake-01.png").touch()
    page = write(tmp_path, (perfect, classifier, dataset))
    assert "all 2 images are right" in page.text
    assert "top-5" not in page.text
    assert not list(tmp_path.glob("mistake-*.png"))


def test_skipped_images_are_listed(tmp_path: Path) -> None:
    evaluation, classifier, dataset = synthetic(("a", "b"))
    page = write(tmp_path, (replace(evaluation, broken=("x.png: empty file",)), classifier, dataset))
    assert "1 of 7 images" in page.text
    assert "x.png: empty file" in page.text


def test_an_evaluation_of_another_classifier_is_refused(tmp_path: Path) -> None:
    evaluation, _, dataset = synthetic(("a", "b"))
    _, classifier, _ = synthetic(("a", "c"))
    with pytest.raises(UsageError, match="other classes than the classifier"):
        effnet.write_report(evaluation, tmp_path, classifier=classifier, data=dataset)


def test_a_model_trained_elsewhere_has_a_report_too(tmp_path: Path) -> None:
    evaluation, classifier, dataset = synthetic(("a", "b"))
    classifier.header = replace(classifier.header, training={"by": "me"})
    assert "the model file has no record of it" in write(tmp_path, (evaluation, classifier, dataset)).text
