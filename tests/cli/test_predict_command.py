"""`effnet predict` with an exported network: on the terminal, into a file, and after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from time import sleep
from typing import Any

import pytest
from PIL import Image

from broken import BROKEN
from effnet.cli.main import main
from effnet.inference.runtime import load
from full_disk import small_files_only
from image_files import IMAGES
from onnx_models import HEADER, write_onnx_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("models") / "model.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("photo.jpg", "plain.png", "animated.gif"):
        (folder / name).write_bytes(IMAGES[name])
    return folder


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int) -> str:
    """Run a command that fails; return its message."""
    assert main([*map(str, arguments)]) == code
    error = capsys.readouterr().err
    assert error.startswith("effnet: ")
    assert error.count("\n") == 1
    return error.removeprefix("effnet: ").rstrip("\n")


def test_an_exported_network_answers(model: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(model), str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["predictions"]
    assert printed == [prediction.to_dict() for prediction in load(model).predict(folder)]


def test_an_image_smaller_than_the_stride_is_answered_with_a_note(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixel = folder / "pixel.png"
    Image.new("RGB", (1, 1)).save(pixel)
    assert main(["predict", str(model), str(folder)]) == 0
    told = " ".join(capsys.readouterr().err.split())
    stride, side = HEADER.spec.total_stride, HEADER.preprocess.resolution
    assert told.startswith(f"note: smaller than the network's stride of {stride} pixels")
    assert f"enlarged to {side}×{side}" in told
    assert told.endswith(f"{pixel} (1×1)")


def test_show_says_what_it_is(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(model)]) == 0
    text = capsys.readouterr().out
    assert f"classes {HEADER.num_classes}: ant" in text
    assert "exported float32, takes normalised images" in text


def test_the_end_says_what_is_in_the_file(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.jpg").write_bytes(BROKEN["text.jpg"][0])
    out = tmp_path / "rows.csv"
    assert main(["predict", str(model), str(folder), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert f"{out}: 4 images; 1 cannot be read: see the column error; " in printed.out
    warning = " ".join(printed.err.split()).partition("warning: ")[2]
    assert warning == f"1 of 4 images cannot be read; their rows in {out} say why, in the column error"
    assert len(out.read_text(encoding="utf-8").splitlines()) > 4


def test_the_end_for_programs_is_json(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    assert main(["predict", str(model), str(folder), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["out"], result["num_rows"], result["num_errors"]) == (str(out), 3, 0)
    assert "warning" not in printed.err


def test_a_folder_of_nothing_readable_fails_and_says_where_the_reasons_are(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "empty.png").touch()
    out = tmp_path / "rows.csv"
    message = fails(capsys, "predict", model, tmp_path / "photos", "--out", out, code=1)
    assert message == f"none of the 1 images can be read; {out} says why, image by image"
    assert out.exists()


@pytest.mark.parametrize("name", ["rows.txt", "rows"])
def test_an_unknown_suffix_is_told_before_anything_is_loaded(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "predict", "none.onnx", folder, "--out", name, code=2)
    assert message.endswith("known: .csv, .jsonl, .parquet")


def test_a_device_is_not_for_exported_networks(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "predict", model, folder, "--device", "cuda", code=2)
    assert message == "device 'cuda': an exported network is computed on the CPU; leave it out"


def test_overwrite_without_a_file_is_a_mistake(
    model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "predict", model, folder, "--overwrite", code=2)
    assert message == "--overwrite is for a file of predictions; add --out FILE"


def test_an_onnx_file_of_another_program_is_refused(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"\x08\x0a")
    for command in (("predict", path, folder), ("show", path)):
        assert "an ONNX file without effnet's header" in fails(capsys, *command, code=1)


def test_a_disk_that_is_full_at_the_end_keeps_the_rows(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "rows.csv"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02d}.png").write_bytes(IMAGES["one pixel.png"])
    arguments = ["predict", str(model), str(folder), "--out", str(out)]
    with small_files_only():
        message = fails(capsys, *arguments, code=1)
    assert message.startswith("cannot write ")
    assert not out.exists()
    assert main(arguments) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) > 60


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "effnet", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def until(process: subprocess.Popen[bytes], path: Path, size: int) -> None:
    """Wait until a file has so many bytes, or the process is over."""
    while process.poll() is None and not (path.exists() and path.stat().st_size >= size):
        sleep(0.001)


def many_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    (folder / "0.png").write_bytes(IMAGES["plain.png"])
    for number in range(1, count):
        os.link(folder / "0.png", folder / f"{number}.png")
    return folder


def names_in(out: Path) -> list[Any]:
    return [json.loads(line)["image"] for line in out.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_after_kills_at_random_moments_no_row_is_lost_and_none_is_there_twice(
    model: Path, tmp_path: Path
) -> None:
    folder, out = many_images(tmp_path / "photos", 5000), tmp_path / "rows.jsonl"
    partial, draw, killed = tmp_path / "rows.jsonl.partial", Random(0), 0
    for _ in range(6):
        before = partial.stat().st_size if partial.exists() else 0
        process = start("predict", model, folder, "--out", out, "--top", "1")
        until(process, partial, before + draw.randrange(1, 60_000))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed == 6
    assert main(["predict", str(model), str(folder), "--out", str(out), "--top", "1"]) == 0
    assert sorted(names_in(out)) == sorted(f"{folder}/{number}.png" for number in range(5000))


def test_ctrl_c_says_how_to_go_on(model: Path, tmp_path: Path) -> None:
    folder, out = many_images(tmp_path / "photos", 20_000), tmp_path / "rows.jsonl"
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores it
    process = start("predict", model, folder, "--out", out)
    signal.signal(signal.SIGINT, before)
    until(process, tmp_path / "rows.jsonl.partial", 100)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode() == (
        f"effnet: stopped; the rows so far are in {out}.partial; the same command goes on after them\n"
    )
