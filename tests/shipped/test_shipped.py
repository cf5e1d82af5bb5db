"""The network that comes with the package: its name stands wherever a model file is taken."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import effnet
from effnet import modelfile
from effnet.cli.main import main
from effnet.errors import ModelFileError, UsageError
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.temperature import calibrate
from effnet.importing.run import import_model
from effnet.shipped.catalogue import SHIPPED, card_of, is_packaged, located
from effnet.spec.cost import cost
from effnet.training.origins import open_origin

NAME = "cifar10-small"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(here: Path) -> Path:
    path = here / "photo.png"
    Image.effect_mandelbrot((40, 40), (-2, -2, 1, 2), 50).convert("RGB").save(path)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_file_and_card_are_in_the_package_and_small(name: str) -> None:
    file, card = located(Path(name)), card_of(Path(name))
    assert file == Path(str(files("effnet.shipped") / f"{name}.safetensors")).resolve()
    assert file.stat().st_size <= 5_000_000
    assert card is not None
    assert card.read_text(encoding="utf-8").startswith(f"# {name}\n")


def test_the_card_says_what_its_file_says() -> None:
    header, card = modelfile.load_header(Path(NAME)), card_of(Path(NAME))
    assert card is not None
    text = card.read_text(encoding="utf-8")
    assert f"{cost(header.spec, header.num_classes).params:,} parameters" in text
    assert ", ".join(header.class_names) in text
    assert f"temperature {header.temperature:.3f}" in text
    assert f"{header.metrics['steps']:,} of batch" in text


def test_the_record_of_the_training_names_no_folder_of_a_machine() -> None:
    text = modelfile.header_to_json(modelfile.load_header(Path(NAME)))
    assert not any(folder in text for folder in ("/home", "/root", "/work", "/tmp", "C:\\"))


def test_kernels_are_stored_in_half_precision_and_given_in_float32() -> None:
    stored, given = modelfile.load_stored(Path(NAME))[1], modelfile.load(Path(NAME))[1]
    kernels = [name for name, array in stored.items() if array.ndim == 4]
    assert {stored[name].dtype for name in kernels} == {np.dtype(np.float16)}
    assert {array.dtype for array in given.values()} == {np.dtype(np.float32), np.dtype(np.int64)}


def test_the_command_predicts_with_it(photo: Path, capsys: Capture) -> None:
    assert main(["predict", NAME, str(photo), "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    assert len(prediction["classes"]) == 5


def test_python_loads_it_to_evaluate(here: Path) -> None:
    model = effnet.load(NAME)
    assert isinstance(model, Classifier)
    folder = here / "photos"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (200, 100, 50)).save(folder / name / "1.png")
    assert model.evaluate(folder).num_images == 2


def test_it_is_what_an_export_proves(here: Path, photo: Path) -> None:
    pytest.importorskip("onnxruntime")
    exported = effnet.export(NAME, here / "small.onnx")
    assert exported.parity.holds
    classes = [effnet.load(path).predict(photo)[0].classes[0][0] for path in (NAME, exported.path)]
    assert classes[0] == classes[1]


@pytest.mark.usefixtures("here")
def test_a_training_begins_with_it_and_remembers_its_hash() -> None:
    record = open_origin(NAME).record
    assert (record["source"], record["network"]) == (NAME, modelfile.load_header(Path(NAME)).spec.name)
    assert len(record["sha256"]) == 64


def test_import_makes_a_copy_to_change(here: Path) -> None:
    import_model(NAME, here / "mine.safetensors")
    ours, theirs = modelfile.load(Path(NAME)), modelfile.load(here / "mine.safetensors")
    assert ours[0] == theirs[0]
    assert all(np.array_equal(array, theirs[1][name]) for name, array in ours[1].items())


@pytest.mark.usefixtures("here")
def test_show_tells_where_the_card_is(capsys: Capture) -> None:
    assert main(["show", NAME]) == 0
    text = capsys.readouterr().out
    assert f"card {card_of(Path(NAME))}" in text
    assert "rounded kernels to float16" in text


@pytest.mark.usefixtures("here")
def test_show_for_programs_tells_where_the_card_is(capsys: Capture) -> None:
    assert main(["show", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["card"] == str(card_of(Path(NAME)))


@pytest.mark.usefixtures("here")
def test_show_lists_it(capsys: Capture) -> None:
    assert main(["show"]) == 0
    assert f"trained, in the package: {NAME}" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_bench_takes_it(capsys: Capture) -> None:
    assert main(["bench", NAME, "--classes", "3"]) == 2
    assert f"--classes 3: {NAME} has 10" in capsys.readouterr().err


def test_a_folder_of_that_name_is_an_error_with_words(here: Path) -> None:
    (here / NAME).mkdir()
    with pytest.raises(UsageError, match=rf"also a folder here: .*such as {NAME}/model\.safetensors"):
        effnet.load(NAME)


def test_a_file_of_that_name_is_an_error_with_words(here: Path) -> None:
    (here / NAME).write_bytes(b"")
    with pytest.raises(UsageError, match=f"also a file here: .*such as {here / NAME};"):
        effnet.load(NAME)


def test_the_path_in_full_means_the_file_here(here: Path) -> None:
    file = located(Path(NAME))
    shutil.copyfile(file, here / NAME)
    assert effnet.load(here / NAME).header.num_classes == 10


def test_a_folder_of_that_name_may_hold_data(here: Path, photo: Path, capsys: Capture) -> None:
    for name in ("cat", "dog"):
        (here / NAME / name).mkdir(parents=True)
        shutil.copyfile(photo, here / NAME / name / "1.png")
    model = here / "mine.safetensors"
    shutil.copyfile(Path(str(files("effnet.shipped") / f"{NAME}.safetensors")), model)
    assert main(["evaluate", str(model), NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_images"] == 2


@pytest.mark.usefixtures("here")
def test_a_name_that_is_nothing_is_told_the_known_ones() -> None:
    with pytest.raises(ModelFileError, match=f"no such file; with effnet comes {NAME}"):
        effnet.load("cifar10-smal")


@pytest.mark.usefixtures("here")
def test_calibration_does_not_write_into_the_package() -> None:
    model = effnet.load(NAME)
    assert isinstance(model, Classifier)
    before = located(Path(NAME)).read_bytes()
    with pytest.raises(UsageError, match=f"effnet import {NAME} --out mine.safetensors"):
        calibrate(model, "digits")
    assert located(Path(NAME)).read_bytes() == before


def test_only_files_of_the_package_are_packaged(here: Path) -> None:
    assert is_packaged(located(Path(NAME)))
    assert not is_packaged(here / f"{NAME}.safetensors")
    assert card_of(here / f"{NAME}.safetensors") is None
