from dataclasses import replace

import pytest

from effnet.spec.cost import Layer, cost, layers
from effnet.spec.families import get_spec
from effnet.spec.resize import Multipliers, resize
from effnet.spec.table3 import TABLE_3, PublishedRow, count

BASES = ("mobilenet-v1", "mobilenet-v2", "resnet-50")


def test_every_network_has_its_base_and_its_compound_row() -> None:
    for base in BASES:
        rows = rows_of(base)
        assert rows[0].factors.cost_factor == 1.0
        assert (rows[-1].depth, rows[-1].width, rows[-1].resolution) == (1.4, 1.2, 1.3)


def test_compound_scaling_wins_in_every_network() -> None:
    for base in BASES:
        rows = rows_of(base)
        assert max(rows, key=lambda row: row.top1) == rows[-1]


@pytest.mark.parametrize("row", [row for row in TABLE_3 if row.factors.cost_factor == 1.0])
def test_a_base_is_counted_as_it_is(row: PublishedRow) -> None:
    counted = count(row)
    assert counted.cost == cost(get_spec(row.base))
    assert counted.exact_macs == counted.cost.macs
    assert counted.rounds_to_published


@pytest.mark.parametrize("base", BASES)
def test_doubling_the_resolution_makes_four_times_the_macs_of_the_convolutions(base: str) -> None:
    (row,) = [row for row in TABLE_3 if (row.base, row.resolution) == (base, 2.0)]
    classifier = 1000 * get_spec(base).feature_channels
    assert count(row).cost.macs == 4 * (cost(get_spec(base)).macs - classifier) + classifier


def test_the_difference_is_a_share_of_what_is_published() -> None:
    counted = count(PublishedRow("mobilenet-v2", 1.0, 1.0, 1.0, giga_flops=0.6, top1=0.0))
    assert counted.difference == pytest.approx(0.3008 / 0.6 - 1, abs=1e-4)
    assert not counted.rounds_to_published


def giga_macs(row: PublishedRow, repeats: int | None = None, resolution: int | None = None) -> float:
    """Count a row, perhaps with another number of blocks in the first stage, or other pixels."""
    spec = count(row).spec
    if repeats is not None:
        spec = replace(spec, stages=(replace(spec.stages[0], repeats=repeats), *spec.stages[1:]))
    return round(cost(spec, resolution=resolution).macs / 1e9, 3)


def rows_of(base: str) -> list[PublishedRow]:
    return [row for row in TABLE_3 if row.base == base]


def test_what_docs_paper_says_of_the_compound_rows_of_mobilenets() -> None:
    assert giga_macs(rows_of("mobilenet-v1")[-1], repeats=1) == 2.318
    assert giga_macs(rows_of("mobilenet-v2")[-1], resolution=288) == 1.284


def test_what_docs_paper_says_of_resnet_50() -> None:
    base, deeper = (count(row).cost.macs for row in rows_of("resnet-50")[:2])
    assert (deeper - base) / 48 == 218_365_952
    narrower = resize(get_spec("resnet-50"), Multipliers(1.0, 1.9, 1.0))
    assert round(cost(narrower).macs / 1e9, 3) == 14.436
    first, second = (layers_of_stage(row)[:4] for row in (1, 2))
    assert [round(sum(layer.cost.macs for layer in block) / 1e9, 3) for block in (first, second)] == [
        0.231,
        0.373,
    ]


def layers_of_stage(row: int) -> list[Layer]:
    """Return the layers of a stage of ResNet-50; the first block has four."""
    return [layer for layer in layers(get_spec("resnet-50"), 1000) if layer.row == row]
