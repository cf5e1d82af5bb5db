"""The rules of fine-tuning: every number of images has one, and each is a configuration."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.config import from_dict
from effnet.transfer.rules import RULES, bn_momentum, rule_for, settings


def test_rows_are_in_order_and_leave_no_number_out() -> None:
    borders = [rule.below for rule in RULES]
    assert borders == sorted(set(borders))
    assert borders[-1] == inf


@pytest.mark.parametrize(
    ("num_images", "row"), [(2, 0), (999, 0), (1000, 1), (19_999, 1), (20_000, 2), (10**7, 3)]
)
def test_a_border_belongs_to_the_row_behind_it(num_images: int, row: int) -> None:
    assert rule_for(num_images) is RULES[row]


@given(st.integers(1, 10**8))
def test_a_rule_is_a_configuration(num_images: int) -> None:
    config = from_dict(settings(rule_for(num_images), num_images), "rules")
    assert config.epochs > 2 * config.finetune.head_epochs
    assert config.finetune.layer_decay == rule_for(num_images).layer_decay


def test_more_images_let_early_layers_learn_more_in_fewer_passes() -> None:
    assert [rule.layer_decay for rule in RULES] == sorted(rule.layer_decay for rule in RULES)
    assert [rule.epochs for rule in RULES] == sorted((rule.epochs for rule in RULES), reverse=True)


@pytest.mark.parametrize(
    ("num_images", "momentum"), [(200, 0.1), (3200, 0.1), (32_000, 0.01), (320_000, 0.001)]
)
def test_statistics_keep_what_kornblith_et_al_keep(num_images: int, momentum: float) -> None:
    """Their decay is max(1 - 10 / s, 0.9) for s steps an epoch; torch's momentum is the rest to 1."""
    assert bn_momentum(num_images) == pytest.approx(momentum)


def test_the_documented_table_is_the_one_in_code() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "finetune.md").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| images | epochs")) + 2
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[first : first + len(RULES)]
    ]
    assert shown == [
        [
            "more" if rule.below == inf else f"below {rule.below:,}",
            f"{rule.epochs}",
            f"{rule.head_epochs}",
            f"{rule.lr:g}",
            f"{rule.layer_decay:.2f}",
            "1e-4",
            rule.policy,
            f"{rule.mixup:g}",
        ]
        for rule in RULES
    ]
    assert {rule.weight_decay for rule in RULES} == {1e-4}
