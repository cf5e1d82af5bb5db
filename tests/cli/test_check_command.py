"""`effnet check` on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effnet.cli.main import main

Capture = pytest.CaptureFixture[str]


def draw(folder: Path, *names: str) -> Path:
    """Write pictures of noise, all different."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 30)).save(folder / name)
    return folder


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return draw(tmp_path / "data", *(f"{name}/{n}.png" for name in ("ant", "bee") for n in range(10)))


@pytest.fixture
def faulty(clean: Path) -> Path:
    (clean / "ant" / "[broken].png").write_bytes(b"no image")
    (clean / "ant" / "copy.png").write_bytes((clean / "ant" / "3.png").read_bytes())
    return clean


def run(data: Path, *flags: str) -> int:
    return main(["check", str(data), "--out", str(data.parent / "out"), *flags])


def test_findings_are_a_table_with_what_to_do(faulty: Path, capsys: Capture) -> None:
    assert run(faulty) == 0
    printed = capsys.readouterr()
    assert "Files that cannot be read" in printed.out
    assert "Fetch the file again, or delete it." in printed.out
    assert "No label stands out as wrong." in printed.out
    assert str(faulty.parent / "out" / "check.html") in printed.out
    assert "22 images of 2 classes; this takes about" in printed.err


def test_strict_fails_when_there_is_a_problem(faulty: Path, capsys: Capture) -> None:
    assert run(faulty, "--strict", "--no-labels") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "effnet: 2 problems in data: files that cannot be read: 1, the same picture twice: 1"
    )


def test_strict_is_content_with_hints(clean: Path) -> None:
    assert run(clean, "--strict") == 0
    assert json.loads((clean.parent / "out" / "check.json").read_text())["counts"].keys() <= {"doubt"}


def test_json_is_one_object_and_nothing_else(faulty: Path, capsys: Capture) -> None:
    assert run(faulty, "--json", "--no-labels") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    result = json.loads(printed.out)
    assert result["counts"] == {"unreadable": 1, "copy": 1}
    assert result["problems"] == 2
    assert [finding["path"] for finding in result["findings"]] == ["ant/[broken].png", "ant/copy.png"]


def test_without_findings_it_says_so(clean: Path, capsys: Capture) -> None:
    assert run(clean, "--no-labels") == 0
    assert capsys.readouterr().out.startswith("Nothing found.\n")


def test_results_inside_the_data_are_wrong_use(clean: Path, capsys: Capture) -> None:
    assert main(["check", str(clean), "--out", str(clean / "ant")]) == 2
    assert "lies inside the data" in capsys.readouterr().err


def test_no_such_data_is_wrong_use(capsys: Capture) -> None:
    assert main(["check", "nowhere"]) == 2
    assert "unknown data set 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["cleanlab", "imagehash"])
def test_a_missing_extra_is_named_before_work_begins(clean: Path, module: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{module!r}] = None  # as if it were not installed\n"
        "from effnet.cli.main import main\n"
        f"sys.exit(main(['check', {str(clean)!r}, '--out', {str(clean.parent / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == f"effnet: this command needs {module}; install it with: pip install 'effnet[doctor]'\n"
    )
    assert not (clean.parent / "out").exists()


def test_copies_are_found_without_cleanlab(faulty: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['cleanlab'] = None\n"
        "from effnet.cli.main import main\n"
        f"sys.exit(main(['check', {str(faulty)!r}, '--out', {str(faulty.parent / 'out')!r}, '--no-labels']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "The same picture twice" in done.stdout


def test_broken_files_are_not_taken_for_images_of_rare_classes(faulty: Path, capsys: Capture) -> None:
    assert run(faulty) == 0
    printed = capsys.readouterr().out
    assert "Files that cannot be read" in printed
    assert "were left out" not in printed
