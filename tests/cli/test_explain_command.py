"""`effnet predict --explain`: what is written, what is said, and what is refused before any work."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from effnet import modelfile
from effnet.cli.main import main
from effnet.evaluation.classifier import Classifier
from effnet.spec.families import B0
from effnet.spec.scale import scale
from html_page import open_page
from random_models import SMALL, classifier_of, noise

Capture = pytest.CaptureFixture[str]
NAMES = ("ant", "bee", "cat", "dog")


def save(model: Classifier, path: Path) -> Path:
    arrays = {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}
    modelfile.save(path, model.header, arrays)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with models, and images in `images`."""
    place = tmp_path_factory.mktemp("place")
    save(classifier_of(names=NAMES), place / "model.safetensors")
    save(classifier_of(replace(SMALL, name="other"), ("ant", "bee", "gnu")), place / "other.safetensors")
    save(classifier_of(replace(scale(B0, -8), resolution=32), NAMES, side=32), place / "one-cell.safetensors")
    (place / "images").mkdir()
    for seed in range(2):
        noise(seed).save(place / "images" / f"{seed}.png")
    return place


def explain(place: Path, folder: Path, *flags: object, images: tuple[Path, ...] = ()) -> int:
    shown = [place / "images", *images]
    command = ["predict", place / "model.safetensors", *shown, "--explain", folder, *flags]
    return main(list(map(str, command)))


def failed(capsys: Capture, *command: object, code: int = 2) -> str:
    capsys.readouterr()
    assert main(list(map(str, command))) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line.removeprefix("effnet: ")


def record(folder: Path) -> list[list[dict[str, object]]]:
    """Return the maps in the record of a folder: by image, those of all models."""
    images = json.loads((folder / "explain.json").read_text())["images"]
    return [[one for model in image["models"] for one in model["maps"]] for image in images]


def test_the_answers_are_printed_and_the_place_of_the_page(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert explain(place, tmp_path / "maps") == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    assert printed.err == f"maps: {tmp_path / 'maps' / 'explain.html'}\n"
    assert [len(maps) for maps in record(tmp_path / "maps")] == [3, 3]
    page = open_page(tmp_path / "maps" / "explain.html")
    assert f"effnet predict {place / 'model.safetensors'}" in page.text


def test_json_is_one_value_that_says_where_the_maps_are(place: Path, tmp_path: Path, capsys: Capture) -> None:
    assert explain(place, tmp_path, "--json") == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert len(answer["predictions"]) == 2
    assert answer["explained"] == {
        "page": str(tmp_path / "explain.html"),
        "record": str(tmp_path / "explain.json"),
        "notes": [],
    }
    assert printed.err == ""


def test_classes_and_number_of_maps_and_method_can_be_chosen(place: Path, tmp_path: Path) -> None:
    assert explain(place, tmp_path, "--class", "dog", "ant") == 0
    assert [[one["name"] for one in maps] for maps in record(tmp_path)] == [["dog", "ant"]] * 2
    assert explain(place, tmp_path, "--maps", 1, "--method", "grad-cam") == 0
    assert [len(maps) for maps in record(tmp_path)] == [1, 1]
    assert "Grad-CAM (Selvaraju et al. 2017)" in open_page(tmp_path / "explain.html").text


def test_a_second_model_stands_beside_the_first(place: Path, tmp_path: Path) -> None:
    assert explain(place, tmp_path, "--beside", place / "other.safetensors") == 0
    assert [len(maps) for maps in record(tmp_path)] == [2, 2]
    assert (tmp_path / "models-01.png").exists()


def test_a_model_that_lacks_a_class_says_so_and_shows_its_best(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = place / "other.safetensors"
    assert explain(place, tmp_path, "--beside", other, "--class", "dog") == 0
    note = f"{other} has no class 'dog'; its most probable class is mapped"
    assert f"note: {note}" in capsys.readouterr().err
    assert note in open_page(tmp_path / "explain.html").text
    assert {maps[0]["name"] for maps in record(tmp_path)} == {"dog"}
    assert all(len(maps) == 2 for maps in record(tmp_path))


def test_a_class_that_no_model_has_is_refused_with_the_nearest_first(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    images, model, other = place / "images", place / "model.safetensors", place / "other.safetensors"
    more = ("--beside", other, "--class", "gnus")
    error = failed(capsys, "predict", model, images, "--explain", tmp_path / "maps", *more)
    assert error.startswith("unknown class 'gnus'; known: gnu, ")
    assert not (tmp_path / "maps").exists()


def test_an_unreadable_image_is_named_and_the_others_are_explained(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "broken.png").touch()
    assert explain(place, tmp_path / "maps", images=(tmp_path / "broken.png",)) == 1
    problem = f"{tmp_path / 'broken.png'}: empty file"
    assert f"1 of 3 images cannot be read: {problem}" in capsys.readouterr().err
    assert len(record(tmp_path / "maps")) == 2
    assert f"skipped {problem}" in open_page(tmp_path / "maps" / "explain.html").text


def test_of_many_images_the_first_hundred_are_explained_and_that_is_said(
    place: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effnet.cli.explained.MOST_IMAGES", 1)
    assert explain(place, tmp_path) == 0
    assert "note: these are the first 1 of 2 images" in capsys.readouterr().err
    assert len(record(tmp_path)) == 1


@pytest.mark.parametrize("flag", [("--class", "ant"), ("--maps", 2), ("--method", "grad-cam")])
def test_flags_of_an_explanation_need_it(place: Path, flag: tuple[object, ...], capsys: Capture) -> None:
    error = failed(capsys, "predict", place / "model.safetensors", place / "images", *flag)
    assert error.endswith("say how to explain: add --explain DIR")


@pytest.mark.parametrize("flag", ["--class", "--beside"])
def test_a_flag_of_several_values_is_given_once(
    place: Path, tmp_path: Path, flag: str, capsys: Capture
) -> None:
    command = ("predict", place / "model.safetensors", place / "images", "--explain", tmp_path)
    error = failed(capsys, *command, flag, "a", f"{flag}=b")
    assert error.startswith(f"{flag} is given twice; write {flag} ")


@pytest.mark.parametrize("rest", [(), ("--maps", 2)])
def test_a_flag_of_several_values_needs_one(
    place: Path, tmp_path: Path, rest: tuple[object, ...], capsys: Capture
) -> None:
    command = ("predict", place / "model.safetensors", place / "images", "--explain", tmp_path)
    error = failed(capsys, *command, "--beside", *rest)
    assert error == "--beside names nothing; write --beside MODEL"


def test_a_file_of_predictions_is_another_run(place: Path, tmp_path: Path, capsys: Capture) -> None:
    command = ("predict", place / "model.safetensors", place / "images", "--explain", tmp_path / "maps")
    error = failed(capsys, *command, "--out", tmp_path / "rows.csv")
    assert error.startswith("--out FILE and --explain DIR are two runs")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_ends_in_a_single_cell_is_refused(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    model = place / "one-cell.safetensors"
    error = failed(capsys, "predict", model, place / "images", "--explain", tmp_path / "maps")
    assert "sees 32×32 pixels and ends in a single cell" in error
    assert explain(place, tmp_path / "maps", "--beside", model) == 2


def test_a_folder_among_the_images_is_refused(place: Path, capsys: Capture) -> None:
    images = place / "images"
    error = failed(capsys, "predict", place / "model.safetensors", images, "--explain", images / "maps")
    assert error.endswith("figures would be taken for images the next time; choose a folder outside")


def test_a_file_is_no_folder(place: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    model = place / "model.safetensors"
    error = failed(capsys, "predict", model, place / "images", "--explain", tmp_path / "file")
    assert error == f"--explain {tmp_path / 'file'}: is a file; it takes a folder"


def test_a_model_among_the_images_is_told_from_one(place: Path, tmp_path: Path, capsys: Capture) -> None:
    model, other = place / "model.safetensors", place / "other.safetensors"
    error = failed(capsys, "predict", model, place / "images", other, "--explain", tmp_path)
    assert error == f"{other} is a model file, not an image; to compare models write --beside {other}"


def test_a_missing_model_beside_is_named_before_any_work(
    place: Path, tmp_path: Path, capsys: Capture
) -> None:
    command = ("predict", place / "model.safetensors", place / "images", "--explain", tmp_path)
    error = failed(capsys, *command, "--beside", "none.safetensors", code=1)
    assert error == "none.safetensors: no such file"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
def test_names_that_are_no_unicode_are_explained(place: Path, tmp_path: Path) -> None:
    image = tmp_path / os.fsdecode(b"caf\xe9.png")
    noise().save(image)
    assert explain(place, tmp_path / "maps", images=(image,)) == 0
    assert explain(place, tmp_path / "maps", images=(image,)) == 0  # its figure is known by the record
    assert "caf?.png" in open_page(tmp_path / "maps" / "explain.html").text
