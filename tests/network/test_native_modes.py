"""A network with the CPU kernels on: evaluated, compiled, exported, copied, recomputed."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from native_layers import assert_close, gradients
from native_networks import TINY, assert_same_statistics, images, kernels_in, pair, step
from torch.optim.swa_utils import AveragedModel

from compiler import needs_kernels

pytestmark = needs_kernels


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_evaluation_is_torch_s_own_bit_for_bit() -> None:
    native, plain = pair(TINY)
    x = images()
    logits = native.eval()(x)
    assert kernels_in(logits).total() == 0
    assert torch.equal(logits, plain.eval()(x))


def test_float64_and_images_in_another_layout_are_left_to_torch() -> None:
    native, plain = pair(TINY)
    x = images()
    assert torch.equal(native.double()(x.double()), plain.double()(x.double()))
    native, plain = (network.float().to(memory_format=torch.contiguous_format) for network in (native, plain))  # type: ignore[call-overload]
    assert torch.equal(native(x.contiguous()), plain(x.contiguous()))


def test_weights_in_bfloat16_are_left_to_torch() -> None:
    """The kernels take float weights; they must not read other ones as if they were."""
    native, plain = (network.bfloat16() for network in pair(TINY))
    x = images().bfloat16()
    logits = native(x)
    assert kernels_in(logits).total() == 0
    assert torch.equal(logits, plain(x))


def test_without_gradients_a_training_network_computes_and_counts_the_same() -> None:
    native, plain = pair(TINY)
    x = images()
    with torch.no_grad():
        logits = native(x)
    assert_close(logits, plain(x).double(), 1e-4)
    assert_same_statistics(native, plain)


def test_recomputed_stages_end_in_the_same_bits() -> None:
    kept, _ = pair(TINY)
    recomputed, _ = pair(TINY, checkpoint_stages=True)
    recomputed.load_state_dict(kept.state_dict())
    x = images()
    assert torch.equal(step(recomputed, x), step(kept, x))
    for mine, theirs in zip(gradients(recomputed), gradients(kept), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(recomputed.buffers(), kept.buffers(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_compiler_sees_torch_s_operations() -> None:
    native, plain = pair(replace(TINY, stages=TINY.stages[:2]))
    x = images()
    torch._dynamo.reset()
    step(torch.compile(native, backend="aot_eager", fullgraph=True), x)
    step(plain, x)
    for mine, theirs in zip(gradients(native), gradients(plain), strict=True):
        torch.testing.assert_close(mine, theirs)
    torch._dynamo.reset()


@pytest.mark.parametrize("training", [False, True])
def test_an_exported_network_computes_the_same(training: bool) -> None:
    native, plain = pair(replace(TINY, stages=TINY.stages[:2]))
    x = images()
    exported = torch.export.export(native.train(training), (x,)).module()
    torch.testing.assert_close(exported(x), plain.train(training)(x))


def test_a_copy_and_a_moving_average_of_a_native_network_work() -> None:
    native, plain = pair(TINY)
    x = images()
    copy, average = deepcopy(native), AveragedModel(native, use_buffers=True)
    step(native, x)
    step(copy, x)
    assert all(map(torch.equal, gradients(copy), gradients(native)))
    average.update_parameters(native)
    plain.load_state_dict(native.state_dict())
    assert torch.equal(average.eval()(x), plain.eval()(x))
