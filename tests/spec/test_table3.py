import pytest

from effnet.spec.cost import cost
from effnet.spec.families import get_spec
from effnet.spec.table3 import TABLE_3, PublishedRow, count

BASES = ("mobilenet-v1", "mobilenet-v2", "resnet-50")


def test_every_network_has_its_base_and_its_compound_row() -> None:
    for base in BASES:
        rows = [row for row in TABLE_3 if row.base == base]
        assert rows[0].factors.cost_factor == 1.0
        assert (rows[-1].depth, rows[-1].width, rows[-1].resolution) == (1.4, 1.2, 1.3)


def test_compound_scaling_wins_in_every_network() -> None:
    for base in BASES:
        rows = [row for row in TABLE_3 if row.base == base]
        assert max(rows, key=lambda row: row.top1) == rows[-1]


@pytest.mark.parametrize("row", [row for row in TABLE_3 if row.factors.cost_factor == 1.0])
def test_a_base_is_counted_as_it_is(row: PublishedRow) -> None:
    counted = count(row)
    assert counted.cost == cost(get_spec(row.base))
    assert counted.unrounded_macs == counted.cost.macs
    assert counted.prints_the_same


@pytest.mark.parametrize("base", BASES)
def test_doubling_the_resolution_makes_four_times_the_macs_of_the_convolutions(base: str) -> None:
    (row,) = [row for row in TABLE_3 if (row.base, row.resolution) == (base, 2.0)]
    classifier = 1000 * get_spec(base).feature_channels
    assert count(row).cost.macs == 4 * (cost(get_spec(base)).macs - classifier) + classifier


def test_the_difference_is_a_share_of_what_is_published() -> None:
    counted = count(PublishedRow("mobilenet-v2", 1.0, 1.0, 1.0, giga_flops=0.6, top1=0.0))
    assert counted.difference == pytest.approx(0.3008 / 0.6 - 1, abs=1e-4)
    assert not counted.prints_the_same
