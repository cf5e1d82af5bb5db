"""Calibration error by hand, and by another formula."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effnet.evaluation.calibration import NUM_BINS, calibration_error, chance_errors, reliability
from effnet.evaluation.metrics import summarise


def ece(confidence: list[float], correct: list[bool]) -> float:
    return calibration_error(reliability(np.array(confidence), np.array(correct)))


def test_by_hand() -> None:
    """Two images between 9/15 and 10/15, three in the last bin: 2/5 · |0.5 - 0.63| + 3/5 · |2/3 - 0.98|."""
    bins = reliability(np.array([0.62, 0.64, 0.97, 0.98, 0.99]), np.array([True, False, True, False, True]))
    assert [each.count for each in bins if each.count] == [2, 3]
    assert (bins[9].accuracy, bins[9].confidence) == pytest.approx((0.5, 0.63))
    assert (bins[14].accuracy, bins[14].confidence) == pytest.approx((2 / 3, 0.98))
    assert calibration_error(bins) == pytest.approx(0.4 * 0.13 + 0.6 * (0.98 - 2 / 3))


def test_sure_and_right_is_perfect() -> None:
    assert ece([1.0, 1.0], [True, True]) == 0.0


def test_sure_and_wrong_is_the_worst() -> None:
    assert ece([1.0, 1.0], [False, False]) == 1.0


def test_half_sure_and_half_right_is_perfect() -> None:
    assert ece([0.5] * 4, [True, False, True, False]) == 0.0


def test_errors_of_opposite_sign_do_not_cancel_between_bins() -> None:
    assert ece([0.5, 0.5, 1.0, 1.0], [True, True, True, False]) == pytest.approx(0.5)


def test_bins_are_fifteen_equal_ones_from_0_to_1() -> None:
    bins = reliability(np.array([0.5]), np.array([True]))
    assert [each.lower for each in bins] == pytest.approx([k / 15 for k in range(15)])
    assert [each.upper for each in bins] == pytest.approx([k / 15 for k in range(1, 16)])


@pytest.mark.parametrize("index", range(1, NUM_BINS + 1))
def test_a_value_on_an_edge_is_in_the_bin_below(index: int) -> None:
    edge = np.linspace(0, 1, NUM_BINS + 1)[index]
    counts = [each.count for each in reliability(np.array([edge]), np.array([True]))]
    assert counts.index(1) == index - 1


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), min_size=1, max_size=60))
def test_is_the_sum_over_bins_of_the_definition(pairs: list[tuple[float, bool]]) -> None:
    """Σ |B_m| / n · |acc(B_m) - conf(B_m)|, the images of a bin picked by comparison."""
    confidence, correct = (np.array(column) for column in zip(*pairs, strict=True))
    edges, expected = np.linspace(0, 1, 16), 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert calibration_error(reliability(confidence, correct)) == pytest.approx(expected)


def test_the_evaluation_takes_the_most_probable_class() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.3], [0.1, 0.9]]))
    result = summarise(logits, torch.tensor([0, 0]), ("a", "b"), "test")
    assert result.ece == pytest.approx((0.3 + 0.9) / 2)
    assert result.to_dict()["ece"] == result.ece


def test_chance_alone_gives_a_calibrated_network_its_error() -> None:
    """Of four images at 0.5 in one bin, the share of right ones is off by 0, 1/4, 1/2: 3/16 in the mean."""
    mean, high = chance_errors(np.full(4, 0.5))
    assert mean == pytest.approx(3 / 16, abs=0.03)
    assert high == 0.5


def test_the_surest_answers_leave_nothing_to_chance() -> None:
    assert chance_errors(np.ones(10)) == (0.0, 0.0)


def test_with_more_images_chance_does_less() -> None:
    few, many = (chance_errors(np.linspace(0.2, 0.99, count))[0] for count in (100, 10_000))
    assert few > 5 * many
    assert chance_errors(np.linspace(0.2, 0.99, 100)) == chance_errors(np.linspace(0.2, 0.99, 100))


def test_calibrated_answers_exceed_what_chance_does_in_a_twentieth_of_cases() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.3, 1.0, 200)
    high = chance_errors(confidence)[1]
    drawn = [
        calibration_error(reliability(confidence, generator.random(200) < confidence)) > high
        for _ in range(400)
    ]
    assert 0.01 < np.mean(drawn) < 0.11
