"""RMSProp as TensorFlow computes it: against the formula, and against timm."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import peers  # noqa: F401 - lets timm, which needs torchvision, import
from effnet.training.optim import RMSPropTF

SETTINGS = {"lr": 0.1, "rho": 0.9, "momentum": 0.8, "eps": 1e-3}
STEPS = 12

MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def start() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 2), (4,), ())
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def gradient(step: int, parameter: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 3


def optimized(make: MakeOptimizer, rates: list[float]) -> list[Tensor]:
    parameters = start()
    optimizer = make(parameters)
    for step, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for parameter in parameters:
            parameter.grad = gradient(step, parameter)
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def by_the_formula(value: float, gradients: list[float], rates: list[float], weight_decay: float) -> float:
    """Follow one number through the formula of the docstring."""
    mean_square, velocity = 1.0, 0.0
    for plain, rate in zip(gradients, rates, strict=True):
        grad = plain + weight_decay * value
        mean_square = SETTINGS["rho"] * mean_square + (1 - SETTINGS["rho"]) * grad**2
        velocity = SETTINGS["momentum"] * velocity + rate * grad / sqrt(mean_square + SETTINGS["eps"])
        value -= velocity
    return value


def ours(weight_decay: float, **changes: float) -> MakeOptimizer:
    settings = SETTINGS | changes
    return lambda parameters: RMSPropTF([{"params": parameters, "weight_decay": weight_decay}], **settings)


def timms(weight_decay: float, **changes: float) -> MakeOptimizer:
    from timm.optim.rmsprop_tf import RMSpropTF

    settings: dict[str, Any] = SETTINGS | changes
    settings["alpha"] = settings.pop("rho")

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = RMSpropTF(
            parameters, weight_decay=weight_decay, lr_in_momentum=True, **settings
        )
        return optimizer

    return make


constant_rates = [0.1] * STEPS
falling_rates = [0.1 * 0.8**step for step in range(STEPS)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("rates", [constant_rates, falling_rates], ids=["constant", "falling"])
def test_every_number_follows_the_formula(weight_decay: float, rates: list[float]) -> None:
    results = optimized(ours(weight_decay), rates)
    for before, after in zip(start(), results, strict=True):
        gradients = torch.stack([gradient(step, before).flatten() for step in range(STEPS)])
        for index, value in enumerate(before.flatten().tolist()):
            expected = by_the_formula(value, gradients[:, index].tolist(), rates, weight_decay)
            assert after.flatten()[index].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("rates", [constant_rates, falling_rates], ids=["constant", "falling"])
def test_it_is_timms(weight_decay: float, momentum: float, rates: list[float]) -> None:
    one = optimized(ours(weight_decay, momentum=momentum), rates)
    other = optimized(timms(weight_decay, momentum=momentum), rates)
    for mine, theirs in zip(one, other, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_it_is_not_torchs() -> None:
    def torchs(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, lr=0.1, alpha=0.9, eps=1e-3, momentum=0.8)

    one, other = optimized(ours(0.0), constant_rates), optimized(torchs, constant_rates)
    assert not torch.allclose(one[0], other[0], rtol=0.05)


def test_weights_without_a_gradient_stay() -> None:
    moving, still = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = RMSPropTF([moving, still], **SETTINGS)
    moving.grad = torch.ones(2)
    optimizer.step()
    assert (still == 1).all()
    assert (moving < 1).all()


def test_a_saved_state_goes_on_as_if_never_stopped() -> None:
    whole, first = start(), start()
    before, running = ours(0.1)(first), ours(0.1)(whole)
    after: torch.optim.Optimizer | None = None
    for step in range(6):
        if step == 3:
            after = ours(0.1)(first)
            after.load_state_dict(before.state_dict())
        for parameters, optimizer in ((whole, running), (first, after or before)):
            for parameter in parameters:
                parameter.grad = gradient(step, parameter)
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(whole, first, strict=True))


def test_a_closure_may_compute_gradients() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = RMSPropTF([weight], **SETTINGS)

    def closure() -> float:
        loss = (weight**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    assert optimizer.step(closure) == 2.0
    assert (weight < 1).all()
