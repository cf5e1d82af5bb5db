"""Probabilities are those of the softmax; the most probable classes come first."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from effnet.errors import EffnetError
from effnet.inference.prediction import softmax, top_classes

LOGITS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-1e4, 1e4, width=32)
)


@given(LOGITS, st.floats(0.05, 20))
def test_probabilities_are_those_of_torch(logits: np.ndarray, temperature: float) -> None:
    expected = (torch.from_numpy(logits).double() / temperature).softmax(1).float().numpy()
    np.testing.assert_allclose(softmax(logits, temperature), expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_has_no_probability(wrong: float) -> None:
    with pytest.raises(EffnetError, match="no finite number: its file is damaged"):
        softmax(np.array([[1.0, wrong]], np.float32))


def test_the_most_probable_comes_first_and_of_equals_the_first() -> None:
    probs = np.array([0.1, 0.3, 0.2, 0.3, 0.1], np.float32)
    names = [name for name, _ in top_classes(probs, ("a", "b", "c", "d", "e"), 4)]
    assert names == ["b", "d", "c", "a"]


def test_there_are_no_more_classes_than_all() -> None:
    assert top_classes(np.array([0.25, 0.75], np.float32), ("a", "b"), 5) == (("b", 0.75), ("a", 0.25))
