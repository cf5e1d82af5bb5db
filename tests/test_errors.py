"""How messages are worded."""

import pytest
from pydantic import TypeAdapter, ValidationError

from effnet.errors import bad_value, some, unknown_name
from effnet.imaging.preprocess import Preprocess


def problem(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Preprocess).validate_python({"resolution": 32, **values})
    return bad_value(caught.value.errors()[0])


def test_a_bad_value_is_said_with_its_key() -> None:
    assert problem(crop=2.0) == "crop = 2.0: input should be less than or equal to 1"


def test_a_broken_rule_on_several_values_is_said_as_it_stands() -> None:
    assert problem(std=[0.2, 0.0, 0.2]) == "std (0.2, 0.0, 0.2) must be positive"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (99, "0, 1, 2 and 96 more")],
)
def test_of_many_names_the_first_are_listed(count: int, text: str) -> None:
    assert some(map(str, range(count)), limit=3) == text


def test_of_many_known_names_the_nearest_are_listed() -> None:
    error = str(unknown_name("class", "bea", [f"class {number}" for number in range(1000)] + ["bee"]))
    assert error.startswith("unknown class 'bea'; known: bee, ")
    assert error.endswith(" and 961 more")
