from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from effnet.errors import UsageError
from effnet.spec.baselines import BASELINES
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR, NETWORKS
from effnet.spec.netspec import NetSpec
from effnet.spec.resize import Multipliers, resize, round_channels, round_repeats, round_resolution
from effnet.spec.scale import MAX_PHI, PAPER, Coefficients, multipliers, scale, scaled_dropout

PHIS = st.floats(-MAX_PHI, MAX_PHI)
BASES = st.sampled_from([B0, B0_CIFAR, *BASELINES])
COEFFICIENTS = st.builds(Coefficients, *[st.floats(1.0, 1.5)] * 3)
POSITIVE = st.floats(0.01, 1e5)


@given(POSITIVE)
def test_channels_are_a_multiple_of_8(exact: float) -> None:
    assert round_channels(exact) % 8 == 0
    assert round_channels(exact) >= 8


@given(POSITIVE)
def test_channels_are_never_below_90_percent_of_the_exact_number(exact: float) -> None:
    assert round_channels(exact) >= 0.9 * exact


@given(st.floats(8.0, 1e5))
def test_channels_are_less_than_8_away_from_the_exact_number(exact: float) -> None:
    assert abs(round_channels(exact) - exact) < 8


@given(POSITIVE, POSITIVE)
def test_more_channels_never_round_to_fewer(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert round_channels(low) <= round_channels(high)


@pytest.mark.parametrize(
    ("exact", "rounded"), [(1, 8), (12, 16), (11, 16), (8.5, 8), (17.6, 16), (35.2, 32), (36, 40), (352, 352)]
)
def test_channels_round_as_in_the_official_code(exact: float, rounded: int) -> None:
    assert round_channels(exact) == rounded


@pytest.mark.parametrize(("exact", "rounded"), [(0.3, 1), (1.0, 1), (1.1, 2), (2.0, 2), (3.6, 4), (12.4, 13)])
def test_repeats_round_up(exact: float, rounded: int) -> None:
    assert round_repeats(exact) == rounded


@pytest.mark.parametrize("exact", [3 * 1.1 / 1.1 * (1 + 1e-15), 0.1 * 3 * 10])
def test_a_rounding_error_adds_no_block(exact: float) -> None:
    assert exact > 3
    assert round_repeats(exact) == 3


@given(POSITIVE)
def test_resolution_is_the_nearest_positive_multiple_of_4(exact: float) -> None:
    rounded = round_resolution(exact)
    assert rounded % 4 == 0
    assert rounded == 4 or abs(rounded - exact) <= 2


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_official_sizes_are_fixed_points_of_rounding(spec: NetSpec) -> None:
    assert resize(spec, Multipliers(1.0, 1.0, 1.0)) == spec


def test_the_paper_s_coefficients_double_the_cost_with_each_unit_of_phi_roughly() -> None:
    assert PAPER.cost_factor == pytest.approx(1.2 * 1.1**2 * 1.15**2)
    assert PAPER.cost_factor == pytest.approx(1.920, abs=5e-4)


@given(COEFFICIENTS, PHIS)
def test_multipliers_follow_equation_3(coefficients: Coefficients, phi: float) -> None:
    exact = multipliers(phi, coefficients)
    assert exact.depth == pytest.approx(coefficients.alpha**phi)
    assert exact.width == pytest.approx(coefficients.beta**phi)
    assert exact.resolution == pytest.approx(coefficients.gamma**phi)


@given(COEFFICIENTS, PHIS)
def test_cost_grows_by_the_cost_factor_to_the_power_of_phi(coefficients: Coefficients, phi: float) -> None:
    assert multipliers(phi, coefficients).cost_factor == pytest.approx(coefficients.cost_factor**phi)


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_phi_0_changes_nothing(spec: NetSpec) -> None:
    assert scale(spec, 0) == spec


def test_phi_1_multiplies_depth_width_and_resolution_of_b0() -> None:
    scaled = scale(B0, 1)
    assert [stage.repeats for stage in scaled.stages] == [2, 3, 3, 4, 4, 5, 2]  # ⌈1.2 · n⌉
    assert [stage.out_channels for stage in scaled.stages] == [16, 24, 48, 88, 120, 208, 352]
    assert (scaled.stem.out_channels, scaled.feature_channels) == (32, 1408)
    assert scaled.resolution == 256  # 224 · 1.15 = 257.6 lies between 256 and 260


def test_scaling_leaves_kernels_strides_and_ratios_alone() -> None:
    for before, after in zip(B0.stages, scale(B0, 2.5).stages, strict=True):
        assert replace(after, out_channels=before.out_channels, repeats=before.repeats) == before


def test_scaling_leaves_the_other_fields_alone() -> None:
    base = replace(B0, in_channels=1, activation="relu", padding="same", bn_eps=1e-5, bn_momentum=0.01)
    scaled = scale(base, 1)
    assert (scaled.in_channels, scaled.activation, scaled.padding) == (1, "relu", "same")
    assert (scaled.bn_eps, scaled.bn_momentum) == (1e-5, 0.01)


def test_a_coefficient_of_1_leaves_its_dimension_alone() -> None:
    deeper = scale(B0, 3, Coefficients(alpha=1.3, beta=1.0, gamma=1.0))
    assert deeper.resolution == B0.resolution
    assert [s.out_channels for s in deeper.stages] == [s.out_channels for s in B0.stages]
    assert deeper.num_blocks > B0.num_blocks


@given(BASES, PHIS, PHIS)
def test_a_larger_phi_never_gives_a_cheaper_network(base: NetSpec, first: float, second: float) -> None:
    low, high = (cost(scale(base, phi)) for phi in sorted((first, second)))
    assert low.params <= high.params
    assert low.macs <= high.macs
    assert low.activations <= high.activations


@given(COEFFICIENTS, st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))
def test_that_holds_for_other_coefficients_too(
    coefficients: Coefficients, first: float, second: float
) -> None:
    low, high = (cost(scale(B0_CIFAR, phi, coefficients)) for phi in sorted((first, second)))
    assert low.params <= high.params
    assert low.macs <= high.macs


@given(BASES, st.floats(-MAX_PHI, -1.0))
def test_a_negative_phi_gives_a_smaller_network(base: NetSpec, phi: float) -> None:
    scaled = scale(base, phi)
    assert cost(scaled).params < cost(base).params
    assert cost(scaled).macs < cost(base).macs
    assert scaled.resolution < base.resolution


def test_the_name_says_the_base_and_phi() -> None:
    assert scale(B0_CIFAR, -1.5).name == "b0-cifar-phi-1.5"


@pytest.mark.parametrize(
    ("phi", "dropout"), [(7.0, 0.5), (3.5, 0.35), (1.0, 0.242857), (-3.5, 0.05), (-5.0, 0.0), (10.0, 0.5)]
)
def test_dropout_rises_by_0_3_over_7_units_of_phi_between_0_and_a_half(phi: float, dropout: float) -> None:
    assert scale(B0, phi).dropout == pytest.approx(dropout, abs=1e-6)


@given(PHIS, st.floats(0.0, 0.9))
def test_dropout_stays_between_0_and_the_larger_of_a_half_and_the_base_s_own(phi: float, base: float) -> None:
    assert 0.0 <= scaled_dropout(base, phi) <= max(0.5, base) + 1e-6


@given(PHIS)
def test_a_network_without_dropout_stays_without(phi: float) -> None:
    assert scale(replace(B0, dropout=0.0), phi).dropout == 0.0


@given(st.floats(0.0, MAX_PHI))
def test_drop_path_stays_the_base_s_in_larger_networks(phi: float) -> None:
    assert scale(B0, phi).drop_path == B0.drop_path


@given(st.floats(-MAX_PHI, 0.0))
def test_drop_path_shrinks_with_dropout_in_smaller_networks(phi: float) -> None:
    assume(phi != 0)
    scaled = scale(replace(B0, drop_path=0.1), phi)
    assert scaled.drop_path == pytest.approx(0.1 * scaled.dropout / B0.dropout, abs=2e-6)


@given(st.floats(-MAX_PHI, 0.0))
def test_drop_path_stays_in_smaller_networks_without_dropout(phi: float) -> None:
    assert scale(replace(B0, dropout=0.0), phi).drop_path == B0.drop_path


@pytest.mark.parametrize("phi", [-MAX_PHI, MAX_PHI])
def test_the_ends_of_the_range_of_phi_are_in_it(phi: float) -> None:
    assert cost(scale(B0_CIFAR, phi)).macs > 0


@pytest.mark.parametrize("phi", [12.001, -12.001, float("inf"), float("-inf"), float("nan")])
def test_phi_out_of_range_is_an_error_that_gives_the_range(phi: float) -> None:
    with pytest.raises(UsageError, match=r"^phi = .*: must be a number between -12 and 12$"):
        scale(B0, phi)


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("value", [0.99, 0.0, -1.2, 4.1, float("nan"), float("inf")])
def test_a_coefficient_below_1_or_beyond_4_is_rejected(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Coefficients(**{name: value})


@pytest.mark.parametrize("name", ["depth", "width", "resolution"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_multiplier_that_is_no_positive_number_is_rejected(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Multipliers(**{"depth": 1.0, "width": 1.0, "resolution": 1.0} | {name: value})
