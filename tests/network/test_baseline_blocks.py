"""The blocks of MobileNetV1 and ResNet, the pool, and whole networks made of them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.network.baselines import ResNetBlock, Separable, stem_pool
from effnet.network.blocks import ConvNorm
from effnet.network.model import ConvNet, create_model
from effnet.spec.baselines import (
    BASELINES,
    MOBILENET_V1,
    MOBILENET_V2_CIFAR,
    RESNET_18,
    RESNET_18_CIFAR,
    RESNET_50,
    RESNET_50_CIFAR,
)
from effnet.spec.netspec import NetSpec, Stage
from effnet.spec.scale import scale

SMALL = [
    replace(scale(spec, -8), resolution=16, drop_path=0.3, dropout=0.2)
    for spec in (MOBILENET_V1, MOBILENET_V2_CIFAR, RESNET_18_CIFAR, RESNET_50_CIFAR, RESNET_50)
]
every_small = pytest.mark.parametrize("spec", SMALL, ids=lambda spec: str(spec.name))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def resnet_block(kind: str = "basic", stride: int = 1, in_channels: int = 16) -> ResNetBlock:
    spec, ratio = (RESNET_18, 1) if kind == "basic" else (RESNET_50, 4)
    stage = Stage(kind, ratio, 3, stride, 16, 1, 0.0)  # type: ignore[arg-type]
    return ResNetBlock(spec, stage, in_channels, stride=stride, drop_path=0.3)


every_kind = pytest.mark.parametrize("kind", ["basic", "bottleneck"])


def without_branch(block: ResNetBlock) -> ResNetBlock:
    last = block.branch[-1]
    assert isinstance(last, ConvNorm)
    nn.init.zeros_(last.norm.weight)
    return block.eval()


@every_kind
def test_the_activation_follows_the_sum(kind: str) -> None:
    x = torch.randn(2, 16, 6, 6)
    assert torch.equal(without_branch(resnet_block(kind))(x), x.relu())


@every_kind
@pytest.mark.parametrize(("stride", "in_channels"), [(2, 16), (1, 8), (2, 8)])
def test_the_shortcut_projects_where_the_shape_changes(kind: str, stride: int, in_channels: int) -> None:
    block = resnet_block(kind, stride, in_channels)
    assert isinstance(block.shortcut, ConvNorm)
    assert block.shortcut.conv.weight.shape == (16, in_channels, 1, 1)
    assert block(torch.randn(2, in_channels, 6, 6)).shape == (2, 16, 6 // stride, 6 // stride)


@every_kind
def test_the_shortcut_is_nothing_where_the_shape_stays(kind: str) -> None:
    assert isinstance(resnet_block(kind).shortcut, nn.Identity)


@every_kind
def test_a_dropped_block_hands_its_shortcut_on(kind: str) -> None:
    block = resnet_block(kind).train()
    block.drop_path.rate = 1.0 - 1e-9
    x = torch.rand(4, 16, 6, 6)
    assert torch.equal(block(x), x)


def test_a_bottleneck_strides_in_its_middle() -> None:
    convolutions = [m for m in resnet_block("bottleneck", 2).branch.modules() if isinstance(m, nn.Conv2d)]
    shapes = [(conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in convolutions]
    assert shapes == [(4, 1, 1), (4, 3, 2), (16, 1, 1)]


def test_a_separable_block_adds_nothing() -> None:
    block = Separable(
        MOBILENET_V1, Stage("separable", 1, 3, 1, 16, 1, 0.0), 16, stride=1, drop_path=0.0
    ).eval()
    nn.init.zeros_(block.pointwise.norm.weight)
    assert block(torch.randn(2, 16, 6, 6)).count_nonzero() == 0


def test_a_separable_block_activates_twice() -> None:
    block = Separable(
        MOBILENET_V1, Stage("separable", 1, 3, 2, 16, 1, 0.0), 8, stride=2, drop_path=0.0
    ).eval()
    x = 100 * torch.randn(2, 8, 6, 6)
    assert block.depthwise(x).max() == 6.0
    assert block(x).shape == (2, 16, 3, 3)
    assert block(x).min() >= 0.0


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_pool_takes_the_largest_of_nine(size: int) -> None:
    x = -torch.rand(1, 1, size, size) - 1  # what is added outside must not win
    expected = F.max_pool2d(x, 3, 2, 1)
    assert torch.equal(stem_pool(RESNET_50)(x), expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    # TensorFlow's "SAME": windows of an even size begin at the first pixel, of an odd one a pixel before
    [(4, [2, 3]), (5, [1, 3, 4]), (1, [0]), (2, [1])],
)
def test_the_pool_pads_as_tensorflow_does_where_the_spec_says_so(size: int, expected: list[int]) -> None:
    x = torch.arange(float(size)).expand(1, 1, size, size) - 100.0
    y = stem_pool(replace(RESNET_50, padding="same"))(x)
    assert (y[0, 0, 0] + 100.0).tolist() == expected


def test_a_network_without_a_pool_has_none() -> None:
    assert isinstance(create_model(RESNET_18_CIFAR, 10).pool, nn.Identity)


@pytest.mark.parametrize("spec", BASELINES, ids=lambda spec: str(spec.name))
def test_drop_path_is_off(spec: NetSpec) -> None:
    assert spec.drop_path == 0.0


@pytest.mark.parametrize("spec", [RESNET_18, RESNET_50], ids=lambda spec: str(spec.name))
def test_drop_path_rises_over_all_blocks_if_it_is_asked_for(spec: NetSpec) -> None:
    with torch.device("meta"):
        network = ConvNet(replace(spec, drop_path=0.2), 10)
    rates = [module.drop_path.rate for module in network.modules() if isinstance(module, ResNetBlock)]
    assert rates == pytest.approx([0.2 * index / spec.num_blocks for index in range(spec.num_blocks)])


@every_small
def test_logits_are_the_classifier_of_the_mean_feature(spec: NetSpec) -> None:
    model = create_model(spec, 7).eval()
    images = torch.randn(3, 3, 16, 16)
    features = model.features(images)
    assert features.shape == (3, spec.feature_channels, spec.feature_size, spec.feature_size)
    torch.testing.assert_close(model(images), model.classifier(features.mean((2, 3))))


def train_step(model: ConvNet) -> Tensor:
    """Take the loss of one batch backward, with dropout and drop-path on; return the logits."""
    torch.manual_seed(1)
    logits: Tensor = model.train()(torch.randn(4, 3, 16, 16))
    F.cross_entropy(logits, torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    return logits.detach()


@every_small
def test_checkpointed_stages_give_the_same_logits_gradients_and_statistics(spec: NetSpec) -> None:
    plain = create_model(spec, 10)
    checkpointed = create_model(spec, 10, checkpoint_stages=True)
    checkpointed.load_state_dict(plain.state_dict())
    assert torch.equal(train_step(checkpointed), train_step(plain))
    for mine, theirs in zip(checkpointed.parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert torch.equal(mine.grad, theirs.grad)
    for buffer, other in zip(checkpointed.buffers(), plain.buffers(), strict=True):
        assert torch.equal(buffer, other)


@pytest.mark.parametrize("spec", [SMALL[0], SMALL[2], SMALL[4]], ids=lambda spec: str(spec.name))
def test_a_small_one_learns_32_random_images_by_heart(spec: NetSpec) -> None:
    model = create_model(replace(spec, dropout=0.0, drop_path=0.0, bn_momentum=0.5), 10)
    images, labels = torch.randn(32, 3, 16, 16), torch.randint(10, (32,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model.train()(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.inference_mode():
        top1: Tensor = (model.eval()(images).argmax(1) == labels).float().mean()
    assert top1 == 1.0
