"""An exported network is used where torch cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from effnet.inference.runtime import load
from image_files import IMAGES
from onnx_models import HEADER, write_onnx_model, write_torch_model

# What the extra `serve` does not install.
BLOCKED = (
    "torch",
    "kornia",
    "sklearn",
    "matplotlib",
    "scipy",
    "filelock",
    "jinja2",
    "optuna",
    "onnx",
    "onnxscript",
)

PROGRAM = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without torch")
    (folder / "photo.jpg").write_bytes(IMAGES["photo.jpg"])
    return write_onnx_model(folder / "model.onnx")


def run(program: str, *, returns: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == returns, done.stderr
    return done


def command(*arguments: str | Path, returns: int = 0) -> subprocess.CompletedProcess[str]:
    call = f"from effnet.cli.main import main\nsys.exit(main({[*map(str, arguments)]}))"
    return run(call, returns=returns)


def test_predict_answers_and_loads_nothing_heavy(model: Path) -> None:
    photo = model.parent / "photo.jpg"
    done = run(
        f"from effnet.cli.main import main\n"
        f"main(['predict', {str(model)!r}, {str(photo)!r}, '--json'])\n"
        f"print([name for name in {BLOCKED} if name in sys.modules], file=sys.stderr)"
    )
    (answer,) = json.loads(done.stdout)["predictions"]
    assert answer == load(model).predict(photo)[0].to_dict()
    assert done.stderr.strip() == "[]"


def test_predict_writes_a_file(model: Path, tmp_path: Path) -> None:
    command("predict", model, model.parent, "--out", tmp_path / "rows.csv")
    header, row = (tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()[:2]
    assert header.startswith("image,class,probability,class2,")
    assert row.startswith(str(model.parent / "photo.jpg"))


def test_show_says_what_the_file_says(model: Path) -> None:
    shown = json.loads(command("show", model, "--json").stdout)
    assert shown["class_names"] == list(HEADER.class_names)
    assert shown["export"]["precision"] == "float32"


def test_load_in_python_predicts(model: Path) -> None:
    photo = model.parent / "photo.jpg"
    done = run(f"import effnet\nprint(effnet.load({str(model)!r}).predict({str(photo)!r})[0].classes[0][0])")
    assert done.stdout.rstrip("\n") == load(model).predict(photo)[0].classes[0][0]


@pytest.mark.parametrize("arguments", [("show",), ("scale", "b0", "--phi", "1")])
def test_what_needs_no_model_needs_no_torch(arguments: tuple[str, ...]) -> None:
    assert command(*arguments).stdout


def test_a_model_file_names_the_extra_that_it_needs(model: Path, tmp_path: Path) -> None:
    path = write_torch_model(tmp_path / "model.safetensors")
    done = command("predict", path, model.parent / "photo.jpg", returns=1)
    assert "needs torch: pip install 'effnet[train]'" in done.stderr
    assert f"effnet export {path} --out model.onnx" in done.stderr


def test_a_network_of_the_package_names_it_too(model: Path) -> None:
    done = command("predict", "cifar10-small", model.parent / "photo.jpg", returns=1)
    assert done.stderr.startswith("effnet: cifar10-small is a model file, which needs torch")


def test_a_network_of_the_package_is_shown_without_torch() -> None:
    assert "airplane, automobile" in command("show", "cifar10-small").stdout


def test_onnxruntime_keeps_no_id_of_the_machine_and_reports_to_nobody(model: Path, tmp_path: Path) -> None:
    code = f"import effnet; effnet.load({str(model)!r}).predict({str(model.parent / 'photo.jpg')!r})"
    silenced = (
        "ORT_",
        "CI",
        "GITHUB_",
        "TF_BUILD",
        "XDG_",
    )  # what makes it silent, and what moves its folder
    environment = {key: value for key, value in os.environ.items() if not key.startswith(silenced)}
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
