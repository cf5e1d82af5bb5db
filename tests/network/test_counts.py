"""What `effnet.spec.cost` computes is what a counter measures on the network that torch builds."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from effnet.network.model import ConvNet
from effnet.spec.baselines import BASELINES, MOBILENET_V1, RESNET_50
from effnet.spec.cost import Cost, cost, row_sizes
from effnet.spec.families import B0, B0_CIFAR, NETWORKS
from effnet.spec.netspec import Head, NetSpec, Padding, Stage, Stem
from effnet.spec.scale import scale
from strategies import stages


def build_without_weights(spec: NetSpec, num_classes: int) -> ConvNet:
    with torch.device("meta"):
        return ConvNet(spec, num_classes).eval()


def measure(spec: NetSpec, num_classes: int, resolution: int) -> Cost:
    """Count parameters by their elements, the rest by watching each convolution and linear layer write."""
    model = build_without_weights(spec, num_classes)
    written: list[tuple[int, int]] = []

    def watch(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.Linear)
        elements = output[0].numel()
        written.append((elements * module.weight[0].numel(), elements))

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(watch)
    model(torch.empty(1, spec.in_channels, resolution, resolution, device="meta"))
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(params, sum(macs for macs, _ in written), sum(elements for _, elements in written))


SPECS = {
    **NETWORKS,
    "phi -3": scale(B0, -3),
    "phi 1.7": scale(B0, 1.7),
    "expand ratio 1": replace(B0, stages=tuple(replace(stage, expand_ratio=1) for stage in B0.stages)),
    "fused": replace(B0, stages=tuple(replace(stage, block="fused-mbconv") for stage in B0.stages)),
    "no squeeze": replace(B0, stages=tuple(replace(stage, se_ratio=0.0) for stage in B0.stages)),
    "one channel": replace(B0_CIFAR, in_channels=1),
    "same padding, odd": replace(B0, padding="same", resolution=97),
    "symmetric padding, odd": replace(B0, resolution=97),
    "one pixel": replace(B0, resolution=1),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_arithmetic_equals_measurement(spec: NetSpec) -> None:
    assert cost(spec, 10) == measure(spec, 10, spec.resolution)


@pytest.mark.parametrize("num_classes", [1, 37, 1000])
def test_arithmetic_equals_measurement_for_any_number_of_classes(num_classes: int) -> None:
    assert cost(B0, num_classes) == measure(B0, num_classes, 224)


@settings(max_examples=25)
@given(
    stem=st.builds(Stem, st.sampled_from([1, 3, 5, 7]), st.integers(1, 4), st.integers(1, 40), st.booleans()),
    rows=st.lists(stages(60, 3), min_size=1, max_size=4),
    head=st.sampled_from([None, Head(50)]),
    padding=st.sampled_from(["symmetric", "same"]),
    resolution=st.integers(1, 129),
)
def test_arithmetic_equals_measurement_for_any_network(
    stem: Stem, rows: list[Stage], head: Head | None, padding: Padding, resolution: int
) -> None:
    spec = replace(B0, stem=stem, stages=tuple(rows), head=head, padding=padding)
    assert cost(spec, 7, resolution) == measure(spec, 7, resolution)


@settings(max_examples=15)
@given(st.sampled_from(BASELINES), st.floats(-3.0, 3.0), st.integers(1, 65))
def test_arithmetic_equals_measurement_for_any_scaled_baseline(
    base: NetSpec, phi: float, resolution: int
) -> None:
    spec = scale(base, phi)
    assert cost(spec, 7, resolution) == measure(spec, 7, resolution)


SIZED = [B0, B0_CIFAR, MOBILENET_V1, RESNET_50, *(replace(spec, padding="same") for spec in (B0, RESNET_50))]


@pytest.mark.parametrize("resolution", [224, 97, 33, 1])
@pytest.mark.parametrize("spec", SIZED, ids=lambda spec: f"{spec.name} {spec.padding}")
def test_row_sizes_are_those_of_the_feature_maps(spec: NetSpec, resolution: int) -> None:
    model = build_without_weights(spec, 10)
    sizes = []
    x: Tensor = model.pool(model.stem(torch.empty(1, 3, resolution, resolution, device="meta")))
    for row in [*model.stages] if spec.head is None else [*model.stages, model.head]:
        sizes.append(x.shape[-1])
        x = row(x)
    assert (*sizes, x.shape[-1], 1) == row_sizes(spec, resolution)
