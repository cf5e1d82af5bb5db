"""`effnet evaluate` with several models, and what it says of wrong use."""

import json
from pathlib import Path

import pytest

from effnet.cli.main import main
from tiny_models import always, folder, write

CLASSES = ("ant", "bee", "fly")


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """Two models that always say the same, of which one has its classes in another order."""
    orders = {"ants": ("ant", *CLASSES), "bees": ("bee", "fly", "ant", "bee")}
    return [str(write(tmp_path / f"{name}.safetensors", *always(*order))) for name, order in orders.items()]


@pytest.fixture
def data(tmp_path: Path) -> str:
    folder(tmp_path / "data", "ant", images=9)
    return str(folder(tmp_path / "data", "bee", "fly", images=2))


def failed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    assert main(["evaluate", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.removeprefix("effnet: ").strip()


def test_models_are_printed_side_by_side(
    models: list[str], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *models, data]) == 0
    printed = capsys.readouterr().out
    assert "all: 13 images" in printed
    assert printed.index("69.23%") < printed.index("15.38%")
    assert "ants − bees: +53.85 points (95% interval " in printed
    assert "only ants is right on 9 images, only bees on 2 images" in printed
    assert "note: ants: may have learned from some of these images" in printed


def test_json_holds_models_pairs_and_classes(
    models: list[str], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *models, data, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in found["models"]] == ["ants", "bees"]
    assert found["models"][0].keys() >= {"top1", "interval", "params", "macs", "milliseconds", "ece"}
    assert found["pairs"][0].keys() >= {"difference", "interval", "p_value", "only_first", "is_significant"}
    assert [each["recalls"] for each in found["classes"]] == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def test_a_report_is_written(models: list[str], data: str, tmp_path: Path) -> None:
    assert main(["evaluate", *models, data, "--report", str(tmp_path / "report")]) == 0
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written >= {"report.html", "costs.png", "costs-stacked.png", "only-1-01.png", "only-2-02.png"}
    text = (tmp_path / "report" / "report.html").read_text()
    assert "ants is right, bees is not: 9 images" in text
    assert f"effnet evaluate {models[0]} {models[1]}" in text


def test_pictures_of_an_older_report_are_removed(models: list[str], data: str, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "only-3-01.png").touch()
    assert main(["evaluate", *models, data, "--report", str(tmp_path / "report")]) == 0
    assert not (tmp_path / "report" / "only-3-01.png").exists()


def test_classes_without_images_are_named(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path / "some", "ant", "fly")
    assert main(["evaluate", models[0], str(data), "--split", "all"]) == 0
    assert "note: there are no images of 1 class: bee" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [([], "MODEL and DATA"), (["a.safetensors"], "DATA"), (["a.safetensors", "b.safetensors"], "DATA")],
)
def test_what_is_missing_is_named(
    arguments: list[str], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = f"missing {missing}: effnet evaluate MODEL [MODEL …] DATA, the data at last"
    assert failed(capsys, *arguments, code=2) == expected


def test_a_model_given_twice_is_wrong_use(
    models: list[str], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(capsys, models[0], models[0], data, code=2)
    assert error == f"{models[0]} is given more than once; a model has no difference to itself"


def test_a_report_inside_the_data_is_wrong_use(
    models: list[str], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "lies inside the data" in failed(capsys, *models, data, "--report", f"{data}/report", code=2)
    assert not (Path(data) / "report").exists()


def test_data_without_a_validation_part_cannot_calibrate(
    models: list[str], data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(capsys, models[0], data, "--calibrate", code=2)
    assert error.startswith("data has no validation part (none was drawn from it for this model)")


def test_a_network_that_is_always_right_is_not_calibrated(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path / "split" / "train", *CLASSES).parent
    folder(data / "val", "ant", images=3)
    before = Path(models[0]).read_bytes()
    error = failed(capsys, models[0], str(data), "--calibrate", code=1)
    assert error.startswith("cannot calibrate: the network is right on all 3 validation images")
    assert Path(models[0]).read_bytes() == before
