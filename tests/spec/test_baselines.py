import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.numpy import save_file

from effnet import modelfile
from effnet.errors import UsageError
from effnet.imaging.preprocess import Preprocess
from effnet.spec import netspec
from effnet.spec.baselines import (
    BASELINES,
    MOBILENET_V1,
    MOBILENET_V2,
    MOBILENET_V2_CIFAR,
    RESNET_18,
    RESNET_18_CIFAR,
    RESNET_50,
    RESNET_50_CIFAR,
    RESNET_152,
)
from effnet.spec.cost import Cost, cost, layers, row_costs, row_sizes
from effnet.spec.families import B0, get_spec
from effnet.spec.netspec import NetSpec, Stage
from effnet.spec.resize import Multipliers, resize
from effnet.spec.scale import scale


@pytest.mark.parametrize("spec", BASELINES, ids=lambda spec: str(spec.name))
def test_a_baseline_is_found_by_its_name(spec: NetSpec) -> None:
    assert get_spec(spec.name) is spec


@pytest.mark.parametrize(
    ("spec", "params"),
    [
        (MOBILENET_V1, 4_231_976),
        (MOBILENET_V2, 3_504_872),
        (RESNET_18, 11_689_512),
        (RESNET_50, 25_557_032),
        (RESNET_152, 60_192_808),
    ],
)
def test_parameters_are_the_published_ones(spec: NetSpec, params: int) -> None:
    assert cost(spec).params == params


@pytest.mark.parametrize(
    ("spec", "giga_macs"),
    [(MOBILENET_V2, 0.301), (RESNET_18, 1.814), (RESNET_50, 4.089), (RESNET_152, 11.514)],
)
def test_macs_are_those_that_torchvision_publishes(spec: NetSpec, giga_macs: float) -> None:
    assert round(cost(spec).macs / 1e9, 3) == giga_macs


def test_convolutions_of_mobilenet_v1_cost_what_its_authors_code_says() -> None:
    convolutions = [layer for layer in layers(MOBILENET_V1, 1000) if layer.batch_norm]
    assert sum(layer.weights for layer in convolutions) == 3_185_088
    assert (
        sum(layer.cost.macs for layer in convolutions) == 567_716_352
    )  # models/research/slim, mobilenet_v1.py


@pytest.mark.parametrize(
    ("spec", "params"),
    # 3,504,872 and 25,557,032 with 10 classes; a ResNet also loses 64·3·(7² - 3²) weights of its stem
    [(MOBILENET_V2_CIFAR, 2_236_682), (RESNET_18_CIFAR, 11_173_962), (RESNET_50_CIFAR, 23_520_842)],
)
def test_parameters_for_cifar(spec: NetSpec, params: int) -> None:
    assert cost(spec, num_classes=10).params == params


@pytest.mark.parametrize("spec", BASELINES, ids=lambda spec: str(spec.name))
def test_rows_add_up_to_the_whole_with_and_without_a_head(spec: NetSpec) -> None:
    rows = row_costs(spec, 1000)
    total = Cost(0, 0, 0)
    for row in rows:
        total += row
    assert total == cost(spec)
    assert len(rows) == len(row_sizes(spec)) == 1 + len(spec.stages) + (spec.head is not None) + 1
    assert rows[-1] == Cost((spec.feature_channels + 1) * 1000, spec.feature_channels * 1000, 1000)


def test_the_stem_s_size_is_the_one_behind_the_pool() -> None:
    assert row_sizes(RESNET_50) == (56, 56, 28, 14, 7, 1)
    assert row_sizes(RESNET_50, 33) == (9, 9, 5, 3, 2, 1)


def test_the_stem_s_cost_is_the_one_before_the_pool() -> None:
    assert row_costs(RESNET_50, 1000)[0] == Cost(64 * 147 + 2 * 64, 64 * 147 * 112**2, 64 * 112**2)


@pytest.mark.parametrize(
    ("spec", "total_stride", "feature_size", "feature_channels"),
    [
        (MOBILENET_V1, 32, 7, 1024),
        (MOBILENET_V2, 32, 7, 1280),
        (RESNET_18, 32, 7, 512),
        (RESNET_50, 32, 7, 2048),
        (MOBILENET_V2_CIFAR, 8, 4, 1280),
        (RESNET_18_CIFAR, 8, 4, 512),
        (RESNET_50_CIFAR, 8, 4, 2048),
    ],
)
def test_the_last_features(
    spec: NetSpec, total_stride: int, feature_size: int, feature_channels: int
) -> None:
    assert (spec.total_stride, spec.feature_size) == (total_stride, feature_size)
    assert spec.feature_channels == feature_channels


def test_the_networks_for_cifar_are_the_same_but_for_stem_strides_and_resolution() -> None:
    def rest(spec: NetSpec) -> NetSpec:
        stages = tuple(replace(stage, stride=1) for stage in spec.stages)
        return replace(spec, name="any", stem=B0.stem, stages=stages, resolution=32)

    for large, small in [
        (MOBILENET_V2, MOBILENET_V2_CIFAR), (RESNET_18, RESNET_18_CIFAR), (RESNET_50, RESNET_50_CIFAR)
    ]:  # fmt: skip
        assert rest(large) == rest(small)


def test_a_bottleneck_rounds_its_inner_channels() -> None:
    wider = resize(RESNET_50, Multipliers(1.0, 1.2, 1.0))
    assert [stage.out_channels for stage in wider.stages] == [320, 608, 1216, 2464]
    inner = [stage.out_channels // stage.expand_ratio for stage in wider.stages]
    assert inner == [80, 152, 304, 616]  # 76.8, 153.6, 307.2, 614.4


def test_scaling_makes_a_stem_wider_and_leaves_its_pool() -> None:
    stem = scale(RESNET_50, 4).stem
    assert (stem.pool, stem.out_channels) == (True, 96)  # 64 · 1.1⁴ = 93.7


@given(st.sampled_from(BASELINES), st.floats(-3.0, 3.0))
def test_scaling_keeps_blocks_strides_and_the_lack_of_a_head(base: NetSpec, phi: float) -> None:
    scaled = scale(base, phi)
    assert (scaled.head is None) == (base.head is None)
    for before, after in zip(base.stages, scaled.stages, strict=True):
        assert replace(after, out_channels=before.out_channels, repeats=before.repeats) == before
        inner = after.out_channels // (after.expand_ratio if after.block == "bottleneck" else 1)
        assert inner % 8 == 0


OLD: dict[str, Any] = {
    "name": "old",
    "stem": {"kernel_size": 3, "stride": 2, "out_channels": 32},
    "stages": [
        {"block": "mbconv", "expand_ratio": 6, "kernel_size": 5, "stride": 2, "out_channels": 24,
         "repeats": 2, "se_ratio": 0.25}
    ],
    "head": {"out_channels": 1280},
    "resolution": 64, "dropout": 0.2, "drop_path": 0.2, "in_channels": 3, "activation": "silu",
    "padding": "symmetric", "bn_eps": 0.001, "bn_momentum": 0.1,
}  # fmt: skip
"""A spec as files hold it that were written before there were pools and networks without a head."""


def test_a_spec_file_written_before_pools_still_loads() -> None:
    spec = netspec.from_dict(OLD)
    assert not spec.stem.pool
    assert spec == replace(B0, name="old", stages=(Stage("mbconv", 6, 5, 2, 24, 2),), resolution=64)


def test_a_model_file_written_before_pools_still_loads(tmp_path: Path) -> None:
    path, arrays = tmp_path / "old.safetensors", {"weight": np.zeros(1, dtype=np.float32)}
    modelfile.save(path, modelfile.ModelHeader(B0, Preprocess(64), ("a", "b")), arrays)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["effnet"])
    save_file(arrays, path, {"format": "pt", "effnet": json.dumps(header | {"spec": OLD})})
    assert b"pool" not in path.read_bytes()
    assert modelfile.load_header(path).spec == netspec.from_dict(OLD)


@pytest.mark.parametrize("spec", BASELINES, ids=lambda spec: str(spec.name))
def test_a_saved_baseline_loads_as_it_was(spec: NetSpec, tmp_path: Path) -> None:
    netspec.save(spec, tmp_path / "spec.json")
    assert netspec.load(tmp_path / "spec.json") == spec


@pytest.mark.parametrize("block", ["separable", "basic", "bottleneck"])
def test_squeeze_and_excitation_in_a_block_without_it_is_an_error_that_says_what_to_write(block: str) -> None:
    data = netspec.to_dict(B0)
    data["stages"][0] |= {"block": block}
    with pytest.raises(UsageError) as caught:
        netspec.from_dict(data)
    assert str(caught.value) == (
        f"network spec: stages.0.se_ratio = 0.25: block '{block}' has no squeeze-and-excitation; write 0"
    )


def test_that_holds_for_the_default_too() -> None:
    with pytest.raises(ValidationError, match="has no squeeze-and-excitation"):
        Stage("basic", 1, 3, 1, 64, 2)


@pytest.mark.parametrize("block", ["separable", "basic"])
def test_expansion_in_a_block_without_it_is_an_error(block: str) -> None:
    data = netspec.to_dict(MOBILENET_V1)
    data["stages"][1] |= {"block": block, "expand_ratio": 6}
    with pytest.raises(
        UsageError, match=rf"stages\.1\.expand_ratio = 6: block '{block}' does not expand; write 1$"
    ):
        netspec.from_dict(data)


def test_a_bottleneck_whose_inner_channels_are_no_number_is_an_error() -> None:
    data = netspec.to_dict(RESNET_50)
    data["stages"][2]["out_channels"] = 1022
    with pytest.raises(
        UsageError,
        match=r"stages\.2\.out_channels = 1022: must be a multiple of expand_ratio, 4, in a bottleneck$",
    ):
        netspec.from_dict(data)
