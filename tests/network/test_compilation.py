"""Compilers see the same network: torch.compile and torch.export give the logits of eager mode."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from effnet.network.model import ConvNet
from effnet.spec.families import B0_CIFAR
from effnet.spec.netspec import NetSpec, Padding
from effnet.spec.scale import scale

PADDINGS: tuple[Padding, ...] = ("symmetric", "same")
TINY = replace(  # every kind of layer, and little for a compiler to do
    scale(B0_CIFAR, -6), stages=B0_CIFAR.stages[:2], name="tiny"
)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(params=PADDINGS)
def tiny(request: pytest.FixtureRequest) -> NetSpec:
    return replace(TINY, padding=request.param, stem=replace(TINY.stem, stride=2))


def random_images() -> Tensor:
    return torch.randn(4, 3, 17, 17)


def test_the_compiled_network_is_one_graph_with_the_same_logits(tiny: NetSpec) -> None:
    model = ConvNet(tiny, 10).eval()
    images = random_images()
    with torch.no_grad():
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(images), model(images))


@pytest.mark.parametrize("checkpoint_stages", [False, True], ids=["plain", "checkpointed"])
def test_a_compiled_training_step_gives_the_same_gradients_and_statistics(checkpoint_stages: bool) -> None:
    spec = replace(TINY, dropout=0.0, drop_path=0.0)
    eager = ConvNet(spec, 10)
    model = ConvNet(spec, 10, checkpoint_stages=checkpoint_stages)
    model.load_state_dict(eager.state_dict())
    images = random_images()

    eager.train()(images).square().sum().backward()
    torch.compile(model.train(), backend="aot_eager", fullgraph=True)(images).square().sum().backward()

    for mine, theirs in zip(model.parameters(), eager.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad)
    torch.testing.assert_close(dict(model.named_buffers()), dict(eager.named_buffers()))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.script_method` is deprecated:DeprecationWarning")
def test_inductor_gives_the_same_logits() -> None:
    model = ConvNet(TINY, 10).eval()
    images = random_images()
    with torch.no_grad():
        compiled = torch.compile(model, backend="inductor", fullgraph=True)
        torch.testing.assert_close(compiled(images), model(images))


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_exported_network_gives_the_same_logits_at_an_odd_resolution(padding: Padding) -> None:
    model = ConvNet(replace(scale(B0_CIFAR, -6), padding=padding), 10).eval()
    images = random_images()
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images), model(images))


def test_the_exported_network_takes_any_batch_size(tiny: NetSpec) -> None:
    model = ConvNet(tiny, 10).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (random_images(),), dynamic_shapes=({0: batch},)).module()
    images = torch.randn(7, 3, 17, 17)
    torch.testing.assert_close(exported(images), model(images))
