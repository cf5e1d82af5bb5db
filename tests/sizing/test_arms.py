"""The networks of a study: one dimension at a time or all, to the same cost, as far as rounding allows."""

from dataclasses import replace

import pytest

from effnet.errors import UsageError
from effnet.sizing.study.arms import BASE, SINGLE, Network, line, networks
from effnet.sizing.study.design import ARM_NAMES, build
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR, QUICK_CIFAR
from effnet.spec.netspec import Head, NetSpec
from effnet.spec.scale import PAPER, Coefficients, scale
from effnet.spec.solve import ladder, shape


def made(base: NetSpec = B0, *, classes: int = 1000, **words: object) -> tuple[Network, ...]:
    return networks(base, build(**words), PAPER, classes)


def of(found: tuple[Network, ...], arm: str, phi: float) -> Network:
    return next(network for network in found if (network.arm, network.phi) == (arm, phi))


def without(spec: NetSpec, dimension: str) -> NetSpec:
    """Return a spec with one dimension set to a constant."""
    if dimension == "resolution":
        return replace(shape(spec), resolution=1)
    if dimension == "depth":
        return replace(shape(spec), stages=tuple(replace(stage, repeats=1) for stage in spec.stages))
    return replace(
        shape(spec),
        stem=replace(spec.stem, out_channels=1),
        stages=tuple(replace(stage, out_channels=1) for stage in spec.stages),
        head=Head(out_channels=1),
    )


def test_the_base_comes_once_and_then_every_arm_at_every_phi() -> None:
    found = made(phis=(1.0, 0.0, 2.0))
    assert [(n.arm, n.phi) for n in found] == [
        (BASE, 0.0),
        *((arm, phi) for phi in (1, 2) for arm in ARM_NAMES),
    ]
    assert found[0].spec == B0


@pytest.mark.parametrize("arm", SINGLE)
@pytest.mark.parametrize("base", [B0, B0_CIFAR, QUICK_CIFAR], ids=lambda spec: spec.name)
def test_an_arm_scales_its_own_dimension_only(base: NetSpec, arm: str) -> None:
    network = of(made(base, phis=(1.0,)), arm, 1.0)
    assert shape(network.spec) != shape(base)
    assert without(network.spec, arm) == without(base, arm)


def test_compound_scales_all_three() -> None:
    spec = of(made(phis=(2.0,)), "compound", 2.0).spec
    assert spec.num_blocks > B0.num_blocks
    assert spec.feature_channels > B0.feature_channels
    assert spec.resolution > B0.resolution


def test_networks_come_as_near_to_the_cost_as_their_ladder_allows() -> None:
    for network in made(phis=(1.0, 2.0)):
        coefficients = SINGLE.get(network.arm, PAPER)
        rungs = ladder(B0, coefficients, 0.0, 4.0)
        nearest = min(abs(cost(rung.spec).macs / network.target - 1) for rung in rungs)
        assert abs(network.deviation) == pytest.approx(nearest, abs=1e-3)


def test_at_equal_phi_the_arms_cost_the_same_within_a_tenth() -> None:
    base, *others = made(phis=(0.0, 1.0, 2.0, 3.0))
    assert base.deviation == 0
    for network in others:
        assert network.cost == cost(network.spec)
        assert network.target == base.cost.macs * 2**network.phi
        assert abs(network.deviation) < 0.1


def test_where_depth_rounds_up_the_deviation_says_so() -> None:
    """Any depth above 1 gives every stage of quick-cifar another block."""
    network = of(made(QUICK_CIFAR, classes=10, phis=(0.3,), arms=("depth",)), "depth", 0.3)
    assert abs(network.deviation) > 0.15


def test_arms_differ_in_shape_only() -> None:
    found = made(phis=(2.0,))
    assert {(n.spec.dropout, n.spec.drop_path) for n in found} == {
        (scale(B0, 2.0).dropout, scale(B0, 2.0).drop_path)
    }


def test_smaller_networks_can_be_asked_for() -> None:
    for network in made(phis=(-1.0, -2.0), arms=("width", "resolution", "compound")):
        assert network.cost.macs < cost(B0).macs
        assert abs(network.deviation) < 0.1


def test_the_line_of_an_arm_starts_at_the_base_and_rises() -> None:
    found = made(phis=(0.0, 1.0, 2.0))
    assert [network.phi for network in line(found, "width")] == [0.0, 1.0, 2.0]


def test_labels_and_factors_read_like_table_7() -> None:
    found = made(phis=(0.0, 2.0))
    assert [n.label for n in found[:2]] == ["base", "depth φ = 2"]
    assert found[0].words == "–"
    assert of(found, "width", 2.0).words.startswith("w = 2")
    assert [part[0] for part in of(found, "compound", 2.0).words.split(", ")] == ["d", "w", "r"]


def test_two_phis_with_one_network_are_refused() -> None:
    with pytest.raises(UsageError, match=r"depth: phi = 0 and 0\.1 are the same network"):
        made(phis=(0.0, 0.1))


def test_a_resolution_below_the_strides_is_refused() -> None:
    with pytest.raises(UsageError, match=r"resolution φ = -7: \d+ pixels are fewer than .* stride of 32"):
        made(phis=(-7.0,), arms=("resolution",))


def test_coefficients_that_scale_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="which scales nothing"):
        networks(B0, build(phis=(1.0,)), Coefficients(1.0, 1.0, 1.0), 1000)


def test_networks_out_of_bounds_are_refused() -> None:
    wide = replace(B0, head=Head(out_channels=60_000))
    with pytest.raises(UsageError, match=r"b0 at phi = .*less than or equal to 65536"):
        made(wide, phis=(8.0,), arms=("width",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"phis": ()}, r"phis = \(\): tuple should have at least 1 item"),
        ({"phis": (0.0,)}, "0 is the base itself"),
        ({"phis": (1.0, 1.0)}, "phis: 1.0 is given twice"),
        ({"phis": (9.0,)}, "less than or equal to 8"),
        ({"arms": ()}, "at least 1 item"),
        ({"arms": ("depth", "depth")}, "arms: depth is given twice"),
        ({"arms": ("hight",)}, "'depth', 'width', 'resolution' or 'compound'"),
        ({"seeds": 0}, "seeds = 0: input should be greater than or equal to 1"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"forecast_from": 2.0}, "nothing is left to predict; phis are 0, 1, 2"),
        ({"forecast_from": 1.0}, "5 networks are fitted, and laws for 4 arms need at least 6"),
        ({"forecast_from": 0.0}, "1 networks are fitted"),
    ],
)
def test_words_that_make_no_study_are_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(**words)


def test_a_forecast_from_enough_networks_is_accepted() -> None:
    assert build(phis=(-1.0, 0.0, 1.0, 2.0), forecast_from=1.0).forecast_from == 1.0
