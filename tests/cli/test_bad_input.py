"""Bad input on the command line: an exit code, one line that names it, and all else still done."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from broken import BROKEN
from effnet import modelfile
from effnet.cli.main import main

TINY = ("--phi", "-8", "--epochs", "1", "--resolution", "8", "--device", "cpu")
MISSING_DEVICE = "mps" if torch.cuda.is_available() else "cuda"

Capture = pytest.CaptureFixture[str]


def draw(folder: Path, *names: str) -> Path:
    """Write images of noise, three kinds of which can be told apart: names are CLASS/FILE."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return folder


def photos(folder: Path) -> Path:
    return draw(folder, *(f"{name}/{number}.png" for name in ("große Ameise", "蜂") for number in range(8)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained in a folder whose name has a space and letters beyond ASCII."""
    root = tmp_path_factory.mktemp("Käfer und 蜂")
    arguments = ["train", str(photos(root / "data")), "--out", str(root / "ein Lauf"), *TINY]
    assert main([*arguments, "--data.max-broken", "0.5"]) == 0
    return root / "ein Lauf" / "model.safetensors"


def data_of(model: Path) -> Path:
    return model.parents[1] / "data"


def failed(capsys: Capture, *arguments: object, code: int = 1) -> str:
    """Run a command that fails before it prints any result; return its only or last line."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    line = printed.err.splitlines()[-1]
    assert line.startswith("effnet: ")
    return line.removeprefix("effnet: ")


def test_spaces_and_other_letters_go_through_every_command(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    report = tmp_path / "der Bericht – 蜂"
    assert main(["evaluate", str(model), str(data_of(model)), "--report", str(report)]) == 0
    assert "große Ameise" in (report / "report.html").read_text(encoding="utf-8")
    assert main(["predict", str(model), str(data_of(model) / "蜂")]) == 0
    assert main(["show", str(model)]) == 0
    assert "classes 2: große Ameise, 蜂" in capsys.readouterr().out


def spoil(folder: Path) -> list[str]:
    """Put one of each kind of broken image into a folder; return what is to be said of them."""
    for name, (content, _) in BROKEN.items():
        (folder / name).write_bytes(content)
    return [f"{folder}/{name}: {reason}" for name, (_, reason) in BROKEN.items()]


def test_train_names_broken_images_and_goes_on(tmp_path: Path, capsys: Capture) -> None:
    expected = spoil(photos(tmp_path / "data") / "蜂")
    arguments = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *TINY]
    assert main([*arguments, "--data.max-broken", "0.5"]) == 0
    printed = capsys.readouterr().err
    assert "Warning" not in printed
    for problem in expected:
        assert f"skipped: {problem}" in printed


def test_train_names_a_broken_image_of_the_part_that_is_tested(tmp_path: Path, capsys: Capture) -> None:
    names = [
        f"{part}/{kind}/{number}.png" for part in ("train", "test") for kind in "ab" for number in range(4)
    ]
    (draw(tmp_path / "data", *names) / "test" / "a" / "1.png").write_bytes(b"")
    assert main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *TINY]) == 0
    assert f"skipped: {tmp_path}/data/test/a/1.png: empty file" in capsys.readouterr().err.splitlines()


def test_evaluate_names_broken_images_and_goes_on(model: Path, tmp_path: Path, capsys: Capture) -> None:
    data = shutil.copytree(data_of(model), tmp_path / "data")
    expected = spoil(data / "蜂")
    capsys.readouterr()
    assert main(["evaluate", str(model), str(data), "--split", "all"]) == 0
    printed = capsys.readouterr()
    assert "all: " in printed.out
    assert "of 16 images right" in printed.out
    lines = printed.err.splitlines()
    assert len(lines) == len(expected)
    for line, problem in zip(lines, sorted(expected), strict=True):
        assert line.startswith(f"skipped: {problem}")


@pytest.mark.parametrize("name", BROKEN)
def test_predict_names_a_broken_image_in_one_line(
    name: str, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    capsys.readouterr()
    assert main(["predict", str(model), str(tmp_path / name)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"effnet: {tmp_path}/{name}: {reason}")
    assert printed.err.count("\n") == 1


def test_predict_answers_for_the_images_beside_a_broken_one(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    draw(tmp_path, "1.png", "3.png")
    (tmp_path / "2.png").write_bytes(b"")
    capsys.readouterr()
    assert main(["predict", str(model), str(tmp_path), str(tmp_path / "4.png")]) == 1
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()[1:]] == [
        f"{tmp_path}/1.png",
        f"{tmp_path}/3.png",
    ]
    problems = f"{tmp_path}/2.png: empty file, {tmp_path}/4.png: no such file"
    assert printed.err == f"effnet: 2 of 4 images cannot be read: {problems}\n"


def test_json_of_predict_lists_what_was_skipped(model: Path, tmp_path: Path, capsys: Capture) -> None:
    draw(tmp_path, "1.png")
    (tmp_path / "2.png").write_bytes(b"")
    capsys.readouterr()
    assert main(["predict", str(model), str(tmp_path), "--json"]) == 1
    answers = json.loads(capsys.readouterr().out)
    assert [prediction["image"] for prediction in answers["predictions"]] == [f"{tmp_path}/1.png"]
    assert answers["skipped"] == [f"{tmp_path}/2.png: empty file"]


def commands(data: Path, model: Path, out: Path) -> list[list[str]]:
    """All that read a data set."""
    return [["train", str(data), "--out", str(out), *TINY], ["evaluate", str(model), str(data)]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no folders in it; put the images of each class into a folder of its own"),
        (["ant/1.png"], "has a single class, 'ant'; a classifier needs at least two folders"),
        (
            ["train/ant/1.png", "train/bee/1.png", "val/ant/1.png", "val/wasp/1.png"],
            "val has classes that the training images lack: wasp; the classes are ant, bee; rename or remove",
        ),
    ],
)
def test_a_folder_that_is_no_data_set_is_named(
    names: list[str], message: str, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = draw(tmp_path / "data", *names)
    data.mkdir(exist_ok=True)
    for arguments in commands(data, model, tmp_path / "run"):
        line = failed(capsys, *arguments)
        assert line.startswith(str(data))
        assert message in line


def test_a_class_that_validation_lacks_is_a_warning(tmp_path: Path, capsys: Capture) -> None:
    draw(tmp_path / "data", *(f"train/{kind}/{number}.png" for kind in "abc" for number in range(4)))
    draw(tmp_path / "data", "val/a/1.png", "val/b/1.png")
    assert main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *TINY]) == 0
    assert "warning: val has no images of c: how well they do will not be seen" in capsys.readouterr().err


def test_a_folder_with_other_classes_than_the_model_is_refused(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = draw(tmp_path / "data", "ant/1.png", "bee/1.png", "蜂/1.png")
    assert failed(capsys, "evaluate", model, data) == (
        "data has 3 classes and the model 2; missing: große Ameise; unknown to the model: ant, bee; folders "
        "must be named as the model's classes"
    )


def cut(model: Path, path: Path) -> None:
    path.write_bytes(model.read_bytes()[:-1000])


def save_newer(model: Path, path: Path) -> None:
    data = model.read_bytes()
    path.write_bytes(data.replace(rb"\"format_version\": 1", rb"\"format_version\": 7"))


def save_pickle(model: Path, path: Path) -> None:
    torch.save(modelfile.load(model)[1], path)


def add_class(model: Path, path: Path) -> None:
    header, arrays = modelfile.load(model)
    modelfile.save(path, replace(header, class_names=(*header.class_names, "wasp")), arrays)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "not a model file, or damaged or cut off"),
        (save_newer, "format version 7 (written by effnet"),
        (save_pickle, "not a model file but a pickle"),
        (
            add_class,
            "the weights do not fit b0-cifar-phi-8 with 3 classes: classifier.bias is 2 (expected 3)",
        ),
    ],
)
def test_a_bad_model_file_is_one_line(
    damage: Callable[[Path, Path], None], message: str, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "verdorben.safetensors"
    damage(model, path)
    for arguments in (["evaluate", path, data_of(model)], ["predict", path, data_of(model)], ["show", path]):
        if damage is add_class and arguments[0] == "show":
            continue  # it reads what the file says, not its weights
        assert failed(capsys, *arguments).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "{data}", *TINY, "--out", "{blocked}"],
        ["scale", "b0", "--phi", "1", "--out", "{blocked}/net.json"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_output_that_cannot_be_written_is_named(
    arguments: list[str], model: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A file stands where the folder should be: unlike a read-only folder it stops root, too."""
    (tmp_path / "file").write_text("")
    places = {"data": data_of(model), "blocked": tmp_path / "file" / "run"}
    line = failed(capsys, *(argument.format(**places) for argument in arguments))
    assert line.startswith(("cannot write", "cannot write to"))
    assert str(tmp_path / "file") in line


def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("")
    report = tmp_path / "file" / "r"
    line = failed(capsys, "evaluate", model, data_of(model), "--report", report)
    assert line == f"cannot write to {report}: Not a directory"


def test_a_device_that_is_not_there_is_named(model: Path, tmp_path: Path, capsys: Capture) -> None:
    data = data_of(model)
    for command in (
        ["train", data, *TINY, "--out", tmp_path / "run"],
        ["evaluate", model, data],
        ["predict", model, data],
    ):
        line = failed(capsys, *command, "--device", MISSING_DEVICE, code=2)
        assert line.startswith(f"device '{MISSING_DEVICE}' is not available here; available: auto, ")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
def test_names_that_are_no_unicode_go_through_every_command(tmp_path: Path, capsys: Capture) -> None:
    name = os.fsdecode(b"caf\xe9")
    draw(tmp_path / "data", *(f"{kind}/{number}{name}.png" for kind in (name, "b") for number in range(8)))
    (tmp_path / "data" / name / f"empty{name}.png").write_bytes(b"")
    assert main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *TINY]) == 0
    model = tmp_path / "run" / "model.safetensors"
    report = ["--report", str(tmp_path / "report")]
    assert main(["evaluate", str(model), str(tmp_path / "data"), "--split", "all", *report]) == 0
    assert main(["predict", str(model), str(tmp_path / "data" / "b"), "--json"]) == 0
    assert "skipped: " in capsys.readouterr().err


def test_a_name_of_two_lines_makes_one(model: Path, capsys: Capture) -> None:
    assert failed(capsys, "predict", model, "two\nlines.png") == "two lines.png: no such file"


def in_ascii(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command whose output can hold ASCII only, as on a terminal with an old code page."""
    return subprocess.run(
        [sys.executable, "-m", "effnet", *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_characters_that_a_terminal_lacks_do_not_end_a_command(model: Path) -> None:
    done = in_ascii("show", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert "classes 2: gro?e Ameise, ?" in done.stdout


def test_json_is_exact_whatever_the_output_can_hold(model: Path) -> None:
    done = in_ascii("show", model, "--json")
    assert json.loads(done.stdout)["class_names"] == ["große Ameise", "蜂"]


def test_a_report_inside_the_data_is_refused_and_the_data_stay_whole(model: Path, capsys: Capture) -> None:
    place = data_of(model) / "report"
    error = failed(capsys, "evaluate", model, data_of(model), "--report", place, code=2)
    assert error.endswith("lies inside the data, where it would become a class; choose another --report")
    assert not place.exists()


def test_images_smaller_than_the_stride_are_refused(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    assert main(["train", "digits", "--model", "b0", "--resolution", "24", "--out", str(out)]) == 2
    assert " at 24×24 pixels: that is below its total stride of 32, and" in capsys.readouterr().err
    assert not out.exists()
