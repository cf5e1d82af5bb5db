"""What is no model file is refused by name, and nothing in it is executed."""

import json
import os
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from effnet import modelfile
from effnet.errors import ModelFileError
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.spec.families import get_spec
from effnet.weightfile import Arrays

HEADER = ModelHeader(get_spec("b0-cifar"), Preprocess(32), ("cat", "dog"))
ARRAYS: Arrays = {"weight": np.ones((2, 3), dtype=np.float32)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Modell 1.safetensors"


def write_header(path: Path, header: object) -> Path:
    """Write a safetensors file with any JSON in the place of our header."""
    save_file({"weight": np.ones(2, dtype=np.float32)}, path, {"effnet": json.dumps(header)})
    return path


def header_json(path: Path) -> dict[str, Any]:
    """Return the JSON that `save` writes for our header."""
    modelfile.save(path, HEADER, ARRAYS)
    size = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    data: dict[str, Any] = json.loads(metadata["effnet"])
    return data


def test_an_array_of_a_type_that_numpy_lacks_is_refused(path: Path) -> None:
    header = {"effnet": json.dumps(header_json(path))}
    save_tensors({"weight": torch.ones(2, dtype=torch.bfloat16)}, path, header)
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors"):
        modelfile.load(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_finite_numbers_are_named(path: Path, value: float) -> None:
    modelfile.save(path, HEADER, {"good": np.ones(2), "bad": np.array([1.0, value]), "count": np.array(3)})
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: weights that are not finite .*: bad$"):
        modelfile.load(path)


def test_a_header_that_nests_without_end_is_refused(path: Path) -> None:
    save_file({"weight": np.ones(2, dtype=np.float32)}, path, {"effnet": "[" * 100_000})
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: the header is damaged"):
        modelfile.load(path)


@given(share=st.floats(0, 1, exclude_max=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path, share: float) -> None:
    whole, part = tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    modelfile.save(whole, HEADER, ARRAYS)
    data = whole.read_bytes()
    part.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFileError, match=r"part\.safetensors: not a model file, or damaged"):
        modelfile.load(part)


@pytest.mark.parametrize("load", [modelfile.load, modelfile.load_header])
@pytest.mark.parametrize("content", [b"", b"PK", b"epoch,loss\n1,2.3\n" * 20, bytes([128, 4]) + bytes(30)])
def test_other_files_are_refused_by_name(path: Path, load: Callable[[Path], Any], content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: not a model file, or damaged"):
        load(path)


@pytest.mark.parametrize("load", [modelfile.load, modelfile.load_header])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_called_a_pickle(path: Path, load: Callable[[Path], Any], protocol: int) -> None:
    path.write_bytes(pickle.dumps({"weight": [1.0]}, protocol))
    with pytest.raises(
        ModelFileError, match=r"Modell 1\.safetensors: not a model file but a pickle, as torch"
    ):
        load(path)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: no such file"):
        modelfile.load(path)


def test_a_folder_is_named_with_the_file_to_look_for(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"is a folder; .*/model\.safetensors"):
        modelfile.load(tmp_path)


def test_weights_without_our_header_are_refused(path: Path) -> None:
    save_file({"weight": np.ones(2, dtype=np.float32)}, path)
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: weights without an effnet header"):
        modelfile.load(path)


def test_a_newer_format_says_who_wrote_it(path: Path) -> None:
    newer = {"format_version": modelfile.FORMAT_VERSION + 1, "effnet_version": "9.8.7"}
    with pytest.raises(
        ModelFileError, match=r"Modell 1\.safetensors: format version 2 .*9\.8\.7.*; install the effnet"
    ):
        modelfile.load_header(write_header(path, newer))


def test_a_file_from_before_calibration_has_a_temperature_of_one(path: Path) -> None:
    header = header_json(path)
    del header["temperature"]
    assert modelfile.load_header(write_header(path, header)) == HEADER


@pytest.mark.parametrize("damage", [None, [1], "text", {}, {"format_version": 1}], ids=str)
def test_a_header_of_another_shape_is_refused(path: Path, damage: object) -> None:
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: the header is damaged"):
        modelfile.load(write_header(path, damage))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec", {}),
        ("preprocess", {"resolution": 0}),
        ("class_names", 3),
        ("class_names", []),
        ("class_names", ["ant", "ant"]),
        ("class_names", [1, "1"]),
        *[("temperature", value) for value in (0, -1.0, float("inf"), float("nan"), "1", True, None)],
    ],
)
def test_a_header_with_a_bad_value_is_refused(path: Path, key: str, value: object) -> None:
    header = header_json(path) | {key: value}
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: the header is damaged"):
        modelfile.load(write_header(path, header))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("training", {"config": None}, "training.config is no dict"),
        ("training", {"config": {"data": None}}, "training.config.data is no dict"),
        ("training", {"fingerprint": 7}, "training.fingerprint is no str"),
        ("training", {"num_images": {"train": "many"}}, "training.num_images.train is no int"),
        ("split", {"test": None}, "split.test is no list"),
        ("split", {"test": [1]}, "split.test holds what is no name of an image"),
    ],
)
def test_a_record_of_another_shape_is_named(path: Path, key: str, value: object, problem: str) -> None:
    header = header_json(path) | {key: value}
    with pytest.raises(ModelFileError) as caught:
        modelfile.load(write_header(path, header))
    assert str(caught.value) == f"{path}: the header is damaged: {problem}"


@pytest.mark.parametrize("missing", ["spec", "preprocess", "class_names", "training", "metrics", "split"])
def test_a_header_that_lacks_something_is_refused(path: Path, missing: str) -> None:
    header = header_json(path)
    del header[missing]
    with pytest.raises(ModelFileError, match=rf"Modell 1\.safetensors: the header is damaged: '{missing}'"):
        modelfile.load(write_header(path, header))


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.target,)


def test_a_hostile_pickle_is_refused_and_not_executed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "executed"
    torch.save({"weight": Hostile(target)}, path)
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: not a model file but a pickle"):
        modelfile.load(path)
    assert not target.exists()
    torch.load(BytesIO(path.read_bytes()), weights_only=False)
    assert target.exists()  # so the bait was good


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission_is_not_called_missing(path: Path) -> None:
    modelfile.save(path, HEADER, ARRAYS)
    path.chmod(0)
    with pytest.raises(ModelFileError, match=r"Modell 1\.safetensors: no permission to read it"):
        modelfile.load(path)


def test_a_file_below_a_file_is_missing(path: Path) -> None:
    path.touch()
    with pytest.raises(ModelFileError, match=r"below: no such file"):
        modelfile.load(path / "below")
