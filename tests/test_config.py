"""Configuration is built once: defaults, a recipe over them, settings over that; errors name the key."""

from pathlib import Path
from typing import Any

import pytest

from effnet import config
from effnet.config import TrainConfig
from effnet.errors import UsageError
from effnet.recipe import recipe_names

FULL: dict[str, Any] = {
    "model": "b1-cifar",
    "phi": -1.5,
    "resolution": 20,
    "dropout": 0.1,
    "drop_path": 0.0,
    "epochs": 3,
    "seed": 2**63 - 1,
    "device": "cpu",
    "data": {"val_fraction": 0.25},
    "input": {"channels": 1, "mean": [0.3], "std": [0.35], "interpolation": "lanczos"},
    "augment": {"flip": False, "policy": "rand", "rand_ops": 3},
    "optim": {"name": "rmsprop", "lr": 1, "schedule": "exponential", "ema_decay": 0.0},
}


def write(folder: Path, text: str) -> str:
    path = folder / "my recipe.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_defaults_are_valid() -> None:
    assert config.from_dict({}, "defaults") == TrainConfig()
    assert config.from_dict(config.to_dict(TrainConfig()), "defaults") == TrainConfig()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_is_not_just_the_defaults(name: str) -> None:
    assert config.load_recipe(name) != TrainConfig()


def test_the_recipes_are_those_that_data_sets_choose() -> None:
    assert {"digits", "photos", "small-images"} <= set(recipe_names())


def test_values_come_back_from_their_json_form() -> None:
    built = config.from_dict(FULL, "test")
    assert config.from_dict(config.to_dict(built), "test") == built


def test_what_is_given_is_set_and_the_rest_keeps_its_default() -> None:
    built = config.from_dict(FULL, "test")
    assert (built.resolution, built.optim.lr, built.input.mean) == (20, 1.0, (0.3,))
    assert built.optim.momentum == TrainConfig().optim.momentum


def test_configurations_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TrainConfig().optim.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"epoch": 3}, r"unknown key 'epoch'; known: epochs, "),
        ({"optim": {"rl": 0.1}}, r"unknown key 'optim\.rl'; known: optim\.lr, "),
        ({"lr": 0.1}, r"unknown key 'lr'; known: .*optim\.lr"),
        ({"optmi": {"lr": 0.1}}, r"unknown key 'optmi'; known: .*optim\.lr"),
        ({"augment": {"flips": True}}, r"unknown key 'augment\.flips'; known: augment\.flip, "),
    ],
)
def test_unknown_keys_list_the_known_ones_nearest_first(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=rf"^my\.toml: {message}"):
        config.from_dict(data, "my.toml")


BAD_VALUES: tuple[tuple[str, Any], ...] = (
    ("epochs", "three"),
    ("epochs", 2.5),
    ("epochs", 0),
    ("epochs", True),
    ("epochs", None),
    ("batch_size", -1),
    ("seed", -1),
    ("seed", 2**63),
    ("phi", 13.0),
    ("phi", float("nan")),
    ("resolution", 0),
    ("resolution", "big"),
    ("dropout", 1.0),
    ("drop_path", -0.1),
    ("bn_momentum", 0.0),
    ("model", 0),
    ("device", "tpu"),
    ("optim", 3),
    ("optim", [1]),
    ("optim.lr", -0.1),
    ("optim.lr", 0.0),
    ("optim.lr", float("nan")),
    ("optim.lr", float("inf")),
    ("optim.lr", "0.1"),
    ("optim.name", "adam"),
    ("optim.schedule", "Cosine"),
    ("optim.weight_decay", -1e-9),
    ("optim.weight_decay", 1e300),
    ("optim.decay_epochs", 1e-300),
    ("optim.clip_norm", 1e300),
    ("optim.eps", 1e300),
    ("max_minutes", 1e300),
    ("optim.label_smoothing", 1.0),
    ("optim.ema_decay", 1.0),
    ("optim.decay_rate", 1.5),
    ("data.val_fraction", 0.0),
    ("data.test_fraction", 0.9),
    ("data.max_broken", 1.1),
    ("input.channels", 2),
    ("input.mean", []),
    ("input.mean", [0.1, 0.2, 0.3, 0.4]),
    ("input.interpolation", "cubic"),
    ("input.crop", 0.0),
    ("augment.flip", 1),
    ("augment.crop_padding", -1),
    ("augment.policy", "auto"),
    ("augment.policy", None),
    ("augment.rand_ops", 0),
    ("augment.rand_ops", 15),
    ("augment.rand_magnitude", 30.5),
    ("augment.resized_crop", 1.01),
    ("augment.erasing", -0.1),
    ("augment.mixup", -0.2),
    ("augment.cutmix", 101.0),
)


def nested(key: str, value: object) -> dict[str, Any]:
    group, _, name = key.partition(".")
    return {group: {name: value}} if name else {group: value}


@pytest.mark.parametrize(("key", "value"), BAD_VALUES)
def test_bad_values_are_errors_that_name_the_key_and_the_origin(key: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        config.from_dict(nested(key, value), "my.toml")
    assert str(caught.value).startswith(f"my.toml: {key} = ")
    assert "\n" not in str(caught.value)


def test_a_bad_list_item_names_its_place() -> None:
    with pytest.raises(UsageError, match=r"^my\.toml: input\.mean\.1 = 'x'"):
        config.from_dict({"input": {"mean": [0.1, "x", 0.2]}}, "my.toml")


def test_values_that_json_lacks_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not JSON serializable"):
        config.from_dict({"model": tmp_path}, "settings")


def test_settings_lie_over_the_values_beside_them() -> None:
    base = config.from_dict(FULL, "test")
    changed = config.override(base, {"epochs": 7, "optim": {"lr": 0.3}})
    assert (changed.epochs, changed.optim.lr) == (7, 0.3)
    assert (changed.optim.schedule, changed.resolution, changed.input) == ("exponential", 20, base.input)
    assert (base.epochs, base.optim.lr) == (3, 1.0)


def test_a_setting_can_give_a_value_back_to_the_network() -> None:
    base = config.from_dict(FULL, "test")
    assert config.override(base, {"resolution": None}).resolution is None


def test_no_settings_change_nothing() -> None:
    base = config.from_dict(FULL, "test")
    assert config.override(base, {}) == base


def test_bad_settings_name_the_key_and_their_origin() -> None:
    with pytest.raises(UsageError, match=r"^command line: optim\.lr = -1"):
        config.override(TrainConfig(), {"optim": {"lr": -1}}, origin="command line")


def test_a_recipe_file_is_read_by_its_path(tmp_path: Path) -> None:
    recipe = config.load_recipe(write(tmp_path, 'model = "b2"  # grün\n[optim]\nlr = 1\n'))
    assert (recipe.model, recipe.optim.lr, recipe.epochs) == ("b2", 1.0, TrainConfig().epochs)


def test_bad_toml_names_the_file_and_the_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my recipe\.toml is not valid TOML: .*line 2"):
        config.load_recipe(write(tmp_path, "epochs = 3\nmodel = b0\n"))


def test_a_bad_value_in_a_recipe_names_the_file_and_the_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my recipe\.toml: optim\.lr = 'fast'"):
        config.load_recipe(write(tmp_path, '[optim]\nlr = "fast"\n'))


def test_a_date_in_a_recipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my recipe\.toml"):
        config.load_recipe(write(tmp_path, "epochs = 2024-01-01\n"))


def test_a_missing_recipe_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read recipe .*other\.toml: .*No such file"):
        config.load_recipe(str(tmp_path / "other.toml"))


def test_a_recipe_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"cannot read recipe .*picture\.toml"):
        config.load_recipe(str(path))


def test_an_unknown_recipe_lists_the_known_ones_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"unknown recipe 'digit'; known: digits, .*photos.*\.toml file"):
        config.load_recipe("digit")


def test_paths_stand_for_their_text(tmp_path: Path) -> None:
    recipe = config.load_recipe(Path(write(tmp_path, "epochs = 3\n")))
    assert config.override(recipe, {"model": tmp_path / "net.json"}).model == str(tmp_path / "net.json")
