"""`effnet export` says what it wrote, that it was proved, and what to do next; bad input is one line."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from effnet.cli.export import show
from effnet.cli.main import main
from effnet.exporting.comparison import Accuracy, Comparison
from effnet.exporting.parity import Parity
from effnet.exporting.result import Exported
from effnet.exporting.speed import Speed
from effnet.inference.onnxfile import EXPORT_KEY
from effnet.inference.runtime import load
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from onnx_models import EXPORT, write_onnx_model
from settled import classifier_of, saved

pytest.importorskip("onnxruntime")

Capture = pytest.CaptureFixture[str]

PARITY = Parity(64, 256, 1.25e-6, 12.5, 1.0, num_ties=2)
ACCURACY = Accuracy("test", 1000, (0.912, 0.907), (-0.012, 0.003), 0.985, None)
COMPARISON = Comparison(
    method="percentile 99.99",
    floats=("stages.0.0", "stages.1.0"),
    drop=0.4,
    num_choice=500,
    accuracy=ACCURACY,
    num_bytes=(16_000_000, 4_500_000),
    speed=(Speed(4.0, 250.0), Speed(5.0, 280.0)),
)
EXPORTED = Exported(
    Path("m.onnx"), Path("m.int8.onnx"), "normalised", (3, 224, 224), 16_000_000, PARITY, COMPARISON
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "Modell [1]"
    folder.mkdir()
    return saved(classifier_of(scale(B0_CIFAR, -8)), folder / "ein Modell.safetensors")


def test_it_says_what_was_written_and_proved_and_what_comes_next(model: Path, capsys: Capture) -> None:
    out = model.with_name("ein Modell.onnx")
    assert main(["export", str(model), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"{out}: 1." in text
    assert "takes any number of images of 3 × 12 × 12, float32, normalised" in text
    assert "proof: 64 random images through torch and onnxruntime: logits differ by at most" in text
    assert "the most probable class is the same for 100%" in text
    assert f"Try: effnet predict {out} PHOTO" in text
    assert load(out).header.num_classes == 4


def test_json_is_one_object_and_nothing_else(model: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "model.onnx"
    assert main(["export", str(model), "--out", str(out), "--embed-normalisation", "--json"]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert (data["float32"], data["input"], data["shape"]) == (str(out), "pixels", [12, 12, 3])
    assert data["parity"]["share"] < data["parity"]["limit"] == 1e-4
    assert captured.err == ""


def test_int8_stands_beside_float32_with_what_it_costs(capsys: Capture) -> None:
    show(EXPORTED)
    text = capsys.readouterr().out
    assert "64 random and 256 real images" in text
    assert "logits differ by at most 1.0e-07 of their range (allowed 1e-04)" in text
    assert "the same for 100% (2 of them ties)" in text
    rows = [line.split() for line in text.splitlines() if " MB " in line]
    assert rows == [
        ["m.onnx", "16.0", "MB", "4.00", "250.0", "91.20%"],
        ["m.int8.onnx", "4.5", "MB", "5.00", "280.0", "90.70%"],
    ]
    assert "int8 (2 blocks in float32, calibrated by percentile 99.99): -0.50 points" in text
    assert "(95% interval -1.20 to +0.30), the same answer for 98.5%" in text
    assert "on the 500 validation images that it was chosen by -0.40 points" in text


@pytest.mark.parametrize(("int8_milliseconds", "path"), [(5.0, "m.onnx"), (2.0, "m.int8.onnx")])
def test_the_file_that_is_faster_here_is_recommended(
    int8_milliseconds: float, path: str, capsys: Capture
) -> None:
    speed = (Speed(4.0, 250.0), Speed(int8_milliseconds, 280.0))
    exported = replace(EXPORTED, comparison=replace(COMPARISON, speed=speed))
    assert exported.recommended == Path(path)
    show(exported)
    text = capsys.readouterr().out
    assert f"Faster here: {path}, × " in text
    assert f"effnet serve {path}" in text


def test_a_caution_is_printed(capsys: Capture) -> None:
    careful = replace(ACCURACY, caution="these images also chose")
    show(replace(EXPORTED, comparison=replace(COMPARISON, accuracy=careful)))
    assert "note: these images also chose" in capsys.readouterr().out


def test_a_drop_of_nothing_has_no_minus(capsys: Capture) -> None:
    show(replace(EXPORTED, comparison=replace(COMPARISON, drop=0.0)))
    assert "it was chosen by +0.00 points" in capsys.readouterr().out


def int8_record(**found: object) -> str:
    return json.dumps(EXPORT | {"precision": "int8", "parity": found})


def test_show_says_what_int8_lost(tmp_path: Path, capsys: Capture) -> None:
    accuracy = asdict(replace(ACCURACY, interval=(-0.012, -0.0)))
    record = int8_record(method="extremes", floats=["stages.0.0"], drop=0.4, accuracy=accuracy)
    path = write_onnx_model(tmp_path / "m.onnx", **{EXPORT_KEY: record})
    assert main(["show", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "exported int8, takes normalised images" in text
    assert "compared with float32 on 1,000 images (test): 91.20% before, 90.70% now" in text
    assert "difference -1.20 to +0.00 points), the same answer for 98.5%; stages.0.0 in float32" in text


def test_a_damaged_record_of_int8_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    record = int8_record(floats=[], accuracy={"top1": [1]})
    path = write_onnx_model(tmp_path / "m.onnx", **{EXPORT_KEY: record})
    assert main(["show", str(path)]) == 1
    assert capsys.readouterr().err == (
        f"effnet: {path}: the record of the export is damaged; export it anew\n"
    )


@pytest.mark.slow
def test_int8_finds_the_data_of_the_training(tmp_path: Path, capsys: Capture) -> None:
    from effnet.data.datasets import open_dataset

    digits = open_dataset("digits")
    small = classifier_of(scale(replace(B0_CIFAR, in_channels=1), -8))
    header = replace(
        small.header,
        class_names=digits.class_names,
        split={},
        training={"data": "digits", "fingerprint": digits.fingerprint()},
    )
    ten = classifier_of(small.header.spec, header=header)
    path = saved(ten, tmp_path / "model.safetensors")
    out = tmp_path / "model.onnx"
    assert main(["export", str(path), "--out", str(out), "--int8", "--max-drop", "100"]) == 0
    captured = capsys.readouterr()
    assert "calibrating on digits, which the model was trained on" in captured.err
    assert "model.int8.onnx" in captured.out
    assert load(tmp_path / "model.int8.onnx").export["precision"] == "int8"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "missing MODEL"),
        (["MODEL"], 2, "missing --out"),
        (["nowhere.safetensors", "--out", "m.onnx"], 1, "nowhere.safetensors: no such file"),
        (["MODEL", "--out", "m.pt"], 2, "--out m.pt: the name must end in .onnx"),
        (["MODEL", "--out", "no/m.onnx"], 2, "--out no/m.onnx: there is no folder no; make it first"),
        (["MODEL", "--out", "m.onnx", "--int8"], 2, "--int8 needs images, and no data is known"),
        (["MODEL", "--out", "m.onnx", "--calibrate-on", "digits"], 2, "--calibrate-on is for --int8"),
        (["MODEL", "--out", "m.onnx", "--max-drop", "2"], 2, "--max-drop is for --int8"),
        (["MODEL", "--out", "m.onnx", "--int8", "--calibrate-on", "digits"], 1, "unknown to the model: 0, 1"),
        (["MODEL", "--out", "m.onnx", "--int8", "--calibrate-on", "nix"], 2, "there is no folder nix"),
        (["MODEL", "--out", "m.onnx", "--int8", "--max-drop", "-1"], 2, "max_drop = -1.0"),
    ],
)
def test_bad_input_is_one_line(
    model: Path, arguments: list[str], code: int, message: str, capsys: Capture
) -> None:
    given = [str(model) if argument == "MODEL" else argument for argument in arguments]
    assert main(["export", *given]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("effnet: ")
    assert message in last


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from effnet.cli.main import main\n"
        "try:\n    main(['export', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules or 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_missing_extra_is_named(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['onnx'] = None  # as if it were not installed\n"
        "from effnet.cli.main import main\n"
        f"sys.exit(main(['export', {str(model)!r}, '--out', {str(tmp_path / 'm.onnx')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ("effnet: this command needs onnx; install it with: pip install 'effnet[export]'\n")
