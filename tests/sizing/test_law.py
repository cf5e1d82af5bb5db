"""The law of the error: found again in data that follow it, and honest about how sure it is."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest

from effnet.errors import EffnetError
from effnet.sizing.study.arms import BASE
from effnet.sizing.study.law import Law, Point, fit, share_wrong

SLOPES = {"depth": 0.15, "width": 0.25, "compound": 0.35}
MACS = 1e6
SURE = 10**9  # answers: counting leaves no doubt


def error(arm: str, macs: float, offset: float = 0.0) -> float:
    return float(offset + 0.2 * (macs / MACS) ** -SLOPES.get(arm, 0.0))


def points(sizes: tuple[float, ...], offset: float = 0.0, noise: float = 0.0, seed: int = 0) -> list[Point]:
    """The base, and every arm at every size, each off the law by its own factor; counting leaves no doubt."""
    generator = np.random.default_rng(seed)
    places = [(BASE, MACS), *((arm, MACS * 2**phi) for phi in sizes for arm in SLOPES)]
    factors = np.exp(noise * generator.normal(size=len(places)))
    return [
        Point(arm, macs, error(arm, macs, offset) * float(factor), SURE)
        for (arm, macs), factor in zip(places, factors, strict=True)
    ]


def counted(
    sizes: tuple[float, ...], answers: int, noise: float, generator: np.random.Generator
) -> list[Point]:
    """The same, of so many answers only, of which each is wrong by chance."""
    found = points(sizes, noise=noise, seed=int(generator.integers(1 << 30)))
    wrong = [int(generator.binomial(answers, min(1.0, point.error))) for point in found]
    return [
        replace(p, error=share_wrong(w, answers), answers=answers) for p, w in zip(found, wrong, strict=True)
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
    """95 % of 3 × 150 outcomes: a standard error is 1 point, more since three share a law."""
    generator, held = np.random.default_rng(1), []
    for seed in range(150):
        held += inside(fit(points(sizes, noise=0.05, seed=seed), MACS), 4.0, 0.05, generator)
    assert 0.91 < np.mean(held) < 0.99


@pytest.mark.parametrize(("answers", "noise"), [(150, 0.0), (450, 0.1), (15_000, 0.05)])
def test_intervals_hold_where_few_answers_are_wrong(answers: int, noise: float) -> None:
    """Of 150 answers of the largest networks 3 to 12 are wrong; the luck of counting must be foreseen too."""
    generator, held = np.random.default_rng(2), []
    for _ in range(80):
        law = fit(counted((-1.0, 1.0, 2.0), answers, noise, generator), MACS)
        for point in counted((4.0,), answers, noise, generator)[1:]:
            foreseen = law.predict(point.arm, point.macs)
            held.append(foreseen.low <= point.error <= foreseen.high)
    assert 0.9 < np.mean(held) < 0.998


def test_a_network_without_a_wrong_answer_tells_little() -> None:
    """Its logarithm is far off, but one in 300 or none is luck: the law hardly follows it."""
    found = points((1.0, 2.0))
    few = [replace(point, answers=300) for point in found]
    few[-1] = replace(few[-1], error=share_wrong(0, 300))
    slope = fit(few, MACS).slopes["compound"]
    equal = fit([*found[:-1], replace(found[-1], error=share_wrong(0, 300))], MACS).slopes["compound"]
    assert SLOPES["compound"] < slope < equal


def test_luck_of_counting_is_not_taken_for_spread() -> None:
    """Counting 60 wrong of 300 moves the logarithm by 0.12."""
    generator = np.random.default_rng(3)
    laws = [fit(counted((-2.0, -1.0, 1.0, 2.0), 300, 0.0, generator), MACS) for _ in range(40)]
    assert np.median([law.spread for law in laws]) < 0.04


def test_fewer_answers_are_foreseen_less_surely() -> None:
    generator = np.random.default_rng(4)
    few, many = (fit(counted((-1.0, 1.0, 2.0), answers, 0.0, generator), MACS) for answers in (300, 30_000))
    assert (few.answers, many.answers) == (300, 30_000)
    widths = [log(p.high / p.low) for p in (each.predict("width", 4 * MACS) for each in (few, many))]
    assert widths[0] > 5 * widths[1]


def test_no_share_is_zero_or_one() -> None:
    assert 0 < share_wrong(0, 100) < 0.01
    assert 0.99 < share_wrong(100, 100) < 1


def test_a_law_is_plain_json() -> None:
    values = fit(points((1.0, 2.0), noise=0.1), MACS).to_dict()
    assert values["slopes"].keys() == SLOPES.keys()
    assert len(values["covariance"]) == 4
