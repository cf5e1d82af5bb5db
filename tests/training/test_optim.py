"""Which weights decay, and the learning rate of every step."""

import subprocess
import sys
from itertools import pairwise
from math import cos, pi
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, AdamW

from effnet.config import OptimConfig
from effnet.network.model import create_model
from effnet.training import optim
from effnet.training.optim import Horizon, RMSPropTF, lr_at

schedules = pytest.mark.parametrize("schedule", optim.SCHEDULES)
optimizers = pytest.mark.parametrize("name", optim.OPTIMIZERS)


def curve(steps_per_epoch: int, epochs: int, **settings: Any) -> list[float]:
    """Return the learning rate of every step of a training; without warm-up unless told."""
    planned = steps_per_epoch * epochs
    return limited_curve(Horizon(steps_per_epoch, planned, planned), **settings)


def limited_curve(horizon: Horizon, **settings: Any) -> list[float]:
    """Return the learning rate of every step of a training that may be shorter than planned."""
    config = OptimConfig(**{"lr": 1.0, "warmup_epochs": 0.0, **settings})
    return [lr_at(step, horizon, config) for step in range(horizon.total)]


def differences(values: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


@optimizers
def test_only_kernels_and_matrices_decay(name: Any) -> None:
    network = create_model("b0-cifar", 10)
    decayed, kept = optim.build(network, OptimConfig(name=name, weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    matrices = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert {id(p) for p in decayed["params"]} == {id(p) for p in matrices}


@optimizers
def test_every_weight_is_optimized_once(name: Any) -> None:
    network = create_model("b0-cifar", 10)
    groups = optim.build(network, OptimConfig(name=name)).param_groups
    optimized = [id(p) for group in groups for p in group["params"]]
    assert sorted(optimized) == sorted(id(p) for p in network.parameters())


def test_frozen_weights_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    network[0].requires_grad_(False)
    groups = optim.build(network, OptimConfig()).param_groups
    assert [[tuple(p.shape) for p in group["params"]] for group in groups] == [[(2, 3)], [(2,)]]


def test_each_optimizer_takes_its_own_settings() -> None:
    config: dict[str, Any] = {"lr": 0.2, "momentum": 0.8, "rho": 0.7, "beta1": 0.6, "beta2": 0.5, "eps": 0.1}
    network = nn.Linear(2, 2)
    sgd, adamw, rmsprop = (
        optim.build(network, OptimConfig(name=name, **config)) for name in ("sgd", "adamw", "rmsprop")
    )
    assert isinstance(sgd, SGD)
    assert isinstance(adamw, AdamW)
    assert isinstance(rmsprop, RMSPropTF)
    assert [sgd.defaults[key] for key in ("lr", "momentum", "nesterov")] == [0.2, 0.8, True]
    assert [adamw.defaults[key] for key in ("lr", "betas", "eps")] == [0.2, (0.6, 0.5), 0.1]
    assert [rmsprop.defaults[key] for key in ("lr", "momentum", "rho", "eps")] == [0.2, 0.8, 0.7, 0.1]


def test_sgd_works_without_momentum() -> None:
    network = nn.Linear(1, 1, bias=False)
    optimizer = optim.build(network, OptimConfig(momentum=0.0, lr=0.5, weight_decay=0.0))
    before = network.weight.item()
    network.weight.grad = torch.ones(1, 1)
    optimizer.step()
    assert network.weight.item() == pytest.approx(before - 0.5)


def test_the_learning_rate_is_set_for_all_weights() -> None:
    optimizer = optim.build(nn.Linear(2, 2), OptimConfig())
    optim.set_lr(optimizer, 0.123)
    assert [group["lr"] for group in optimizer.param_groups] == [0.123, 0.123]


@schedules
def test_warm_up_is_a_straight_line_from_nothing_to_the_peak(schedule: str) -> None:
    rates = curve(10, 20, schedule=schedule, warmup_epochs=2.0, decay_epochs=5.0)
    assert rates[20] == pytest.approx(1.0)
    assert differences([0.0, *rates[:21]]) == pytest.approx([1 / 21] * 21)


@schedules
def test_without_warm_up_the_first_step_has_the_peak(schedule: str) -> None:
    assert curve(10, 5, schedule=schedule)[0] == pytest.approx(1.0)


@schedules
@pytest.mark.parametrize("warmup", [5.0, 30.0])
def test_warm_up_takes_at_most_half_of_the_training(schedule: str, warmup: float) -> None:
    rates = curve(4, 10, schedule=schedule, warmup_epochs=warmup, decay_rate=1.0)
    assert rates[20] == max(rates) == pytest.approx(1.0)
    assert rates[19] < 1.0


def test_cosine_is_half_a_cosine_that_ends_near_zero() -> None:
    rates = curve(10, 10, schedule="cosine")
    assert rates == pytest.approx([0.5 * (1 + cos(pi * step / 100)) for step in range(100)])
    assert rates[50] == pytest.approx(0.5)
    assert rates[-1] < 0.001


def test_cosine_starts_where_warm_up_ends() -> None:
    rates = curve(10, 12, schedule="cosine", warmup_epochs=2.0)
    assert rates[20:] == pytest.approx(curve(10, 10, schedule="cosine"))


def test_exponential_falls_in_stairs_of_2_4_epochs() -> None:
    rates = curve(10, 12, schedule="exponential", decay_rate=0.97, decay_epochs=2.4)
    for stair in range(5):
        assert rates[24 * stair : 24 * (stair + 1)] == pytest.approx([0.97**stair] * 24)


def test_exponential_counts_its_epochs_from_the_start_of_warm_up() -> None:
    rates = curve(10, 20, schedule="exponential", warmup_epochs=5.0, decay_rate=0.97, decay_epochs=2.4)
    assert rates[50] == pytest.approx(0.97**2)


def test_onecycle_is_a_straight_line_down_to_nothing() -> None:
    rates = curve(10, 10, schedule="onecycle", warmup_epochs=3.0)
    assert differences([*rates[30:], 0.0]) == pytest.approx([-1 / 70] * 70)


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_a_schedule_that_falls_to_nothing_does_so_in_a_shorter_training(schedule: str) -> None:
    horizon = Horizon(steps_per_epoch=10, planned=1000, total=70)
    assert limited_curve(horizon, schedule=schedule) == pytest.approx(curve(10, 7, schedule=schedule))


def test_exponential_is_compressed_into_a_shorter_training() -> None:
    """Of 12 epochs as many as 3 fit: the stairs of 2.4 epochs have 0.6."""
    rates = limited_curve(Horizon(steps_per_epoch=10, planned=120, total=30), schedule="exponential")
    for stair in range(5):
        assert rates[6 * stair : 6 * (stair + 1)] == pytest.approx([0.97**stair] * 6)


@pytest.mark.parametrize("total", [3500, 1234, 777])
def test_a_shorter_exponential_ends_at_the_planned_rate(total: int) -> None:
    planned = curve(10, 350, schedule="exponential", warmup_epochs=5.0)
    shorter = limited_curve(Horizon(10, 3500, total), schedule="exponential", warmup_epochs=5.0)
    assert shorter[-1] == pytest.approx(planned[-1])


@given(
    schedule=st.sampled_from(sorted(optim.SCHEDULES)),
    steps_per_epoch=st.integers(1, 50),
    epochs=st.integers(1, 20),
    warmup=st.floats(0.0, 40.0),
    lr=st.floats(1e-6, 100.0),
    fitting=st.floats(0, 1),
    share=st.floats(0, 1, exclude_max=True),
)
def test_every_rate_is_above_zero_and_at_most_the_peak(
    *,
    schedule: Any,
    steps_per_epoch: int,
    epochs: int,
    warmup: float,
    lr: float,
    fitting: float,
    share: float,
) -> None:
    config = OptimConfig(lr=lr, schedule=schedule, warmup_epochs=warmup)
    planned = steps_per_epoch * epochs
    total = max(1, int(fitting * planned))
    rate = lr_at(int(share * total), Horizon(steps_per_epoch, planned, total), config)
    assert 0 < rate <= lr * (1 + 1e-12)


LOADED = """
import sys, torch
from effnet.config import OptimConfig
from effnet.training import optim
network = torch.nn.Linear(2, 2)
optimizer = optim.build(network, OptimConfig(name={name!r}))
network(torch.ones(1, 2)).sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_steps_do_not_load_torchs_compiler(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(name=name)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("name", "theirs"), [("sgd", SGD), ("adamw", AdamW)])
def test_steps_without_the_compiler_are_torchs_to_the_bit(name: Any, theirs: Any) -> None:
    torch.manual_seed(0)
    own, other = nn.Linear(5, 4), nn.Linear(5, 4)
    other.load_state_dict(own.state_dict())
    config = OptimConfig(name=name, lr=0.1, weight_decay=0.01)
    ours = optim.build(own, config)
    plain = [{key: value for key, value in group.items() if key != "params"} for group in ours.param_groups]
    groups = [{**group, "params": [p]} for group, p in zip(plain, (other.weight, other.bias), strict=True)]
    peer = theirs(groups)
    for _ in range(5):
        images = torch.randn(3, 5)
        for network, optimizer in ((own, ours), (other, peer)):
            optimizer.zero_grad()
            network(images).square().sum().backward()
            optimizer.step()
    assert torch.equal(own.weight, other.weight)
    assert torch.equal(own.bias, other.bias)
