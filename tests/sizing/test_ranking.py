"""The ranking: mean and spread, who is told apart from the best, and what may be claimed."""

from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import open_digits
from effnet.evaluation.significance import wilson_interval
from effnet.sizing.outcomes import MAX_POINTS, from_attrs, to_attrs
from effnet.sizing.search.candidates import candidates
from effnet.sizing.search.ledger import ERROR, Entry, Job, Ledger
from effnet.sizing.search.plan import Plan, SearchConfig, differences, search_config
from effnet.sizing.search.ranking import EPOCHS, Ranking, rank
from effnet.sizing.statistics import accuracy_interval
from effnet.sizing.trial import Outcome
from tiny_search import BASE, SETTINGS, space

NUM_VAL = 200


def plan(seeds: int = 3, **changes: object) -> Plan:
    settings = {"phi": SETTINGS["phi"], "epochs": 9}
    config = configuration.override(TrainConfig(), settings)
    searched = search_config({"base": "tiny", "seeds": seeds, **changes})
    return Plan(open_digits(), config, searched, space(), candidates(space()), Path("unused"))


def outcome(num_right: int, seed: int, shift: int = 0, epochs: int = 2) -> Outcome:
    """Return an outcome in which that many images are right, from a place on."""
    correct = np.roll(np.arange(NUM_VAL) < num_right, shift)
    point = {"val_top1": num_right / NUM_VAL, "ema_val_top1": None, "train_loss": 1.0}
    return Outcome(
        key=f"{num_right}-{seed}",
        spec=BASE,
        config=replace(TrainConfig(), seed=seed),
        val_top1=num_right / NUM_VAL,
        val_loss=1.0,
        steps=4,
        seconds=1.0,
        correct=correct,
        curve=tuple({**point, "epoch": epoch} for epoch in range(epochs)),
        environment={"device": "cpu"},
    )


def ranked(searched: Plan, results: dict[str, list[int]], *more: Entry) -> Ranking:
    """Rank candidates by their numbers of right images, one for each seed."""
    entries = [
        Entry(0, "complete", Job(name, seed), to_attrs(outcome(count, seed, 10 * seed)), {})
        for name, counts in results.items()
        for seed, count in enumerate(counts)
    ]
    return rank(searched, Ledger([*entries, *more]))


NAMES = [candidate.name for candidate in plan().candidates]


def test_outcomes_come_back_from_the_storage_as_they_were() -> None:
    kept = outcome(150, seed=2)
    again = from_attrs(to_attrs(kept), kept.spec, kept.config)
    assert (again.correct == kept.correct).all()
    for name in ("key", "val_top1", "val_loss", "steps", "seconds", "environment", "config", "spec"):
        assert getattr(again, name) == getattr(kept, name)
    assert [dict(point) for point in again.curve] == [dict(point) for point in kept.curve]


def test_very_long_curves_are_thinned() -> None:
    curve = from_attrs(to_attrs(outcome(9, 0, epochs=5000)), BASE, TrainConfig()).curve
    assert len(curve) == MAX_POINTS
    assert (curve[0]["epoch"], curve[-1]["epoch"]) == (0, 4999)


def test_candidates_are_in_the_order_of_their_means() -> None:
    found = ranked(plan(), {NAMES[0]: [150, 152, 154], NAMES[1]: [160, 161, 162], NAMES[2]: [100, 101, 102]})
    assert [row.candidate.name for row in found.ranked] == [NAMES[1], NAMES[0], NAMES[2]]
    best = found.ranked[0]
    assert best.mean == pytest.approx(mean([160, 161, 162]) / NUM_VAL)
    assert best.spread == pytest.approx(stdev([160, 161, 162]) / NUM_VAL)


def test_an_accuracy_has_the_interval_over_images_where_seeds_agree() -> None:
    alike = [outcome(150, seed, 10 * seed) for seed in range(3)]
    assert accuracy_interval(alike) == wilson_interval(150, NUM_VAL) == accuracy_interval(alike[:1])


def test_an_accuracy_has_the_interval_over_seeds_where_they_disagree() -> None:
    low, high = accuracy_interval([outcome(count, seed) for seed, count in enumerate([120, 150, 180])])
    assert low == pytest.approx(0.75 - 4.303 * 0.15 / sqrt(3), abs=1e-4)
    assert high == 1.0  # no accuracy is above


def test_a_clear_difference_is_significant() -> None:
    found = ranked(plan(), {NAMES[0]: [120, 121, 119], NAMES[1]: [180, 181, 180]})
    assert found.verdict.startswith("significant: ")
    assert "+30.17 points" in found.verdict
    assert not found.ties


def test_a_difference_that_other_seeds_may_turn_round_is_not() -> None:
    found = ranked(plan(), {NAMES[0]: [150, 170, 140], NAMES[1]: [160, 150, 165]})
    assert found.verdict.startswith("not significant: ")
    assert len(found.ties) == 1


def test_a_difference_among_many_needs_to_be_clearer() -> None:
    close = {NAMES[0]: [161, 162, 163], NAMES[1]: [150, 148, 156]}
    assert ranked(plan(), close).verdict.startswith("significant: ")
    assert not ranked(plan(), close).ties
    many = ranked(plan(), {**close, NAMES[2]: [149, 147, 155], NAMES[3]: [148, 146, 154]})
    assert many.verdict.startswith("not significant: ")
    assert many.verdict.endswith("by chance one of 3 comparisons may look so")
    assert len(many.ties) == 3


def test_two_seeds_are_called_few() -> None:
    assert "two seeds" in ranked(plan(2), {NAMES[0]: [150, 151], NAMES[1]: [160, 150]}).verdict


def test_one_seed_allows_no_claim() -> None:
    found = ranked(plan(1), {NAMES[0]: [150], NAMES[1]: [160]})
    assert found.verdict.startswith("no claim: ")
    assert found.comparison is None
    assert found.ranked[0].spread is None


def test_one_candidate_allows_no_claim() -> None:
    found = ranked(plan(), {NAMES[0]: [150, 151, 152]})
    assert found.verdict == "no claim: 1 of the candidates came to the end with all seeds"


def test_candidates_without_all_seeds_are_not_ranked() -> None:
    found = ranked(
        plan(),
        {NAMES[0]: [150, 151, 152], NAMES[1]: [160, 161]},
        Entry(7, "pruned", Job(NAMES[2], 0), {EPOCHS: 4}, {}),
        Entry(8, "fail", Job(NAMES[3], 0), {ERROR: "the loss is nan"}, {}),
    )
    assert [row.candidate.name for row in found.ranked] == [NAMES[0]]
    notes = {row.candidate.name: row.note for row in found.others}
    assert notes == {
        NAMES[1]: "seed 2 not trained",
        NAMES[2]: "stopped after 4 of 9 epochs",
        NAMES[3]: "seed 0: the loss is nan",
    }


def test_a_result_counts_once_however_often_it_is_there() -> None:
    again = Entry(9, "complete", Job(NAMES[0], 0), to_attrs(outcome(10, 0)), {})
    found = ranked(plan(), {NAMES[0]: [150, 151, 152]}, again)
    assert [each.val_top1 * NUM_VAL for each in found.ranked[0].outcomes] == [150, 151, 152]


def test_a_dear_candidate_can_lose_by_the_tradeoff() -> None:
    by_cost = sorted(plan().candidates, key=lambda candidate: candidate.macs)
    cheap, dear = by_cost[0].name, by_cost[-1].name
    results = {cheap: [150, 151, 152], dear: [151, 152, 153]}
    assert ranked(plan(), results).ranked[0].candidate.name == dear
    assert ranked(plan(objective="tradeoff"), results).ranked[0].candidate.name == cheap


def test_differences_of_two_questions_are_named() -> None:
    ours = {"base": {"stem": 1}, "recipe": {"epochs": 2, "optim": {"lr": 0.1}}, "data": "x"}
    theirs = {"base": {"stem": 1}, "recipe": {"epochs": 3, "optim": {"lr": 0.2}}, "data": "y"}
    assert differences(ours, theirs) == [
        "another data",
        "recipe.epochs 2, there 3",
        "recipe.optim.lr 0.1, there 0.2",
    ]
    assert differences(ours, ours) == []


def test_defaults_of_a_search_are_right() -> None:
    assert search_config({}) == SearchConfig()
