"""`effnet scale` and `effnet show`: what they print is what the library computes."""

import json
from pathlib import Path
from typing import Any

import pytest

from effnet.cli.main import main
from effnet.cli.output import big
from effnet.recipe import recipe_names
from effnet.spec.cost import cost
from effnet.spec.families import NETWORKS, get_spec
from effnet.spec.netspec import from_dict, load
from effnet.spec.scale import Coefficients, scale


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def printed_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json"))


def test_show_lists_every_network_and_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "show")
    assert all(name in text for name in (*NETWORKS, *recipe_names()))
    assert "5.29 M" in text


def test_show_json_lists_costs(capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed_json(capsys, "show")["networks"]
    assert [row["name"] for row in rows] == list(NETWORKS)
    assert rows[0]["cost"]["params"] == 5_288_548


def test_show_network_prints_the_papers_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "show", "b0").splitlines()
    assert [line.split()[4] for line in lines[2:11]] == [
        "112×112", "112×112", "56×56", "28×28", "14×14", "14×14", "7×7", "7×7", "7×7",
    ]  # fmt: skip
    assert "5,288,548 parameters, 386 M MACs, 6.75 M activations for 1000 classes" in lines[12]


def test_show_rows_sum_to_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    data = printed_json(capsys, "show", "b2", "--classes", "7")
    assert data["cost"]["params"] == cost(get_spec("b2"), 7).params


def test_show_recipe_prints_its_text_and_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert "[optim]" in printed(capsys, "show", "digits")
    assert printed_json(capsys, "show", "digits")["input"]["channels"] == 1


@pytest.mark.parametrize("phi", ["-2", "0.5", "3"])
def test_scale_json_is_the_scaled_spec(phi: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = printed_json(capsys, "scale", "b0", "--phi", phi, "--alpha", "1.3", "--gamma", "1.1")
    expected = scale(get_spec("b0"), float(phi), Coefficients(alpha=1.3, gamma=1.1))
    assert from_dict(data["after"]["spec"]) == expected
    assert data["after"]["cost"]["macs"] == cost(expected).macs
    assert data["exact"]["depth"] == pytest.approx(1.3 ** float(phi))


def test_scale_prints_before_after_exact_and_target(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "scale", "b0", "--phi", "1")
    assert "40 → 48 (44.0)" in text
    assert "3 → 4 (3.6)" in text
    assert "224 → 256 (257.6)" in text
    assert "Rounding made × 2.229 of the target × 1.920: +16.1% MACs." in text


def test_scale_out_writes_a_network_that_others_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.json"
    assert str(path) in printed(capsys, "scale", "b0-cifar", "--phi", "-3", "--out", str(path))
    assert load(path) == scale(get_spec("b0-cifar"), -3)
    assert "b0-cifar-phi-3" in printed(capsys, "show", str(path))


def test_explain_shows_the_phi_of_each_dimension(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "scale", "b7", "--explain")
    assert [f"{phi:.2f}" in text for phi in (6.21, 7.27, 7.05)] == [True, True, True]  # peers.md C4
    data = printed_json(capsys, "scale", "b7", "--explain")
    assert data["official"]["cost"]["params"] == 66_347_960
    assert data["dimensions"][0]["phi"] == pytest.approx(6.21, abs=0.005)


def test_explain_survives_a_coefficient_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "any" in printed(capsys, "scale", "b4", "--explain", "--alpha", "1")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (10, "10"),
        (999, "999"),
        (1000, "1.00 k"),
        (9_999, "10.0 k"),
        (16_710, "16.7 k"),
        (999_600, "1.00 M"),
        (385_814_752, "386 M"),
        (1.827e9, "1.83 G"),
    ],
)
def test_counts_have_three_digits(number: float, text: str) -> None:
    assert big(number) == text
