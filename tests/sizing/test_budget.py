"""`effnet.budget`: real networks, measured here; and everything that it refuses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exact_machine import CONDITIONS

import effnet
from effnet.config import TrainConfig
from effnet.errors import EffnetError, UsageError
from effnet.sizing.budget.latency import Conditions
from effnet.sizing.budget.limits import Limits, read_limits
from effnet.sizing.budget.memory import can_measure, peak_bytes
from effnet.sizing.budget.question import Question, answer, check, family, highest
from effnet.sizing.budget.run import Terms, ask, read_terms
from effnet.spec.cost import cost
from effnet.spec.families import B0, B0_CIFAR
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import PAPER, Coefficients, scale
from effnet.spec.solve import shape
from effnet.training.reporter import Silent
from effnet.training.setup import build_spec, spec_changes

MISSING = "mps" if torch.cuda.is_available() else "cuda"


class Listener(Silent):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def question(base: NetSpec = B0_CIFAR, coefficients: Coefficients = PAPER, **changes: Any) -> Question:
    return Question(base, coefficients, changes, Limits(max_params=1e5), CONDITIONS)


def test_the_largest_network_within_is_found_and_measured() -> None:
    listener = Listener()
    terms = read_terms({"batch": 2, "device": "cpu"})
    asked = ask(B0_CIFAR, read_limits({"max_params": "250k"}), terms, listener)
    sized = answer(asked, listener, around=False)
    assert cost(sized.spec, 10).params <= 250_000
    assert sized.spec == scale("b0-cifar", sized.phi)
    assert sized.following is not None
    assert cost(sized.following.spec, 10).params > 250_000
    assert [kind.limit for kind in sized.binding] == ["max_params"]
    assert all(row.latency.low <= row.latency.median <= row.latency.high for row in sized.table)
    assert sized.to_dict()["conditions"]["batch"] == 2
    assert "networks from φ = -11.98 to 12; measuring 2 images at once, torch on cpu" in listener.messages[0]


@pytest.mark.slow
def test_a_limit_of_latency_is_met_as_far_as_this_machine_rests() -> None:
    sized = effnet.budget("b0-cifar", max_latency_ms=8, device="cpu")
    assert sized.chosen.latency.median <= 8e-3
    assert sized.following is None or sized.following.phi > sized.phi


def test_a_training_is_that_of_the_data_and_its_recipe() -> None:
    terms = read_terms({"data": "digits", "resolution": 8, "device": "cpu"})
    asked = ask(B0_CIFAR, Limits(max_train_minutes=5), terms, Silent())
    assert asked.conditions.num_classes == 10
    assert asked.changes["in_channels"] == 1  # as the recipe of the digits says
    assert asked.changes["resolution"] == 8
    assert asked.training is not None
    assert asked.training.num_trained == len(asked.training.splits.train) * asked.training.config.epochs


def test_without_data_the_number_of_classes_is_what_is_usual() -> None:
    for base, num_classes in ((B0_CIFAR, 10), (B0, 1000)):
        assert ask(base, Limits(max_params=1e6), Terms(), Silent()).conditions.num_classes == num_classes


def test_a_fixed_resolution_leaves_depth_and_width_to_phi() -> None:
    rungs = family(question(resolution=30))
    assert {rung.spec.resolution for rung in rungs} == {30}
    assert len({shape(rung.spec) for rung in rungs}) == len(rungs) > 10


def test_what_a_budget_scales_is_what_a_training_builds() -> None:
    config = TrainConfig(model="b0-cifar", resolution=24, dropout=0.1, bn_momentum=0.05)
    for rung in family(question(**spec_changes(config)))[::20]:
        assert build_spec(replace(config, phi=rung.phi)) == rung.spec


def test_phi_ends_where_networks_would_leave_all_bounds() -> None:
    deep = Coefficients(alpha=4.0, beta=1.0, gamma=1.0)
    phi = highest(B0, deep)
    assert scale(B0, phi, deep).num_blocks > 1000
    with pytest.raises(UsageError):
        scale(B0, phi + 0.5, deep)


@pytest.mark.parametrize(
    ("coefficients", "changes"),
    [(Coefficients(1.0, 1.0, 1.0), {}), (Coefficients(1.0, 1.0, 1.3), {"resolution": 32})],
)
def test_scaling_that_changes_nothing_is_refused(coefficients: Coefficients, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"every φ gives the same network of b0-cifar: alpha = 1, beta = 1"):
        family(question(coefficients=coefficients, **changes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "a budget needs at least one limit: --max-params"),
        ({"max_params": 0}, "--max-params 0: must be a finite number above 0"),
        ({"max_params": "5X"}, "--max-params 5X: must be a number such as"),
        ({"max_latency": 5}, "unknown setting of a budget 'max_latency'; known: max_latency_ms"),
        (
            {"max_params": 1e6, "coefficients": {"alpha": 0.9}},
            "coefficients.alpha = 0.9: input should be greater",
        ),
        ({"max_params": 1e6, "device": MISSING}, f"device '{MISSING}' is not available here"),
        ({"max_params": 1e6, "runtime": "tflite"}, "unknown runtime 'tflite'"),
        ({"max_params": 1e6, "batch": 0}, "--batch 0: must be from 1"),
        ({"max_params": 1e6, "batch": 1.5}, "batch = 1.5: "),
        ({"max_params": 1e6, "classes": -1}, "--classes -1: must be from 1"),
        ({"max_params": 1e6, "resolution": 0}, "resolution = 0: "),
        (
            {"max_params": 1e6, "recipe": "digits"},
            "--recipe digits: a recipe trains on images; add --data DATA",
        ),
        ({"max_params": 1e6, "data": "digits", "recipe": "nothing"}, "unknown recipe 'nothing'"),
        ({"max_params": 1e6, "data": "digits", "classes": 5}, "--classes 5: digits has 10; leave it out"),
        ({"max_params": 1e6, "data": "nowhere"}, "unknown data set 'nowhere'"),
        ({"max_train_minutes": 5}, "--max-train-minutes needs --data DATA"),
    ],
)
def test_what_cannot_be_asked_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        effnet.budget("b0-cifar", **settings)
    assert message in str(caught.value)


def test_an_unknown_base_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown network 'b9'"):
        effnet.budget("b9", max_params=1e6)


def test_memory_that_no_system_tells_of_cannot_be_limited() -> None:
    elsewhere = Conditions(torch.device("mps"), "torch", 1, 10)
    with pytest.raises(UsageError, match="--max-memory-mb: the memory of mps cannot be measured"):
        check(replace(question(), limits=Limits(max_memory_mb=500), conditions=elsewhere))


needs_proc = pytest.mark.skipif(not can_measure(CONDITIONS), reason="the system does not tell")


@needs_proc
def test_a_process_takes_more_memory_with_more_images(tmp_path: Path) -> None:
    spec = replace(scale(B0_CIFAR, -10), resolution=64)
    one, many = (peak_bytes(spec, replace(CONDITIONS, batch=batch), tmp_path) for batch in (1, 64))
    images = 63 * 3 * 64 * 64 * 4
    assert one > 50e6  # libraries
    assert many > one + images


@needs_proc
def test_a_process_that_fails_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(EffnetError, match=r"the memory of b0-cifar cannot be measured: .*not available here"):
        peak_bytes(B0_CIFAR, replace(CONDITIONS, device=torch.device("xla")), tmp_path)
