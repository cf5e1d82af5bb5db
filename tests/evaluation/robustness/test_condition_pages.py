"""The sections of a report as people see them, in Debian's chromium."""

from pathlib import Path

import numpy as np
import pytest
import torch

import effnet
from chromium import PAPER, WINDOWS, Browser, Window
from corrupted_scenes import scenes
from effnet.data.datasets import DataSet, Samples
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.comparison.compare import compare
from effnet.evaluation.comparison.page import write_comparison
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS
from effnet.evaluation.robustness.corrupted import Robustness
from effnet.evaluation.robustness.ensemble import ensemble
from effnet.evaluation.robustness.follow import ignore
from effnet.evaluation.robustness.page import (
    ensemble_section,
    resolutions_section,
    robustness_section,
    views_section,
)
from effnet.evaluation.robustness.passes import Pass
from effnet.evaluation.robustness.resolutions import Point, Resolutions
from effnet.evaluation.robustness.tta import measure_views
from effnet.network.model import ConvNet
from tiny_models import HEADER, SPEC

COUNT = 12


def model() -> Classifier:
    return Classifier(HEADER, ConvNet(SPEC, 3), torch.device("cpu"))


@pytest.fixture(scope="module")
def data() -> DataSet:
    from PIL import Image

    images = scenes(COUNT, 16).permute(0, 2, 3, 1).numpy()
    names = tuple(f"{index}.png" for index in range(COUNT))
    samples = Samples(names, np.arange(COUNT) % 3, lambda name: Image.fromarray(images[int(name[:-4])]))
    return DataSet("<b>scenes</b>", HEADER.class_names, {"test": samples}, source="scenes")


def passes(shares: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[Pass, ...]:
    return tuple(Pass(np.arange(COUNT) < share * COUNT, 1.0, 0.1) for share in shares)


@pytest.fixture(scope="module")
def pages(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root, classifier = tmp_path_factory.mktemp("pages"), model()
    (clean,) = passes(np.array([1.0]))
    levels = np.linspace(1.0, 0.0, 75).reshape(15, 5)
    cells = {name: passes(row) for name, row in zip(CORRUPTIONS, levels, strict=True)}
    points = tuple(Point(side, side / 8, 1000 * side**2, clean) for side in (8, 12, 16))
    with classifier.opened(data) as opened:
        said = classifier.judge(opened)
        views = measure_views(classifier, opened, said, name="flip-shifts", follow=ignore)
        sections = [
            robustness_section(Robustness(clean, cells, 48, 0), opened, root),
            resolutions_section(Resolutions(8, points, (4, 6)), root, stride=8),
            views_section(views, said, 1000),
        ]
    report = effnet.write_report(said, root, classifier=classifier, data=data, sections=sections)
    comparison = compare([classifier, model()], data)
    together = [ensemble_section(ensemble(comparison))]
    return {
        "report": report,
        "comparison": write_comparison(comparison, root / "comparison", data=data, sections=together),
    }


@pytest.mark.parametrize("window", [*WINDOWS, PAPER], ids=str)
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_nothing_is_wrong_with_the_page(
    browser: Browser, pages: dict[str, Path], name: str, window: Window
) -> None:
    assert browser.problems(pages[name], window) == []


def test_the_table_has_a_row_for_each_corruption(browser: Browser, pages: dict[str, Path]) -> None:
    browser.show(pages["report"], Window())
    assert browser.evaluate("document.querySelectorAll('.heat tbody tr').length") == 15
    assert browser.evaluate("document.querySelectorAll('.heat td.cell').length") == 15 * 6
    colours = "[...document.querySelectorAll('.heat td.cell')].map(e => getComputedStyle(e).backgroundColor)"
    found = browser.evaluate(colours)
    assert found[0] == "rgb(255, 255, 255)"
    assert found[-2] == "rgb(232, 119, 34)"
