"""The moving average of the weights follows its recursion, statistics of batch normalisation included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from effnet.training.average import averaged, warm_decay


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))


def disturb(network: nn.Module, seed: int) -> None:
    """Change all weights, and the statistics by a forward pass."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
        network.train()(torch.randn(4, 2, 2, 2, generator=generator) * 3 + 1)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    ("num_updates", "expected"), [(0, 0.1), (1, 2 / 11), (8, 0.5), (90, 0.91), (10**6, 0.999)]
)
def test_the_decay_warms_up(num_updates: int, expected: float) -> None:
    assert warm_decay(0.999, num_updates) == pytest.approx(expected)


@given(decay=st.floats(0, 1, exclude_max=True), num_updates=st.integers(0, 10**7))
def test_the_decay_only_rises_and_never_passes_its_limit(decay: float, num_updates: int) -> None:
    assert warm_decay(decay, num_updates) <= warm_decay(decay, num_updates + 1) <= decay


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_is_the_recursion_over_weights_and_statistics(decay: float) -> None:
    network = small_network()
    average = averaged(network, decay)
    expected: dict[str, Tensor] = {}
    for update in range(8):
        disturb(network, update)
        average.update_parameters(network)
        for name, value in state(network).items():
            if update == 0 or not value.is_floating_point():
                expected[name] = value  # the first update starts from the weights; counts are copied
            else:
                share = warm_decay(decay, update)
                expected[name] = share * expected[name] + (1 - share) * value
    result = state(average.module)
    assert "1.running_var" in result
    for name, value in expected.items():
        assert torch.allclose(result[name], value, rtol=1e-5, atol=1e-6), name


def test_the_average_is_a_copy_that_leaves_the_network_alone() -> None:
    network = small_network()
    average = averaged(network, 0.9)
    average.update_parameters(network)
    disturb(network, 0)
    before = state(network)
    average.update_parameters(network)
    assert all(torch.equal(value, before[name]) for name, value in state(network).items())
    assert not torch.equal(state(average.module)["0.weight"], before["0.weight"])


def test_the_average_counts_batches_as_the_network_does() -> None:
    network = small_network()
    average = averaged(network, 0.9)
    for seed in range(3):
        disturb(network, seed)
        average.update_parameters(network)
    assert state(average.module)["1.num_batches_tracked"] == 3
