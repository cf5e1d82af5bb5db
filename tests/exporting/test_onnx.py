"""An exported network computes what the network computes, for any number of images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from effnet.errors import EffnetError
from effnet.exporting.onnx import INPUT, OUTPUT, open_session, write_onnx
from effnet.network.model import ConvNet
from effnet.spec.families import B0_CIFAR, QUICK_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SMALL = scale(B0_CIFAR, -8)
NETWORKS = {
    "mbconv": SMALL,
    "fused": scale(QUICK_CIFAR, -4),
    "same padding, grey": replace(SMALL, padding="same", in_channels=1, resolution=20),
    "hardswish": replace(SMALL, activation="hardswish"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ConvNet, Path]:
    torch.manual_seed(0)
    network = settled(NETWORKS[request.param])
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    write_onnx(network, path)
    return network, path


def settled(spec: NetSpec) -> ConvNet:
    """Return a network whose normalisation has seen images, in training mode."""
    network = ConvNet(spec, 10)
    with torch.no_grad():
        network(torch.randn(64, spec.in_channels, spec.resolution, spec.resolution))
    return network


@pytest.mark.parametrize("num_images", [1, 3])
def test_logits_are_the_networks_own(exported: tuple[ConvNet, Path], num_images: int) -> None:
    network, path = exported
    spec = network.spec
    images = torch.randn(num_images, spec.in_channels, spec.resolution, spec.resolution)
    (logits,) = open_session(path, 1).run([OUTPUT], {INPUT: images.numpy()})
    network.eval()
    with torch.inference_mode():
        expected = network(images).numpy()
    network.train()
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_the_network_stays_as_it_is(exported: tuple[ConvNet, Path]) -> None:
    assert exported[0].training


def test_the_file_is_whole(exported: tuple[ConvNet, Path]) -> None:
    network, path = exported
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size > sum(4 * p.numel() for p in network.parameters() if p.ndim > 1)


def test_a_session_has_as_many_threads_as_asked(exported: tuple[ConvNet, Path]) -> None:
    assert open_session(exported[1], 1).get_session_options().intra_op_num_threads == 1


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EffnetError, match="cannot write"):
        write_onnx(ConvNet(SMALL, 10), tmp_path / "file" / "network.onnx")
