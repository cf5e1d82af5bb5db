"""A model file gives back what was saved, and refuses everything else by name, without executing it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from effnet import modelfile
from effnet.errors import EffnetError
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.spec.families import get_spec
from effnet.weightfile import Arrays
from full_disk import small_files_only

HEADER = ModelHeader(
    spec=get_spec("b0-cifar", in_channels=1, drop_path=0.1),
    preprocess=Preprocess(28, 0.875, "bilinear", (0.3,), (0.35,)),
    class_names=("Käse", "犬 1", "c"),
    training={"data": "digits", "config": {"epochs": 3, "optim": {"lr": 0.1}}},
    metrics={"val": {"top1": 0.5}},
    split={"test": ["Käse/a b.png"], "val": []},
    temperature=0.75,
    effnet_version="0.0.7",
)
ARRAYS: Arrays = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([0.5, 1.5], dtype=np.float16),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "every other": np.arange(8, dtype=np.int64)[::2],
    "empty": np.zeros((0, 3), dtype=np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Modell 1.safetensors"


@pytest.fixture
def saved(path: Path) -> Path:
    modelfile.save(path, HEADER, ARRAYS)
    return path


def test_the_header_comes_back_equal(saved: Path) -> None:
    assert modelfile.load(saved)[0] == HEADER


def test_the_header_comes_back_equal_without_the_weights(saved: Path) -> None:
    assert modelfile.load_header(saved) == HEADER


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal_with_their_type(saved: Path, name: str) -> None:
    array = modelfile.load_stored(saved)[1][name]
    assert array.dtype == ARRAYS[name].dtype
    assert np.array_equal(array, ARRAYS[name])


def test_float16_is_given_as_float32_of_the_same_values(saved: Path) -> None:
    array = modelfile.load(saved)[1]["half"]
    assert array.dtype == np.float32
    assert np.array_equal(array, ARRAYS["half"])


def test_a_count_of_no_dimensions_keeps_its_shape(path: Path) -> None:
    modelfile.save(path, HEADER, {"num_batches_tracked": np.array(5)})
    array = modelfile.load(path)[1]["num_batches_tracked"]
    assert (array.shape, array.item()) == ((), 5)


def test_the_number_of_classes_is_that_of_their_names() -> None:
    assert HEADER.num_classes == 3


def test_saving_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    modelfile.save(tmp_path / "runs" / "1" / "model.safetensors", HEADER, ARRAYS)
    assert [item.name for item in (tmp_path / "runs" / "1").iterdir()] == ["model.safetensors"]


def test_saving_again_replaces_the_file(saved: Path) -> None:
    modelfile.save(saved, replace(HEADER, class_names=("a", "b")), {"other": np.ones(1)})
    header, arrays = modelfile.load(saved)
    assert (header.class_names, list(arrays)) == (("a", "b"), ["other"])


def test_a_full_disk_leaves_the_old_file_and_no_other(saved: Path) -> None:
    before = saved.read_bytes()
    with small_files_only(), pytest.raises(EffnetError, match=r"cannot write .*Modell 1\..*too large"):
        modelfile.save(saved, HEADER, {"weight": np.ones(10_000)})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_an_array_that_cannot_be_stored_leaves_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(EffnetError, match=r"cannot write .*Modell 1\.safetensors"):
        modelfile.save(saved, HEADER, {"weight": np.array([object()])})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_path_below_a_file_cannot_be_written(saved: Path) -> None:
    with pytest.raises(EffnetError, match=r"cannot write .*model\.safetensors"):
        modelfile.save(saved / "model.safetensors", HEADER, ARRAYS)


def test_a_folder_is_not_replaced_by_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "model.safetensors"
    folder.mkdir()
    with pytest.raises(EffnetError, match=r"cannot write .*model\.safetensors"):
        modelfile.save(folder, HEADER, ARRAYS)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("name", "is_model"), [("m.safetensors", True), ("m.json", False), ("safetensors", False)]
)
def test_a_model_file_is_recognised_by_its_suffix(name: str, is_model: bool) -> None:
    assert modelfile.is_model_file(Path(name)) is is_model
