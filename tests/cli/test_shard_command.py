"""`effnet shard` at the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from effnet.cli.main import main
from shard_sets import write_folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", 40)


def test_a_folder_becomes_shards_that_are_verified(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "shards")
    assert main(["shard", str(images), "--out", out, "--shard-mb", "0.0513", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("40 images of 10 classes in 2 shards, ")
    assert "  all: 40 images, all-000000.tar … all-000001.tar" in printed
    assert f"Try: effnet train {out}" in printed
    assert main(["shard", out, "--verify"]) == 0
    assert "All checksums are those of the index." in capsys.readouterr().out


def test_json_is_one_object(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "shard",
        str(images),
        "--out",
        str(tmp_path / "shards"),
        "--resize",
        "64",
        "--verify",
        "--json",
    ]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["images"], printed["verified"], printed["made"]["resize"]) == (40, True, 64)
    assert printed["parts"] == {"all": {"images": 40, "shards": 1}}


def test_a_damaged_shard_is_one_line_and_an_exit_code(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shards"
    main(["shard", str(images), "--out", str(out)])
    victim = out / "all-000000.tar"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert main(["shard", str(out), "--verify"]) == 1
    said = f"effnet: 1 of 1 shards: shard {victim} is damaged: its SHA-256 is another one\n"
    assert capsys.readouterr().err == said


def test_without_a_folder_to_write_to_it_says_so(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shard", str(images)]) == 2
    assert "--out DIR is missing" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_counted(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = sorted(images.rglob("*.png"))[3]
    victim.write_bytes(b"")
    assert main(["shard", str(images), "--out", str(tmp_path / "shards")]) == 0
    captured = capsys.readouterr()
    assert f"skipped: {victim.relative_to(images)}: empty file" in captured.err
    assert "skipped: 1 that cannot be read, named in index.json" in captured.out


def test_ctrl_c_says_that_the_same_command_goes_on(images: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # in the background a shell ignores it
        "from effnet.cli import main, progress\n"
        "from effnet.data.sharded import run\n"
        "write = run.ShardWriter.finish\n"
        "def finish(writer, *arguments):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return write(writer, *arguments)\n"
        "run.ShardWriter.finish = finish\n"
        "sys.exit(main.main(sys.argv[1:]))\n"
    )
    arguments = ["shard", str(images), "--out", str(tmp_path / "shards"), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert "the same command goes on after them" in done.stderr
    assert main(arguments) == 0
