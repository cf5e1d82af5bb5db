"""The law of the error: found again in data that follow it, and honest about how sure it is."""

from math import exp, log

import numpy as np
import pytest

from effnet.errors import EffnetError
from effnet.sizing.arms import BASE
from effnet.sizing.law import Law, Point, fit

SLOPES = {"depth": 0.15, "width": 0.25, "compound": 0.35}
MACS = 1e6


def error(arm: str, macs: float, offset: float = 0.0) -> float:
    return float(offset + 0.2 * (macs / MACS) ** -SLOPES.get(arm, 0.0))


def points(sizes: tuple[float, ...], offset: float = 0.0, noise: float = 0.0, seed: int = 0) -> list[Point]:
    """The base, and every arm at every size, each off the law by its own factor."""
    generator = np.random.default_rng(seed)
    places = [(BASE, MACS), *((arm, MACS * 2**phi) for phi in sizes for arm in SLOPES)]
    return [
        Point(arm, macs, error(arm, macs, offset) * exp(noise * generator.normal())) for arm, macs in places
    ]


def test_a_plain_law_is_found_again() -> None:
    law = fit(points((1.0, 2.0)), MACS)
    assert not law.has_offset
    assert law.slopes == pytest.approx(SLOPES)
    assert exp(law.level) == pytest.approx(0.2)
    for arm in SLOPES:
        assert law.predict(arm, 16 * MACS).error == pytest.approx(error(arm, 16 * MACS))


def test_an_offset_is_found_in_enough_points() -> None:
    law = fit(points((-3.0, -2.0, -1.0, 1.0, 2.0, 3.0), offset=0.1, noise=0.002), MACS)
    assert law.has_offset
    assert "lowers AICc" in law.reason
    assert law.offset == pytest.approx(0.1, abs=0.02)
    assert law.predict("compound", 64 * MACS).error == pytest.approx(
        error("compound", 64 * MACS, 0.1), rel=0.05
    )


def test_few_points_allow_no_offset() -> None:
    law = fit(points((1.0, 2.0), offset=0.1, noise=0.01), MACS)
    assert not law.has_offset
    assert law.offset == 0.0


def test_too_few_points_to_tell_an_offset_are_said_to_be() -> None:
    law = fit([point for point in points((1.0, 2.0)) if point.arm in (BASE, "width")][:3], MACS)
    assert law.reason == "3 networks are too few to tell an offset"


def test_too_few_points_for_any_law_are_an_error() -> None:
    with pytest.raises(EffnetError, match="a law for 3 arms needs at least 5 networks, not 4"):
        fit(points((1.0,)), MACS)


def test_arms_meet_at_the_base() -> None:
    law = fit(points((1.0, 2.0), noise=0.1), MACS)
    assert len({law.predict(arm, MACS) for arm in SLOPES}) == 1


def test_farther_is_less_sure() -> None:
    law = fit(points((1.0, 2.0), noise=0.05), MACS)
    widths = [log(p.high / p.low) for p in (law.predict("width", MACS * 2**phi) for phi in (1, 3, 5))]
    assert widths == sorted(widths)
    assert law.predict("width", MACS).low > 0


def test_no_error_above_one_is_foreseen() -> None:
    law = fit(points((1.0, 2.0), noise=1.0), MACS)
    assert law.predict("depth", MACS / 1e4).high <= 1.0


def inside(law: Law, size: float, noise: float, generator: np.random.Generator) -> list[bool]:
    """Tell of a new network of each arm whether the law foresaw its error."""
    found = []
    for arm in SLOPES:
        macs = MACS * 2**size
        came = error(arm, macs) * exp(noise * generator.normal())
        foreseen = law.predict(arm, macs)
        found.append(foreseen.low <= came <= foreseen.high)
    return found


@pytest.mark.parametrize("sizes", [(1.0, 2.0), (-1.0, 1.0, 2.0)])
def test_intervals_hold_as_often_as_they_say(sizes: tuple[float, ...]) -> None:
    """95 % of 3 × 400 outcomes: a standard error is 0.6 points, more since three share a law."""
    generator, held = np.random.default_rng(1), []
    for seed in range(400):
        held += inside(fit(points(sizes, noise=0.05, seed=seed), MACS), 4.0, 0.05, generator)
    assert 0.92 < np.mean(held) < 0.98


def test_a_law_is_plain_json() -> None:
    values = fit(points((1.0, 2.0), noise=0.1), MACS).to_dict()
    assert values["slopes"].keys() == SLOPES.keys()
    assert len(values["covariance"]) == 4
