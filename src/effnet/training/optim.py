"""Optimizers, and the learning rate as a function of the step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import unwrap
from math import cos, floor, pi
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from effnet.config import OptimConfig


def full_rate(name: str) -> float:
    """Let every parameter learn at the full rate."""
    return 1.0


def build(network: nn.Module, config: OptimConfig, rate: Callable[[str], float] = full_rate) -> Optimizer:
    """Build the optimizer; weight decay acts on kernels and matrices only, not on biases and BN.

    `rate` is the factor on the learning rate of the parameter of a name. Frozen parameters are left out.
    """
    rated = [(rate(name), p) for name, p in network.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for scale in sorted({scale for scale, _ in rated}, reverse=True):
        own = [p for own_scale, p in rated if own_scale == scale]
        kernels, others = [p for p in own if p.ndim > 1], [p for p in own if p.ndim <= 1]
        groups.append({"params": kernels, "weight_decay": config.weight_decay, "lr_scale": scale})
        groups.append({"params": others, "weight_decay": 0.0, "lr_scale": scale})
    return OPTIMIZERS[config.name]([group for group in groups if group["params"]], config)


class Light(Optimizer):
    """What keeps torch's compiler out of a training that does not compile: a mixin before the optimizer.

    torch wraps these methods, and `step`, so that compiled code does not look into them, and loads its
    compiler at the first call: 0.8 s of a start of 3.5 s. Nothing here calls them from compiled code. What
    `step` is wrapped in also switches gradients off.
    """

    add_param_group = unwrap(Optimizer.add_param_group)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    zero_grad = unwrap(Optimizer.zero_grad)


class LightSGD(Light, SGD):
    """SGD of torch."""

    step = torch.no_grad()(unwrap(SGD.step))


class LightAdamW(Light, AdamW):
    """AdamW of torch."""

    step = torch.no_grad()(unwrap(AdamW.step))


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], OptimConfig], Optimizer]] = {
    "sgd": lambda groups, c: LightSGD(groups, lr=c.lr, momentum=c.momentum, nesterov=c.momentum > 0),
    "adamw": lambda groups, c: LightAdamW(groups, lr=c.lr, betas=(c.beta1, c.beta2), eps=c.eps or 1e-8),
    "rmsprop": lambda groups, c: RMSPropTF(
        groups, lr=c.lr, rho=c.rho, momentum=c.momentum, eps=c.eps or 1e-3
    ),
}


class RMSPropTF(Light):
    """RMSProp as TensorFlow 1 computes it, which is what the paper trained with.

    Unlike torch's, epsilon is added inside the root, the mean square starts at 1, and the learning rate is
    applied before the momentum:

        mean_square ← rho · mean_square + (1 - rho) · grad²
        velocity ← momentum · velocity + lr · grad / sqrt(mean_square + eps)
        parameter ← parameter - velocity

    Weight decay is added to the gradient (the L2 term of TensorFlow's loss).
    """

    def __init__(self, params: Iterable[Any], *, lr: float, rho: float, momentum: float, eps: float) -> None:
        defaults = {"lr": lr, "rho": rho, "momentum": momentum, "eps": eps, "weight_decay": 0.0}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update tensors together: a few kernels for all of them instead of a few for each."""
        grads = [cast(Tensor, p.grad) for p in parameters]
        states = [self._state(p) for p in parameters]
        squares = [state["mean_square"] for state in states]
        velocities = [state["velocity"] for state in states]
        if group["weight_decay"]:
            grads = list(torch._foreach_add(grads, parameters, alpha=group["weight_decay"]))
        torch._foreach_mul_(squares, group["rho"])
        torch._foreach_addcmul_(squares, grads, grads, value=1.0 - group["rho"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_addcdiv_(velocities, grads, roots, value=group["lr"])
        torch._foreach_sub_(parameters, velocities)

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["mean_square"] = torch.ones_like(parameter)
            state["velocity"] = torch.zeros_like(parameter)
        return cast(dict[str, Tensor], state)


def clipper(network: nn.Module, config: OptimConfig) -> Callable[[], Tensor]:
    """Return what shortens the gradients before a step, if `clip_norm` is set; it returns their norm `()`.

    The norm is that before: of all gradients together, not finite as soon as one number of them is not.
    """
    parameters, limit = list(network.parameters()), config.clip_norm
    if limit is not None:
        return lambda: nn.utils.clip_grad_norm_(parameters, limit)
    return lambda: nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


@dataclass(frozen=True)
class Horizon:
    """How long a training is, in optimizer steps."""

    steps_per_epoch: int
    planned: int
    """Steps of all epochs that were asked for."""
    total: int
    """Steps that are taken: those planned, or as many as a limit of time allows."""


def lr_at(step: int, horizon: Horizon, config: OptimConfig) -> float:
    """Return the learning rate of an optimizer step, counted from 0.

    All schedules rise linearly from 0 over `warmup_epochs` (at most half of the training) first:

    - cosine: then falls to 0 along half a cosine.
    - exponential: then × `decay_rate` every `decay_epochs`, in stairs, counted from step 0 (official code).
    - onecycle: then falls linearly to 0 (Smith & Topin 2018).

    All end with the training. Where a limit of time makes it shorter than planned, cosine and onecycle fall
    to 0 sooner, and the stairs of exponential become shorter in the same proportion, so that it ends at the
    rate that it was planned to end at.
    """
    total, steps_per_epoch = horizon.total, horizon.steps_per_epoch
    warmup = min(config.warmup_epochs * steps_per_epoch, total / 2)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, total - warmup)
    planned_epoch = step * horizon.planned / total / steps_per_epoch
    return config.lr * SCHEDULES[config.schedule](progress, planned_epoch, config)


SCHEDULES: dict[str, Callable[[float, float, OptimConfig], float]] = {
    "cosine": lambda progress, epoch, c: 0.5 * (1.0 + cos(pi * progress)),
    "exponential": lambda progress, epoch, c: c.decay_rate ** floor(epoch / c.decay_epochs),
    "onecycle": lambda progress, epoch, c: 1.0 - progress,
}


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all groups, each times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
