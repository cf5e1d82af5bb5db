"""The way back: other libraries load our weights with strict=True and compute the same logits."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from effnet import modelfile
from effnet.cli.main import main
from effnet.errors import UsageError
from effnet.exporting.card import FILL_IN
from effnet.exporting.handing import Target, export_to
from effnet.imaging.preprocess import Preprocess
from effnet.importing.run import import_model
from effnet.loading import load
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.cost import cost
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from peers import logits_error, random_peer

FAST = [
    ("timm", get_spec("b0")),
    ("timm", get_spec("b0", padding="same")),
    ("timm", get_spec("lite0", padding="same", bn_eps=1e-5, in_channels=4)),
    ("timm", get_spec("resnet-18", bn_eps=1e-3)),
    ("torchvision", get_spec("b0")),
    ("torchvision", get_spec("b0", bn_eps=1e-5)),
    ("torchvision", get_spec("mobilenet-v2")),
    ("torchvision", get_spec("resnet-18")),
]
SLOW = [
    *(("timm", get_spec(name)) for name in ("b3", "lite4", "v2-s", "v2-m", "mobilenet-v1", "mobilenet-v2")),
    ("timm", get_spec("v2-s", padding="same")),
    ("timm", get_spec("b7", padding="same", bn_eps=1e-5)),
    *(("torchvision", get_spec(name)) for name in ("b4", "b5", "v2-s", "v2-l", "resnet-50")),
]
EVERY = [*FAST, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in SLOW)]


def model_file(path: Path, spec: NetSpec, num_classes: int = 5, **about: Any) -> tuple[Path, nn.Module]:
    """Write a model file of random weights; return its network too."""
    network = (
        random_peer(lambda _: ConvNet(spec, num_classes), spec, 64, torch.Generator().manual_seed(0))
        if spec.in_channels == 3
        else ConvNet(spec, num_classes).eval()
    )
    names = tuple(f"class {number}" for number in range(num_classes))
    scale = (0.5,) * spec.in_channels
    header = ModelHeader(spec, Preprocess(64, mean=scale, std=scale), names, **about)
    modelfile.save(path, header, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    return path, network


def run_usage(usage: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Run the lines that were printed, where the weights are; return the network that they make."""
    script = folder / "usage.py"
    script.write_text(usage)
    monkeypatch.chdir(folder)
    network: nn.Module = runpy.run_path(str(script))["network"]
    return network.eval()


def named(value: object) -> str | None:
    return value.name if isinstance(value, NetSpec) else None


@pytest.mark.parametrize(("target", "spec"), EVERY, ids=named)
def test_the_printed_lines_load_the_weights_and_compute_the_same(
    target: Target, spec: NetSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix = ".safetensors" if spec.in_channels == 3 else ".pth"
    path, ours = model_file(tmp_path / "ours.safetensors", spec)
    handed = export_to(path, tmp_path / f"theirs{suffix}", target=target)
    assert "strict=True" in handed.usage
    peer = run_usage(handed.usage, tmp_path, monkeypatch).double()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, spec.in_channels, 65, 65, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        expected = ours.double()(images)
        assert torch.allclose(peer(images), expected, rtol=0, atol=1e-9 * expected.abs().max().item())


def test_out_and_in_again_gives_the_same_arrays(tmp_path: Path) -> None:
    path, ours = model_file(tmp_path / "ours.safetensors", get_spec("lite0", padding="same"), 1000)
    export_to(path, tmp_path / "theirs.safetensors", target="timm")
    back = import_model(tmp_path / "theirs.safetensors", variant="tf").draft
    assert back.arrays.keys() == ours.state_dict().keys()
    assert all(np.array_equal(back.arrays[name], tensor) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize(
    ("target", "spec", "problem"),
    [
        ("timm", get_spec("b0-cifar"), "timm has no network like b0-cifar: the nearest is efficientnet_b0, "
         r"but stem\.stride is 1 \(there 2\)"),
        ("torchvision", get_spec("lite0"), "torchvision has no network like lite0"),
        ("torchvision", get_spec("b0", padding="same"), "torchvision pads b0 symmetrically"),
        ("torchvision", get_spec("b0", in_channels=1), "take 3 channels, and this one 1"),
        ("torchvision", get_spec("b5", bn_eps=1e-5), "builds efficientnet_b5 with a BN eps of 0.001"),
        ("timm", get_spec("resnet-18", padding="same"), "timm pads resnet-18 symmetrically"),
    ],
    ids=named,
)  # fmt: skip
def test_what_a_library_cannot_build_is_an_error(
    target: Target, spec: NetSpec, problem: str, tmp_path: Path
) -> None:
    header = ModelHeader(
        spec, Preprocess(32, mean=(0.5,) * spec.in_channels, std=(0.5,) * spec.in_channels), ("a",)
    )
    as_many = np.zeros(cost(spec, 1).params // 2, np.float16)  # far fewer would be refused for that
    modelfile.save(tmp_path / "m.safetensors", header, {"classifier.weight": as_many})
    with pytest.raises(UsageError, match=problem):
        export_to(tmp_path / "m.safetensors", tmp_path / "theirs.pth", target=target)
    assert not (tmp_path / "theirs.pth").exists()


@pytest.mark.parametrize(
    ("out", "problem"), [("a.onnx", "must end in"), ("none/a.pth", "no folder"), ("f.pth", "a folder")]
)
def test_a_name_that_cannot_be_written_is_an_error(out: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "f.pth").mkdir()
    with pytest.raises(UsageError, match=problem):
        export_to("missing.safetensors", tmp_path / out, target="timm")


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    metrics = {"test": {"top1": 0.9125, "interval": [0.9, 0.92], "num_images": 1234}, "epochs": 3}
    training = {
        "data": "birds",
        "num_images": {"train": 200},
        "imported": {"source": "x/y", "license": "mit"},
    }
    spec = get_spec("resnet-18-cifar")
    path, _ = model_file(folder / "m.safetensors", spec, metrics=metrics, training=training)
    export_to(path, folder / "repository", target="hub")
    return folder / "repository"


def test_a_hub_folder_holds_the_model_file_itself(hub_folder: Path) -> None:
    assert load(hub_folder / "model.safetensors").header.class_names[0] == "class 0"


def test_a_hub_folder_is_imported_as_it_is(hub_folder: Path) -> None:
    header = import_model(hub_folder).header
    assert (header.spec.name, header.metrics["test"]["top1"]) == ("resnet-18-cifar", 0.9125)


def test_its_description_names_network_classes_and_preprocessing(hub_folder: Path) -> None:
    config = json.loads((hub_folder / "config.json").read_text())
    assert (config["library_name"], config["network"]) == ("effnet", "resnet-18-cifar")
    assert config["label_names"][4] == "class 4"
    assert config["preprocess"]["resolution"] == 64


@pytest.mark.parametrize(
    "text",
    ["| test | top1 | 0.9125 |", "| test | interval | 0.9 to 0.92 |", "on birds (200 train images)",
     "class 4", "resized to 64 pixels (bicubic)", "from x/y",
     f"license: {FILL_IN}  # the original weights say mit",
     'hf_hub_download("OWNER/NAME"', "effnet import OWNER/NAME"],
)  # fmt: skip
def test_the_card_says_what_is_known_and_marks_what_is_not(text: str, hub_folder: Path) -> None:
    assert text in (hub_folder / "README.md").read_text()


def test_a_folder_with_something_in_it_is_left_alone(hub_folder: Path) -> None:
    with pytest.raises(UsageError, match="is there already; it takes a new or empty folder"):
        export_to(hub_folder / "model.safetensors", hub_folder, target="hub")


def test_the_command_prints_the_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = model_file(tmp_path / "m.safetensors", replace(get_spec("resnet-18"), bn_eps=1e-5))
    out = tmp_path / "theirs.pth"
    assert main(["export", str(path), "--out", str(out), "--target", "torchvision"]) == 0
    assert "network = models.resnet18(num_classes=5)" in capsys.readouterr().out
    assert main(["export", str(path), "--out", str(tmp_path / "hub"), "--target", "hub"]) == 0
    assert "hf upload OWNER/NAME" in capsys.readouterr().out


def test_flags_of_onnx_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "m", "--out", "a.pth", "--target", "timm", "--int8"]) == 2
    assert "--int8 is for ONNX files, not for --target timm" in capsys.readouterr().err


def test_logits_really_depend_on_the_image(tmp_path: Path) -> None:
    _, network = model_file(tmp_path / "m.safetensors", get_spec("b0"))
    assert logits_error(network, network, torch.randn(2, 3, 65, 65)) == 0
