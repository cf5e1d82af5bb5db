"""What stands beside a model on a hub: its description for programs, and its card for people."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from effnet.errors import some
from effnet.imaging import preprocess as preprocessing
from effnet.modelfile import ModelHeader
from effnet.spec.cost import cost

FILL_IN = "FILL IN"
NAMED = 20  # classes that the card lists


def config_text(header: ModelHeader) -> str:
    """Return `config.json`: what hubs and programs read without opening the weights."""
    values = {
        "library_name": "effnet",
        "effnet_version": header.effnet_version,
        "network": header.spec.name,
        "num_classes": header.num_classes,
        "label_names": list(header.class_names),
        "preprocess": preprocessing.to_dict(header.preprocess),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def readme_text(header: ModelHeader) -> str:
    """Return the model card, in Markdown; what only its owner knows is marked to be filled in."""
    return "\n".join(line for part in _PARTS for line in (*part(header), ""))


def _front(header: ModelHeader) -> Iterator[str]:
    licence = header.training.get("imported", {}).get("license")
    known = f"  # the original weights say {licence}" if licence else ""
    yield "---"
    yield "library_name: effnet"
    yield "pipeline_tag: image-classification"
    yield f"license: {FILL_IN}{known}"
    yield "tags:\n- image-classification\n- effnet\n- efficientnet"
    yield "---"


def _what(header: ModelHeader) -> Iterator[str]:
    spec, side = header.spec, header.preprocess.resolution
    spent = cost(spec, header.num_classes, side)
    yield f"# {FILL_IN}: what it recognises"
    yield ""
    yield (
        f"An image classifier: {spec.name}, {spent.params:,} parameters, {spent.macs / 1e9:.2f} G "
        f"multiply-adds at {side}×{side} pixels, {header.num_classes} classes."
    )
    yield ""
    yield f"- **Meant for:** {FILL_IN}"
    yield f"- **Not meant for:** {FILL_IN}"
    yield f"- **Classes:** {some(header.class_names, limit=NAMED)}"


def _training(header: ModelHeader) -> Iterator[str]:
    training, imported = header.training, header.training.get("imported")
    yield "## Training"
    yield ""
    if imported:
        yield (
            f"Weights from {imported.get('source')} ({imported.get('library')}, SHA-256 "
            f"{imported.get('sha256')}), imported by effnet."
        )
        yield from (f"- {change}" for change in imported.get("changes", []))
    if "data" in training:
        counts = ", ".join(f"{count:,} {part}" for part, count in training.get("num_images", {}).items())
        yield f"Trained by effnet {header.effnet_version} on {training['data']} ({counts} images)."
    if not imported and "data" not in training:
        yield FILL_IN


def _metrics(header: ModelHeader) -> Iterator[str]:
    yield "## Measured"
    yield ""
    parts = {
        part: header.metrics[part] for part in ("test", "val") if isinstance(header.metrics.get(part), dict)
    }
    if not parts:
        yield f"Nothing yet: `effnet evaluate` measures it. {FILL_IN}"
        return
    yield "| images | measure | value |"
    yield "|---|---|---|"
    for part, values in parts.items():
        yield from (f"| {part} | {name} | {_short(value)} |" for name, value in _plain(values))
    if header.temperature != 1.0:
        yield ""
        yield "Loss and calibration error (ece) are those before calibration, of the logits as they are."


def _plain(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, int | float) or (isinstance(value, list) and len(value) == 2):
            yield name, value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_short, value))
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def _input(header: ModelHeader) -> Iterator[str]:
    preprocess = header.preprocess
    yield "## Input"
    yield ""
    side, mean, std = preprocess.resolution, list(preprocess.mean), list(preprocess.std)
    yield (
        f"{preprocess.colours}; the short side is resized to {preprocess.resized_short_side} pixels "
        f"({preprocess.interpolation}), the middle {side}×{side} is cut out, and (value / 255 - mean) / std "
        f"with mean {mean} and std {std}. The model file says so too: effnet does it by itself."
    )
    yield f"Logits are divided by {header.temperature:g} before they become probabilities."


def _use(_: ModelHeader) -> Iterator[str]:
    yield """## Use

```sh
pip install 'effnet[hub]'
effnet import OWNER/NAME --out model.safetensors
effnet predict model.safetensors PHOTO
```

```python
import effnet
from huggingface_hub import hf_hub_download

model = effnet.load(hf_hub_download("OWNER/NAME", "model.safetensors"))
print(model.predict("photo.jpg"))
```"""


_PARTS = (_front, _what, _metrics, _input, _training, _use)
