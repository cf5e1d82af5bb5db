"""An exported file in the hands of somebody without effnet: it says how it is used, and answers the same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from effnet.exporting.run import export
from effnet.imaging.preprocess import Preprocess
from effnet.inference.runtime import load
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from image_files import IMAGES
from settled import CLASS_NAMES, classifier_of

pytest.importorskip("onnxruntime")

DOCUMENT = Path(__file__).parents[2] / "docs" / "serve.md"
SHOWN = re.search(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module", params=["normalised", "pixels"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    spec = scale(B0_CIFAR, -8)
    seen = Preprocess(spec.resolution, 0.75, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    pixels = request.param == "pixels"
    return export(classifier_of(spec, seen), folder / "model.onnx", embed_normalisation=pixels).path


@pytest.mark.parametrize("name", ["photo.jpg", "turned 6.jpg", "cmyk.jpg", "odd.png", "large.jpg"])
def test_the_document_s_lines_give_the_same_probabilities(model: Path, name: str) -> None:
    assert SHOWN is not None
    photo = model.with_name("photo.jpg")
    photo.write_bytes(IMAGES[name])
    code = f"import sys; sys.modules['effnet'] = None\n{SHOWN[1]}\nprint(json.dumps(probs.tolist()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=model.parent, capture_output=True, text=True, check=True
    )
    answer = dict(zip(CLASS_NAMES, json.loads(done.stdout.splitlines()[-1]), strict=True))
    assert answer == pytest.approx(dict(load(model).predict(photo)[0].classes), abs=1e-4)


def test_a_file_says_how_it_is_used(model: Path) -> None:
    text = onnx.load(model).doc_string
    assert "Classifies images into 4 classes; b0-cifar-phi-8, by effnet " in text
    assert "RGB, upright, the short side resized to 16 pixels (bicubic, " in text
    assert "softmax of logits / 1.5; the classes in this order are in the metadata" in text
    shape = "(N, 3, 12, 12)" if load(model).input_kind == "normalised" else "uint8, (N, 12, 12, 3)"
    assert shape in text
