"""`effnet evaluate` under other conditions: flags, tables, JSON, the report, and going on after Ctrl-C."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corrupted_scenes import scenes
from effnet.cli.main import main
from effnet.evaluation.corruptions.catalogue import CORRUPTIONS
from effnet.evaluation.robustness import corrupted
from effnet.evaluation.robustness.page import heat_rows
from effnet.evaluation.robustness.passes import Pass, run_pass
from tiny_models import always, write

CLASSES = ("ant", "bee", "fly")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write(tmp_path / "model.safetensors"))


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Six ants, four bees and two flies, or what a network of no training takes for them."""
    images = iter(scenes(12, 8).permute(0, 2, 3, 1).numpy())
    for name, count in zip(CLASSES, (6, 4, 2), strict=True):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(next(images)).save(tmp_path / "data" / name / f"{number}.png")
    return str(tmp_path / "data")


def two_models(folder: Path) -> list[str]:
    names = ("ant", "bee")
    return [str(write(folder / f"{name}.safetensors", *always(name, *CLASSES))) for name in names]


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(["evaluate", *arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["evaluate", *arguments]) == 2
    return capsys.readouterr().err.removeprefix("effnet: ").strip()


def test_everything_together_in_json_and_on_a_page(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = "--robustness", "--resolutions", "--tta", "flip", "--report", str(tmp_path / "report")
    found = json_of(capsys, model, data, *flags)
    assert found.keys() >= {"top1", "robustness", "resolutions", "tta"}
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written >= {"report.html", "robustness.png", "corruptions.png", "resolutions.png"}
    page = (tmp_path / "report" / "report.html").read_text()
    order = ("robustness", "resolutions", "views", "origin")
    places = [page.index(f'<section id="{anchor}">') for anchor in order]
    assert places == sorted(places)


def test_without_flags_nothing_of_it_is_there(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json_of(capsys, model, data, "--report", str(tmp_path / "report"))
    assert not found.keys() & {"robustness", "resolutions", "tta"}
    page = (tmp_path / "report" / "report.html").read_text()
    assert 'id="robustness"' not in page
    assert 'href="#robustness"' not in page


def test_tables_are_printed(model: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, data, "--robustness", "--resolutions", "--tta", "shifts"]) == 0
    printed = capsys.readouterr().out
    for part in (
        "accuracy under corruption", "elastic transform", "frost *", "mean corruption error",
        "* frost: the panes of frost are drawn; the authors' are photographs",
        "accuracy by resolution", "8×8 (trained)", "The mean of 5 views of each image",
    ):  # fmt: skip
        assert part in printed


def test_models_answer_together(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = two_models(tmp_path)
    report = str(tmp_path / "report")
    found = json_of(capsys, *models, data, "--ensemble", "--report", report)
    assert found["ensemble"].keys() >= {"members", "top1", "against_the_best", "milliseconds"}  # type: ignore[attr-defined]
    assert '<section id="ensemble">' in Path(report, "report.html").read_text()
    assert main(["evaluate", *models, data, "--ensemble"]) == 0
    assert "The mean of the probabilities of 2 models is right about" in capsys.readouterr().out


def test_a_part_of_the_images_is_drawn_by_class_and_said(
    model: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json_of(capsys, model, data, "--max-images", "6")
    assert (found["num_images"], found["num_left_out"]) == (6, 6)
    assert [each["support"] for each in found["classes"]] == [3, 2, 1]  # type: ignore[attr-defined]
    assert main(["evaluate", model, data, "--max-images", "6"]) == 0
    assert "of 6 images right" in (printed := capsys.readouterr().out)
    assert "(drawn from 12, of each class its share)" in printed


def test_of_several_models_the_same_images_are_drawn(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = two_models(tmp_path)
    found = json_of(capsys, *models, data, "--max-images", "6")
    assert found["num_images"] == 6
    assert "of 12 images 6 were drawn, of each class its share" in found["notes"]  # type: ignore[operator]


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    model: str, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passes = 0

    def pressed(*arguments: object) -> Pass:
        nonlocal passes
        passes += 1
        if passes > 4:
            raise KeyboardInterrupt
        return run_pass(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as keyboard:
        keyboard.setattr(corrupted, "run_pass", pressed)
        assert main(["evaluate", model, data, "--robustness"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("effnet: interrupted; 4 of 75 passes are kept in ")
    assert printed.err.endswith("and the same command goes on\n")
    assert main(["evaluate", model, data, "--robustness"]) == 0
    assert "4 of 75 passes are there, in " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ensemble"], "--ensemble needs two models or more: effnet evaluate A B DATA --ensemble"),
        (["--max-images", "0"], "--max-images 0: must be at least 1"),
        (
            ["--max-images", "2"],
            "max_images = 2: there are 3 classes, and each needs an image; take 3 or more",
        ),
        (["--seed", "-1"], "--seed -1: must be at least 0 and below 2^63"),
    ],
)
def test_wrong_use_is_one_line(
    model: str, data: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failed(capsys, model, data, *flags) == message


def test_unknown_views_are_refused(model: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "flip" in failed(capsys, model, data, "--tta", "crops")


def test_conditions_of_one_model_are_not_for_several(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(write(tmp_path / "other.safetensors"))
    error = failed(capsys, model, other, data, "--robustness", "--tta", "flip")
    assert error == "--robustness, --tta: takes one model, not 2; run it for each"


def test_a_network_with_too_few_pixels_is_refused(
    model: str, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from effnet.evaluation.corruptions import catalogue

    monkeypatch.setattr(catalogue, "MIN_SIDE", 9)
    assert "8×8 pixels: corruptions need at least 9×9" in failed(capsys, model, data, "--robustness")


def test_colours_say_what_is_lost() -> None:
    clean = Pass(np.ones(10, bool), 0.0, 0.0)
    worse = Pass(np.arange(10) < 5, 1.0, 0.1)
    cells = dict.fromkeys(CORRUPTIONS, (clean, clean, worse, worse, worse))
    row = heat_rows(corrupted.Robustness(clean, cells, 32, 0))[0]
    assert [colour for _, colour in row.cells[:2]] == [(255, 255, 255)] * 2
    assert row.cells[2][1] != (255, 255, 255)
    assert row.top1 == pytest.approx(0.7)
