"""`effnet show` and `scale` with the baselines: what they print is what the library computes."""

import json
from typing import Any

import pytest

from effnet.cli.main import main
from effnet.spec.baselines import BASELINES
from effnet.spec.cost import cost
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec, from_dict
from effnet.spec.scale import scale
from effnet.spec.table3 import TABLE_3, count


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def printed_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json"))


def test_table_3_has_a_line_for_each_row_with_macs_flops_difference_and_top1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(capsys, "show", "table3").splitlines()
    for row, line in zip(TABLE_3, lines[2:], strict=False):
        counted = count(row)
        assert line.startswith(row.base)
        assert f"{counted.cost.macs / 1e9:.3f} G" in line
        assert f"{row.giga_flops} B" in line
        assert f"{counted.difference:+.1%}" in line
        assert f"{row.top1} %" in line
        assert ("*" in line) == (not row.factors_printed)


def test_table_3_says_the_rounding_rule_and_what_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "show", "table3")
    assert "repeats up" in text
    assert "top-1 is published, not measured here" in text
    assert "the paper prints no factors for this row" in text


def test_table_3_as_json_has_the_networks_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed_json(capsys, "show", "table3")["rows"]
    assert len(rows) == len(TABLE_3)
    for row, published in zip(rows, TABLE_3, strict=True):
        assert row["cost"]["macs"] == cost(from_dict(row["spec"])).macs
        assert row["published"] == {"giga_flops": published.giga_flops, "top1": published.top1}


def test_table_3_is_for_the_classes_of_imagenet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "table3", "--classes", "10"]) == 2
    assert "leave --classes out" in capsys.readouterr().err


def test_a_misspelt_table_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "tabel3"]) == 2
    assert "unknown network or recipe 'tabel3'; known: table3," in capsys.readouterr().err


@pytest.mark.parametrize("spec", BASELINES, ids=lambda spec: str(spec.name))
def test_the_last_row_has_the_classifier_with_and_without_a_head(
    spec: NetSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "show", spec.name, "--classes", "10").splitlines()
    rows = lines[2 : 2 + 1 + len(spec.stages) + 1]
    assert ("linear" in rows[-1]) == (spec.head is None)
    assert ("conv 1×1" in rows[-1]) == (spec.head is not None)
    assert lines[len(rows) + 2] == ""


def test_resnet_s_stem_is_shown_with_its_pool(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "show", "resnet-50").splitlines()
    assert lines[2].split()[1:7] == ["conv", "7×7,", "pool", "3×3", "4", "56×56"]
    assert lines[3].split()[1:6] == ["bottleneck4", "3×3", "1", "56×56", "256"]
    assert lines[7].split()[1:5] == ["linear", "1", "1×1", "1000"]
    assert "25,557,032 parameters, 4.09 G MACs" in lines[9]
    assert "total stride 32" in lines[9]


def test_separable_blocks_are_shown_without_an_expansion(capsys: pytest.CaptureFixture[str]) -> None:
    assert "separable 3×3" in printed(capsys, "show", "mobilenet-v1")


@pytest.mark.parametrize("phi", ["-2", "1"])
def test_scale_takes_a_baseline(phi: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = printed_json(capsys, "scale", "resnet-50", "--phi", phi)
    assert from_dict(data["after"]["spec"]) == scale(get_spec("resnet-50"), float(phi))


def test_scaling_leaves_the_classes(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "scale", "resnet-50", "--phi", "1")
    (linear,) = [line for line in text.splitlines() if "linear" in line]
    assert linear.split()[2:9] == ["1000", "→", "1000", "1", "→", "1", "1"]


def test_explain_wants_an_official_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "mobilenet-v2", "--explain"]) == 2
    error = capsys.readouterr().err
    assert "b0, b0-cifar, b1," in error
    assert "resnet" not in error
