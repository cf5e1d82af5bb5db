"""What `effnet train` looks for before its flags can be parsed."""

import pytest

from effnet.cli.settings import peek
from effnet.cli.train import TrainForm


@pytest.mark.parametrize(
    "line",
    [
        "DATA",
        "DATA --epochs 3",
        "--epochs 3 DATA",
        "--epochs=3 DATA",
        "--overwrite DATA",
        "--json DATA --out elsewhere",
        "--augment.no-flip DATA",
        "--auto-batch DATA",
        "--no-native DATA",
        "--phi -3 DATA",
        "DATA --input.mean .5 .5 .5 --input.std .2 .2 .2",
        "--input.mean .5 .5 .5 --epochs 3 DATA",
        "--input.mean .5 .5 .5 DATA",
        "--input.std 1 DATA",
        "--recipe digits DATA",
        "--out elsewhere DATA more",
    ],
)
def test_data_is_found_among_flags_and_their_values(line: str) -> None:
    assert peek(TrainForm, line.split())[0] == "DATA"


@pytest.mark.parametrize("line", ["", "--epochs 3", "--json", "--input.mean .5 .5 .5", "--out elsewhere"])
def test_values_of_flags_are_no_data(line: str) -> None:
    assert peek(TrainForm, line.split())[0] is None


@pytest.mark.parametrize("line", ["DATA --recipe mine.toml", "--recipe=mine.toml DATA", "--recipe mine.toml"])
def test_the_recipe_is_found(line: str) -> None:
    assert peek(TrainForm, line.split())[1] == "mine.toml"


def test_without_a_recipe_there_is_none() -> None:
    assert peek(TrainForm, ["DATA", "--epochs", "3"])[1] is None
