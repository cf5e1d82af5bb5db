"""`pip install effnet[serve]` installs no torch, and what it installs is enough."""

import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from effnet.inference.runtime import load
from image_files import IMAGES
from onnx_models import HEADER, write_onnx_model

ROOT = Path(__file__).parents[2]
NO_REGISTRY = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Temporary failure in name resolution",
    "Network is unreachable",
)

pytestmark = pytest.mark.slow


def pip_install(python: Path, what: str) -> None:
    """Install with the documented constraints; skip where no registry can be reached."""
    command = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", what]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode and any(reason in done.stderr for reason in NO_REGISTRY):
        pytest.skip("no package registry can be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with `effnet[serve]`, built and installed as a user gets it."""
    folder = tmp_path_factory.mktemp("serve")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    pip_install(folder / "env" / "bin" / "python", f"{wheel}[serve]")
    return folder / "env" / "bin"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "photo.jpg").write_bytes(IMAGES["photo.jpg"])
    return write_onnx_model(folder / "model.onnx")


def output(environment: Path, program: str, *arguments: str | Path) -> str:
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(environment / program), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=outside).stdout


def test_it_has_no_torch(environment: Path) -> None:
    listed = json.loads(output(environment, "python", "-m", "pip", "list", "--format", "json"))
    names = {package["name"].lower() for package in listed}
    assert "onnxruntime" in names
    assert not names & {
        "torch",
        "kornia",
        "scikit-learn",
        "scipy",
        "matplotlib",
        "onnx",
        "onnxscript",
        "sympy",
    }


def test_it_shows(environment: Path, model: Path) -> None:
    shown = json.loads(output(environment, "effnet", "show", model, "--json"))
    assert shown["class_names"] == list(HEADER.class_names)


def test_it_scales(environment: Path) -> None:
    assert json.loads(output(environment, "effnet", "scale", "b0", "--phi", "1", "--json"))


def test_it_predicts(environment: Path, model: Path) -> None:
    printed = json.loads(
        output(environment, "effnet", "predict", model, model.parent / "photo.jpg", "--json")
    )
    (expected,) = load(model).predict(model.parent / "photo.jpg")
    (answer,) = printed["predictions"]
    assert [found["name"] for found in answer["classes"]] == [name for name, _ in expected.classes]


def test_it_predicts_into_a_file(environment: Path, model: Path, tmp_path: Path) -> None:
    output(
        environment, "effnet", "predict", model, model.parent / "photo.jpg", "--out", tmp_path / "rows.jsonl"
    )
    assert json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()[0])["error"] is None


def test_it_serves(environment: Path, model: Path) -> None:
    photo = (model.parent / "photo.jpg").read_bytes()
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(environment / "effnet"), "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=outside) as process:
        assert process.stderr is not None
        try:
            url = json.loads(process.stderr.readline())["url"]
            request = Request(f"{url}/v1/predict", photo, {"Content-Type": "image/jpeg"})
            with urlopen(request, timeout=60) as answer:
                (prediction,) = json.load(answer)["predictions"]
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    (expected,) = load(model).predict(model.parent / "photo.jpg")
    assert prediction["classes"][0]["name"] == expected.classes[0][0]
