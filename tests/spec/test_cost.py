from dataclasses import replace

import pytest

from effnet.errors import UsageError
from effnet.spec.cost import Cost, cost, row_costs, row_sizes, squeeze_channels
from effnet.spec.families import B0, B0_CIFAR, NETWORKS
from effnet.spec.netspec import NetSpec


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("b0", 5_288_548),
        ("b1", 7_794_184),
        ("b2", 9_109_994),
        ("b3", 12_233_232),
        ("b4", 19_341_616),
        ("b5", 30_389_784),
        ("b6", 43_040_704),
        ("b7", 66_347_960),
        ("lite0", 4_652_008),
        ("v2-s", 21_458_488),
        ("v2-m", 54_139_356),
        ("v2-l", 118_515_272),
    ],
)
def test_parameters_are_the_official_ones(name: str, params: int) -> None:
    assert cost(NETWORKS[name]).params == params


@pytest.mark.parametrize(
    ("name", "resolution", "giga_macs"),
    [
        ("b0", 224, 0.386),
        ("b1", 240, 0.687),
        ("b2", 260, 0.994),
        ("b2", 288, 1.088),
        ("b3", 300, 1.827),
        ("b4", 380, 4.394),
        ("b5", 456, 10.266),
        ("b6", 528, 19.068),
        ("b7", 600, 37.746),
        ("v2-s", 384, 8.366),
        ("v2-m", 480, 24.582),
        ("v2-l", 480, 56.08),
    ],
)
def test_macs_are_those_that_torchvision_publishes(name: str, resolution: int, giga_macs: float) -> None:
    assert round(cost(NETWORKS[name], resolution=resolution).macs / 1e9, 3) == giga_macs


@pytest.mark.parametrize(
    ("name", "mega_activations", "decimals"),
    [
        ("b0", 6.75, 2),
        ("b1", 10.88, 2),
        ("b2", 13.8, 1),
        ("b3", 23.8, 1),
        ("b4", 49.5, 1),
        ("b5", 98.9, 1),
        ("b6", 167, 0),
        ("b7", 290, 0),
    ],
)
def test_activations_are_those_that_timm_publishes(name: str, mega_activations: float, decimals: int) -> None:
    assert round(cost(NETWORKS[name]).activations / 1e6, decimals) == mega_activations


def test_b0_for_cifar_has_4_02_million_parameters() -> None:
    assert cost(B0_CIFAR, num_classes=10).params == 4_020_358


def test_b0_for_cifar_takes_0_4074_giga_macs() -> None:
    assert round(cost(B0_CIFAR, num_classes=10).macs / 1e9, 4) == 0.4074


def test_b0_for_cifar_ends_in_8_by_8_features() -> None:
    assert row_sizes(B0_CIFAR)[-2] == B0_CIFAR.feature_size == 8


def test_rows_add_up_to_the_whole() -> None:
    total = Cost(0, 0, 0)
    for row in row_costs(B0, 1000):
        total += row
    assert total == cost(B0)


def test_there_is_a_row_for_the_stem_each_stage_the_head_and_the_classifier() -> None:
    assert len(row_costs(B0, 1000)) == len(row_sizes(B0)) == 1 + 7 + 1 + 1


def test_the_stem_s_row_is_its_convolution_and_normalisation() -> None:
    assert row_costs(B0, 1000)[0] == Cost(32 * 27 + 2 * 32, 32 * 27 * 112**2, 32 * 112**2)


def test_the_classifier_s_row_is_a_matrix_and_a_bias() -> None:
    assert row_costs(B0, 100)[-1] == Cost(1280 * 100 + 100, 1280 * 100, 100)


def test_rows_of_b0_have_the_sizes_of_the_paper_s_table() -> None:
    assert row_sizes(B0) == (112, 112, 56, 28, 14, 14, 7, 7, 7, 1)


def test_odd_sizes_round_up_at_each_stride() -> None:
    assert row_sizes(B0, 65) == (33, 33, 17, 9, 5, 5, 3, 3, 3, 1)


@pytest.mark.parametrize("spec", [B0, B0_CIFAR], ids=lambda spec: spec.name)
def test_the_training_resolution_is_the_default(spec: NetSpec) -> None:
    assert cost(spec) == cost(spec, 1000, spec.resolution)


def test_parameters_do_not_depend_on_the_resolution() -> None:
    assert cost(B0, resolution=64).params == cost(B0, resolution=600).params


def test_the_squeeze_is_left_out_at_ratio_0() -> None:
    without = replace(B0, stages=tuple(replace(stage, se_ratio=0.0) for stage in B0.stages))
    assert cost(without).params < cost(B0).params


@pytest.mark.parametrize(("channels", "ratio", "squeezed"), [(32, 0.25, 8), (30, 0.25, 7), (2, 0.25, 1)])
def test_the_squeeze_is_a_share_of_the_block_s_input_rounded_down(
    channels: int, ratio: float, squeezed: int
) -> None:
    assert squeeze_channels(channels, ratio) == squeezed


@pytest.mark.parametrize(("num_classes", "resolution"), [(0, 224), (-1, 224), (1000, 0), (1000, -4)])
def test_no_classes_or_no_pixels_is_an_error(num_classes: int, resolution: int) -> None:
    with pytest.raises(UsageError, match="both must be at least 1"):
        cost(B0, num_classes, resolution)
