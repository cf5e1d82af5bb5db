from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effnet.errors import UsageError
from effnet.network.blocks import MBConv
from effnet.network.model import ConvNet, create_model
from effnet.spec import netspec
from effnet.spec.families import B0, B0_CIFAR, NETWORKS
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import scale

SMALL = replace(scale(B0_CIFAR, -6), dropout=0.3, drop_path=0.5)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def build_without_weights(spec: NetSpec, num_classes: int = 10) -> ConvNet:
    with torch.device("meta"):
        return ConvNet(spec, num_classes)


def residual_blocks(model: nn.Module) -> list[tuple[int, MBConv]]:
    blocks = [module for module in model.modules() if isinstance(module, MBConv)]
    return [(index, block) for index, block in enumerate(blocks) if block.residual]


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
def test_features_have_the_channels_and_the_size_that_the_spec_says(spec: NetSpec) -> None:
    images = torch.empty(1, 3, spec.resolution, spec.resolution, device="meta")
    features = build_without_weights(spec).features(images)
    assert features.shape == (1, spec.feature_channels, spec.feature_size, spec.feature_size)


def test_features_of_an_image_that_is_not_square_keep_its_proportions() -> None:
    features = build_without_weights(B0).features(torch.empty(1, 3, 96, 160, device="meta"))
    assert features.shape == (1, 1280, 3, 5)


def test_logits_have_a_column_for_each_class() -> None:
    assert create_model(SMALL, 7)(torch.randn(3, 3, 16, 16)).shape == (3, 7)


def test_logits_are_the_classifier_of_the_mean_feature() -> None:
    model = create_model(SMALL, 7).eval()
    images = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(model(images), model.classifier(model.features(images).mean((2, 3))))


def test_a_network_for_one_channel_takes_grey_images() -> None:
    model = create_model("b0-cifar", 10, in_channels=1).eval()
    assert model(torch.randn(2, 1, 16, 16)).shape == (2, 10)


def test_in_evaluation_an_image_does_not_depend_on_its_batch() -> None:
    model = create_model(SMALL, 7).eval()
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-6)


def test_dropout_acts_in_training_and_not_in_evaluation() -> None:
    model = create_model(replace(SMALL, drop_path=0.0), 7)
    images = torch.randn(4, 3, 16, 16)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


def test_drop_path_acts_in_training_and_not_in_evaluation() -> None:
    model = create_model(replace(SMALL, dropout=0.0), 7)
    images = torch.randn(4, 3, 16, 16)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


@pytest.mark.parametrize("name", ["b0", "b1", "b4", "b0-cifar"])
def test_drop_path_rises_linearly_from_0_at_the_first_block(name: str) -> None:
    spec = NETWORKS[name]
    for index, block in residual_blocks(build_without_weights(spec)):
        assert block.drop_path.rate == pytest.approx(0.2 * index / spec.num_blocks)


def test_the_last_block_has_one_step_less_than_the_spec_s_rate() -> None:
    b1 = NETWORKS["b1"]
    index, last = residual_blocks(build_without_weights(b1))[-1]
    assert index == b1.num_blocks - 1
    assert last.drop_path.rate == pytest.approx(0.2 - 0.2 / b1.num_blocks)


def test_create_model_takes_a_name_a_spec_and_a_file(tmp_path: Path) -> None:
    netspec.save(SMALL, tmp_path / "small.json")
    assert create_model("b0-cifar", 10).spec == B0_CIFAR
    assert create_model(SMALL, 10).spec == SMALL
    assert create_model(str(tmp_path / "small.json"), 10).spec == SMALL


def test_create_model_changes_the_spec_before_it_builds() -> None:
    model = create_model(SMALL, 10, activation="relu", bn_eps=1e-5, dropout=0.125)
    assert model.spec == replace(SMALL, activation="relu", bn_eps=1e-5, dropout=0.125)
    assert model.dropout.p == 0.125
    assert {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    assert not any(isinstance(module, nn.SiLU) for module in model.modules())


@pytest.mark.parametrize(
    ("network", "changes"), [("b8", {}), ("b0", {"depth": 2}), ("b0", {"in_channels": 0})]
)
def test_create_model_rejects_unknown_names_fields_and_values(network: str, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        create_model(network, 10, **changes)


@pytest.fixture(scope="module")
def fresh_b0() -> ConvNet:
    torch.manual_seed(0)
    return create_model("b0", 2000)


def test_convolutions_start_normal_with_variance_2_over_fan_out(fresh_b0: ConvNet) -> None:
    convs = [module for module in fresh_b0.modules() if isinstance(module, nn.Conv2d) and module.groups == 1]
    for conv in convs:
        fan_out = conv.out_channels * conv.kernel_size[0] ** 2
        assert_normal(conv.weight, sqrt(2 / fan_out))


def test_a_depthwise_convolution_s_fan_out_is_its_kernel(fresh_b0: ConvNet) -> None:
    convs = [module for module in fresh_b0.modules() if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert len(convs) == B0.num_blocks
    for conv in convs:
        assert_normal(conv.weight, sqrt(2 / conv.kernel_size[0] ** 2))


def assert_normal(weight: Tensor, std: float) -> None:
    """Within five standard errors of mean 0 and the given deviation."""
    num = weight.numel()
    assert abs(weight.mean().item()) < 5 * std / sqrt(num)
    assert abs(weight.std().item() / std - 1) < 5 / sqrt(2 * num)


def test_all_biases_start_at_zero(fresh_b0: ConvNet) -> None:
    biases = [parameter for name, parameter in fresh_b0.named_parameters() if name.endswith("bias")]
    assert len(biases) == 49 + 32 + 1  # batch normalisations, squeezes, classifier
    assert all(bias.count_nonzero() == 0 for bias in biases)


@pytest.mark.parametrize("num_classes", [1000, 2000])
def test_the_classifier_starts_uniform_within_one_over_the_root_of_the_classes(num_classes: int) -> None:
    assert_uniform(create_model(SMALL, num_classes).classifier.weight, 1 / sqrt(num_classes))


@pytest.mark.parametrize("num_classes", [2, 10, 100])
def test_the_classifier_starts_no_wider_for_fewer_classes_than_for_1000(num_classes: int) -> None:
    assert_uniform(create_model(SMALL, num_classes).classifier.weight, 1 / sqrt(1000))


def assert_uniform(weight: Tensor, bound: float) -> None:
    """Within the bound, touching it nearly, and spread as a uniform distribution is."""
    assert 0.99 * bound < weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / sqrt(3), rel=0.05)


def test_one_seed_gives_one_network() -> None:
    first = create_model(SMALL, 10)
    torch.manual_seed(0)
    second = create_model(SMALL, 10)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def train_step(model: ConvNet) -> Tensor:
    """Take the loss of one batch backward, with dropout and drop-path on; return the logits."""
    torch.manual_seed(1)
    logits: Tensor = model.train()(torch.randn(4, 3, 16, 16))
    F.cross_entropy(logits, torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    return logits.detach()


def checkpointed_copy(model: ConvNet) -> ConvNet:
    copy = ConvNet(model.spec, model.num_classes, checkpoint_stages=True)
    copy.load_state_dict(model.state_dict())
    return copy


def test_checkpointed_stages_give_the_same_logits() -> None:
    plain = create_model(SMALL, 10)
    checkpointed = checkpointed_copy(plain)
    assert torch.equal(train_step(checkpointed), train_step(plain))


def test_checkpointed_stages_give_the_same_gradients() -> None:
    plain = create_model(SMALL, 10)
    checkpointed = checkpointed_copy(plain)
    train_step(plain)
    train_step(checkpointed)
    for mine, theirs in zip(checkpointed.parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert torch.equal(mine.grad, theirs.grad)


def test_checkpointed_stages_count_a_batch_once_in_the_running_statistics() -> None:
    plain = create_model(SMALL, 10)
    checkpointed = checkpointed_copy(plain)
    train_step(plain)
    train_step(checkpointed)
    for mine, theirs in zip(checkpointed.buffers(), plain.buffers(), strict=True):
        assert torch.equal(mine, theirs)


def kept_for_backward(model: ConvNet) -> int:
    """Count the elements that the forward pass keeps."""
    kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(torch.randn(4, 3, 16, 16))
    return kept


def test_checkpointed_stages_keep_less_than_half_for_the_backward_pass() -> None:
    plain = create_model(SMALL, 10)
    assert kept_for_backward(checkpointed_copy(plain)) < kept_for_backward(plain) / 2


def test_channels_last_gives_the_same_logits() -> None:
    model = create_model(SMALL, 10).eval()
    images = torch.randn(2, 3, 17, 17)
    expected = model(images)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    actual = model(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected)


def test_bfloat16_autocast_is_close_to_float32() -> None:
    model = create_model(SMALL, 10).eval()
    images = torch.randn(2, 3, 16, 16)
    expected = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        actual = model(images).float()
    assert (actual - expected).abs().max() < 0.05 * expected.abs().max()
