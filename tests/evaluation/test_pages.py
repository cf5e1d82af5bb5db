"""The pages as people see them, in Debian's chromium: at a phone, at a desk, by night, on paper."""

from pathlib import Path

import pytest
import torch
from PIL import Image

import effnet
from chromium import PAPER, WINDOWS, Browser, Window
from effnet.data.datasets import DataSet, Samples
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.comparison.page import write_comparison
from effnet.evaluation.comparison.result import Comparison, Contender
from effnet.evaluation.metrics import Evaluation, calibrated, summarise
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.cost import cost

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{",
    "a & b",
    "猫" * 40,
    "x" * 90,
)
MANY = tuple(f"class {index:03d} of many" for index in range(100))


def dataset(class_names: tuple[str, ...], per_class: int = 4) -> DataSet:
    """Return a data set whose images exist in memory only."""
    labels = torch.arange(len(class_names) * per_class) % len(class_names)
    names = tuple(f"{class_names[label]}/{index}.png" for index, label in enumerate(labels.tolist()))
    samples = Samples(names, labels.numpy(), lambda name: Image.new("RGB", (40, 20), "red"))
    return DataSet("pictures", class_names, {"test": samples}, source="pictures")


def evaluated(data: DataSet, seed: int, temperature: float) -> Evaluation:
    """Return the result of a network that is mostly right, another one for each seed."""
    samples, count = data.parts["test"], len(data.class_names)
    labels = torch.from_numpy(samples.labels)
    logits = torch.randn(len(labels), count, generator=torch.Generator().manual_seed(seed))
    logits[torch.arange(len(labels)), labels] += 3
    return calibrated(
        logits, temperature, lambda scores: summarise(scores, labels, data.class_names, "test", samples.names)
    )


def classifier(class_names: tuple[str, ...], temperature: float) -> Classifier:
    spec = effnet.scale("b0-cifar", phi=-10.0)
    header = ModelHeader(spec, Preprocess(resolution=32), class_names, temperature=temperature)
    return Classifier(header, ConvNet(spec, len(class_names)), torch.device("cpu"))


def report(folder: Path, class_names: tuple[str, ...]) -> Path:
    data = dataset(class_names)
    model = classifier(class_names, temperature=0.6)
    return effnet.write_report(evaluated(data, 0, 0.6), folder, classifier=model, data=data)


def comparison(folder: Path, class_names: tuple[str, ...], labels: tuple[str, ...]) -> Path:
    data, contenders = dataset(class_names), []
    for seed, label in enumerate(labels):
        model, result = classifier(class_names, 1.0), evaluated(data, seed, 1.0)
        spent = cost(model.header.spec, len(class_names), 32)
        contenders.append(Contender(label, model, result, spent, 1.5 + seed, result.num_images))
    made = Comparison(data.name, "test", tuple(contenders), batch_size=64)
    return write_comparison(made, folder, data=data, command="effnet evaluate")


def maps(folder: Path, image: Path, *models: Classifier) -> Path:
    Image.effect_noise((90, 60), 90).convert("RGB").save(image)
    explained = [model.explain(image, maps=len(HOSTILE)) for model in models]
    return effnet.write_explanations(folder, *explained, command="effnet " + "x" * 200, notes=["a <b> note"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    two, five = ("a <b>", "run " + "x" * 60), tuple(f"model {number}" for number in range(5))
    return {
        "report with hostile names": report(root / "1", HOSTILE),
        "report of a hundred classes": report(root / "2", MANY),
        "comparison with hostile names": comparison(root / "3", HOSTILE, two),
        "comparison of a hundred classes": comparison(root / "4", MANY, five),
        "maps of hostile names": maps(root / "5", root / f"{'<b>' * 20}.png", classifier(HOSTILE, 0.6)),
        "maps of several models": maps(
            root / "6", root / "image.png", *(classifier(names, 1.0) for names in (HOSTILE, MANY, MANY))
        ),
    }


PAGES = (
    "report with hostile names", "report of a hundred classes",
    "comparison with hostile names", "comparison of a hundred classes",
    "maps of hostile names", "maps of several models",
)  # fmt: skip


@pytest.mark.parametrize("window", [*WINDOWS, PAPER], ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wrong_with_the_page(
    browser: Browser, pages: dict[str, Path], name: str, window: Window
) -> None:
    assert browser.problems(pages[name], window) == []


def test_the_browser_sees_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    """Or else the test above would say nothing."""
    page = tmp_path / "bad.html"
    page.write_text(
        """<!DOCTYPE html><meta charset="utf-8"><title>bad</title><body style="background: white">
        <div style="width: 900px">wide</div><img src="missing.png"><p style="font-size: 6px">small</p>
        <p style="color: #cccccc">pale</p><p style="width: 2em">one letter below another</p>
        <script>console.error("oh")</script>""",
        encoding="utf-8",
    )
    found = " | ".join(browser.problems(page, Window(375)))
    for part in (
        "console: ",
        "px wide",
        "no alternative text",
        "is not shown",
        "6 px high",
        "is squeezed",
        "a contrast of 1.6",
    ):
        assert part in found


def test_hostile_names_run_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    for name in ("report with hostile names", "comparison with hostile names", "maps of hostile names"):
        browser.show(pages[name], Window())
        assert browser.evaluate("document.scripts.length") == 0
        assert browser.evaluate("[...document.images].every(image => image.src.startsWith('data:'))")
        assert "<script>alert(1)</script>" in browser.evaluate("document.body.innerText")
