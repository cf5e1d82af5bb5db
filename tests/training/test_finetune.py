"""Beginning with the weights of another network: what is taken, what moves, what is written down."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import fit, tiny, trainer
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet import modelfile
from effnet.config import DataConfig, OptimConfig, TrainConfig, override
from effnet.data.datasets import open_digits
from effnet.data.splits import split
from effnet.errors import ModelFileError, UsageError
from effnet.network.model import create_model
from effnet.spec.families import get_spec
from effnet.training.course import Course, Phase
from effnet.training.kept import Weights, copy_weights
from effnet.training.layers import Layers, frozen_parts
from effnet.training.loop import Trainer
from effnet.training.optim import Horizon, build, lr_at
from effnet.training.order import defaults
from effnet.training.origins import Origins, adopt, build_on, leak, open_origin
from effnet.training.parts import Parts, build_trainer
from effnet.training.reporter import Silent
from effnet.training.results import TrainResult
from effnet.transfer.settings import FinetuneConfig
from peers import timm_net
from tiny_origins import DIGITS, FEW, SPEC, weights, write

BACKWARDS = DIGITS[::-1]
LETTERS = tuple("abcdefghij")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "source.safetensors")


def tune(source: Path, out: Path, **settings: Any) -> TrainResult:
    reporter = settings.pop("reporter", None)
    return effnet.train("digits", source=str(source), out=out, reporter=reporter, **FEW | settings)


def parts_from(source: Path, recipe: str | None = None, **settings: Any) -> Parts:
    """Put a training together, as far as its first step."""
    found, dataset = open_origin(str(source)), open_digits()
    config = override(defaults(dataset, recipe, found)[1], FEW | settings)
    return build_on(dataset, config, Origins(source=found))


def first_weights(parts: Parts) -> Weights:
    return copy_weights(build_trainer(parts, Silent()).network)


def test_the_same_classes_keep_the_classifier(source: Path) -> None:
    parts, given = parts_from(source), weights(source)
    assert all(np.array_equal(tensor.numpy(), given[name]) for name, tensor in first_weights(parts).items())
    assert parts.ancestry["from"]["head"] == "kept"


def test_the_same_classes_in_another_order_reorder_the_classifier(tmp_path: Path) -> None:
    source = write(tmp_path / "source.safetensors", BACKWARDS)
    parts, given = parts_from(source), weights(source)
    found = first_weights(parts)
    assert parts.ancestry["from"]["head"] == "reordered"
    for name in ("classifier.weight", "classifier.bias"):
        np.testing.assert_array_equal(found[name].numpy(), given[name][::-1])


def test_other_classes_get_a_new_classifier_drawn_by_the_seed(tmp_path: Path) -> None:
    source = write(tmp_path / "source.safetensors", LETTERS)
    parts, given = parts_from(source), weights(source)
    one, same, other = (first_weights(each) for each in (parts, parts, parts_from(source, seed=1)))
    changed = {name for name, tensor in one.items() if not np.array_equal(tensor.numpy(), given[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert torch.equal(one["classifier.weight"], same["classifier.weight"])
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
    assert parts.ancestry["from"]["head"] == "replaced"


def test_network_and_input_are_those_of_the_weights(source: Path) -> None:
    parts = parts_from(source)
    assert replace(parts.spec, bn_momentum=SPEC.bn_momentum) == SPEC
    assert parts.preprocess == modelfile.load_header(source).preprocess


def test_the_resolution_may_be_another(source: Path) -> None:
    parts = parts_from(source, resolution=12)
    assert (parts.spec.resolution, parts.preprocess.resolution) == (12, 12)
    assert parts.preprocess.interpolation == "bilinear"


def test_the_model_file_says_where_its_weights_come_from(source: Path, tmp_path: Path) -> None:
    header, arrays = modelfile.load(source)
    older = {"from": {"source": "elsewhere"}, "config": {"seed": 5}}
    path = tmp_path / "tuned-before.safetensors"
    modelfile.save(path, replace(header, training=older), arrays)
    record = tune(path, tmp_path / "run", epochs=1).classifier.header.training["from"]
    assert record == {
        "source": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "network": SPEC.name,
        "num_classes": 10,
        "effnet_version": header.effnet_version,
        "training": {"from": {"source": "elsewhere"}},
        "head": "kept",
    }


def moved_in(trained: Trainer) -> set[str]:
    """Train, and return the names of the weights and statistics that are other bits afterwards."""
    before = copy_weights(trained.network)
    best, _ = fit(trained)
    raw = copy_weights(trained.network)
    names = {name for name in before if not torch.equal(before[name], raw[name])}
    return names | {name for name in before if not torch.equal(before[name], best.weights[name])}


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_frozen_stages_are_the_same_bits_afterwards(name: str) -> None:
    """In the raw weights and in their average."""
    strong = {"name": name, "lr": 0.01, "weight_decay": 0.1, "ema_decay": 0.9, "clip_norm": 1.0}
    changed = moved_in(trainer(tiny(finetune={"freeze": 3, "head_epochs": 1}, optim=strong)))
    assert not any(name.startswith(("stem.", "stages.0.", "stages.1.", "stages.2.")) for name in changed)
    assert any(name.startswith("stages.3.") for name in changed)
    assert any(name.startswith("head.") for name in changed)


def test_frozen_normalisation_is_the_same_bits_afterwards() -> None:
    changed = moved_in(trainer(tiny(finetune={"freeze_bn": True}, optim={"lr": 1e-5})))
    assert not any(".norm." in name for name in changed)
    assert any(name.startswith("stem.conv") for name in changed)


def test_in_the_head_epochs_the_classifier_alone_moves() -> None:
    trained = trainer(tiny(epochs=4, finetune={"head_epochs": 2}))
    before = copy_weights(trained.network)
    trained.enter(trained.course.phase(1, trained.horizon))
    for batch in trained.train.epoch(0):
        trained.update(batch, 0.1)
    after = copy_weights(trained.network)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_after_the_head_epochs_all_layers_move() -> None:
    trained = trainer(tiny(epochs=2, finetune={"head_epochs": 1}))
    before = copy_weights(trained.network)
    fit(trained)
    after = copy_weights(trained.network)
    assert all(not torch.equal(before[name], after[name]) for name in before if name.endswith("running_mean"))


def test_head_epochs_are_at_most_half_of_all() -> None:
    trained = trainer(tiny(epochs=3, finetune={"head_epochs": 30}))
    heads = [trained.course.phase(epoch, trained.horizon).head_only for epoch in range(3)]
    assert heads == [True, False, False]


@given(st.integers(1, 9), st.integers(0, 4), st.integers(1, 60))
def test_every_phase_keeps_its_share_under_a_limit_of_time(steps: int, head: int, total: int) -> None:
    course = Course(epochs=10, head_epochs=head, stages=1)
    horizon = Horizon(steps, planned=10 * steps, total=min(total, 10 * steps))
    length = course.head_length(horizon)
    assert (length - 1) * 10 * steps < head * horizon.total <= length * 10 * steps
    assert course.phase(length, horizon) == Phase(head_only=False, stage=0)
    assert length == 0 or course.phase(length - 1, horizon).head_only


def test_the_schedule_begins_anew_when_all_layers_come_in() -> None:
    config, course = OptimConfig(lr=0.4, warmup_epochs=1.0), Course(epochs=6, head_epochs=2, stages=1)
    whole, rest = Horizon(5, 30, 30), Horizon(5, 20, 20)
    rates = [course.lr_at(step, whole, config) for step in range(30)]
    assert rates[:10] == [0.4] * 10
    assert rates[10:] == [lr_at(step, rest, config) for step in range(20)]


def test_without_head_epochs_the_schedule_is_the_plain_one() -> None:
    config, horizon = OptimConfig(), Horizon(5, 30, 30)
    course = Course(epochs=6, head_epochs=0, stages=1)
    assert [course.lr_at(s, horizon, config) for s in range(30)] == [
        lr_at(s, horizon, config) for s in range(30)
    ]


def test_rates_fall_block_by_block_from_the_classifier() -> None:
    network = create_model("b0", 5)
    layers = Layers(network, FinetuneConfig(layer_decay=0.5))
    names = [
        "classifier.weight",
        "head.conv.weight",
        "stages.6.0.project.conv.weight",
        "stages.1.1.se.reduce.bias",
    ]
    assert [layers.rate(name) for name in names] == [1.0, 1.0, 0.5, 0.5**14]
    assert layers.rate("stem.conv.weight") == 0.5**17


def test_the_rates_are_those_of_timm() -> None:
    peer = timm_net("b0")  # what lets timm be imported here
    from timm.optim._param_groups import param_groups_layer_decay

    theirs = param_groups_layer_decay(peer, layer_decay=0.8)
    layers = Layers(create_model("b0", 5), FinetuneConfig(layer_decay=0.8))
    ours = {layers.rate(name) for name, _ in layers.network.named_parameters()}
    np.testing.assert_allclose(sorted({group["lr_scale"] for group in theirs}), sorted(ours))


def test_the_optimizer_has_every_weight_once_and_no_frozen_one() -> None:
    network = create_model(SPEC, 10)
    layers = Layers(network, FinetuneConfig(layer_decay=0.7, freeze="stem,stage2"))
    layers.move(head_only=False)
    groups = build(network, OptimConfig(), layers.rate).param_groups
    held = [id(parameter) for group in groups for parameter in group["params"]]
    frozen = {id(p) for module in (network.stem, network.stages[1]) for p in module.parameters()}
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.parameters()} - frozen


def test_a_tuned_run_resumes_in_the_same_bits_without_its_source(tmp_path: Path) -> None:
    settings = {"epochs": 4, "finetune": {"head_epochs": 2, "layer_decay": 0.8, "freeze": 1}}
    source = write(tmp_path / "source.safetensors", LETTERS)
    tune(source, tmp_path / "whole", **settings)
    for name, epochs in (("in-the-head", 1), ("after", 3)):
        with pytest.raises(StopError):
            tune(source, tmp_path / name, reporter=Listener(epochs=epochs), **settings)
    source.unlink()
    for name in ("in-the-head", "after"):
        effnet.resume(tmp_path / name)
        assert_same_run(tmp_path / name, tmp_path / "whole")
        header = modelfile.load_header(tmp_path / name / "model.safetensors")
        assert header.training["from"]["source"] == str(source)


def test_rules_follow_from_the_number_of_images(source: Path) -> None:
    config = parts_from(source).config
    assert config.finetune.head_epochs == 2  # 1,295 images, before `max_train`
    assert config.augment.flip is False  # as the recipe of digits has it


def test_a_recipe_takes_the_place_of_the_rules(source: Path) -> None:
    config = parts_from(source, "small-images").config
    assert config.finetune.head_epochs == 0
    assert config.augment.policy == "rand"
    assert config.model == SPEC.name


def test_weights_that_saw_the_held_out_images_are_named(tmp_path: Path) -> None:
    dataset, path = open_digits(), write(tmp_path / "source.safetensors")
    header, arrays = modelfile.load(path)
    trained = {"fingerprint": dataset.fingerprint()}
    drawn = split(dataset, DataConfig(), 0).drawn
    modelfile.save(path, replace(header, training=trained, split=drawn), arrays)
    found = open_origin(str(path))
    origins = Origins(source=found)
    same, other = (build_on(dataset, adopt(TrainConfig(seed=seed), found), origins) for seed in (0, 1))
    assert leak(same, origins) is None
    assert "results will be too good" in str(leak(other, origins))


@pytest.mark.parametrize(
    ("freeze", "parts"),
    [
        (None, []),
        (0, ["stem"]),
        (2, ["stem", "stage1", "stage2"]),
        ("head, stem", ["stem", "head"]),
        ("all", ["stem", *(f"stage{number}" for number in range(1, 8)), "head"]),
    ],
)
def test_what_can_be_frozen(freeze: int | str | None, parts: list[str]) -> None:
    assert frozen_parts(FinetuneConfig(freeze=freeze), SPEC) == parts


@pytest.mark.parametrize(
    ("freeze", "message"),
    [("stage9", "unknown part of .* 'stage9'; known: .*stage7"), (8, "has 7 stages behind its stem")],
)
def test_what_is_not_there_cannot_be_frozen(
    freeze: int | str, message: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        tune(source, tmp_path / "run", finetune={"freeze": freeze})


def test_a_network_without_a_head_has_none_to_freeze() -> None:
    with pytest.raises(UsageError, match="unknown part of resnet-18"):
        frozen_parts(FinetuneConfig(freeze="head"), get_spec("resnet-18"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "b0"}, "--model and --from exclude each other"),
        ({"phi": 1.0}, "--phi and --from exclude each other"),
        ({"coefficients": {"alpha": 1.1}}, "--coefficients and --from exclude each other"),
        ({"max_params": "5M"}, "--max-params 5e.06 and --from exclude each other"),
        (
            {"input": {"channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}},
            "channels = 3, and the weights of .* take 1",
        ),
    ],
)
def test_what_the_weights_decide_cannot_be_asked_for(
    settings: dict[str, Any], message: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        tune(source, tmp_path / "run", **settings)


def test_shapes_that_do_not_fit_are_named(source: Path, tmp_path: Path) -> None:
    header, arrays = modelfile.load(source)
    damaged = {**arrays, "stem.conv.weight": arrays["stem.conv.weight"][:, :, :1]}
    modelfile.save(tmp_path / "damaged.safetensors", header, damaged)
    with pytest.raises(ModelFileError, match=r"stem\.conv\.weight is .* \(expected"):
        tune(tmp_path / "damaged.safetensors", tmp_path / "run")


def test_a_class_list_of_the_wrong_length_is_named(source: Path, tmp_path: Path) -> None:
    header, arrays = modelfile.load(source)
    modelfile.save(tmp_path / "wrong.safetensors", replace(header, class_names=DIGITS[:9]), arrays)
    with pytest.raises(ModelFileError, match=r"with 9 classes: classifier\.bias is 10 \(expected 9\)"):
        tune(tmp_path / "wrong.safetensors", tmp_path / "run")


def test_no_such_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"missing\.safetensors: no such file"):
        tune(tmp_path / "missing.safetensors", tmp_path / "run")


def test_patience_does_not_count_the_head_epochs() -> None:
    """With a learning rate of nothing no epoch is better; the training ends, but not in the head epochs."""
    still = {"lr": 1e-12, "ema_decay": 0.0}
    trained = trainer(tiny(epochs=20, patience=1, finetune={"head_epochs": 4}, optim=still), num_images=64)
    _, records = fit(trained)
    assert 5 < len(records) < 20
