import json
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from effnet.errors import UsageError
from effnet.spec import netspec
from effnet.spec.families import B0, B0_CIFAR, NETWORKS
from effnet.spec.netspec import Head, NetSpec, Stem
from strategies import KERNELS, STRIDES, stages

CHANNELS = st.integers(1, 4096)
RATES = st.floats(0.0, 1.0, exclude_max=True)
SPECS = st.builds(
    NetSpec,
    name=st.text(min_size=1),
    stem=st.builds(Stem, KERNELS, STRIDES, CHANNELS, st.booleans()),
    stages=st.lists(stages(4096, 20), min_size=1, max_size=8).map(tuple),
    head=st.none() | st.builds(Head, CHANNELS),
    resolution=st.integers(1, 2048),
    dropout=RATES,
    drop_path=RATES,
    in_channels=st.integers(1, 16),
    activation=st.sampled_from(["silu", "relu", "relu6", "hardswish", "gelu"]),
    padding=st.sampled_from(["symmetric", "same"]),
    bn_eps=st.floats(1e-12, 1.0),
    bn_momentum=st.floats(1e-6, 1.0),
)


def test_equal_fields_make_equal_specs_with_equal_hashes() -> None:
    twin = netspec.from_dict(netspec.to_dict(B0))
    assert twin is not B0
    assert twin == B0
    assert hash(twin) == hash(B0)


def test_one_different_field_makes_a_different_spec() -> None:
    assert replace(B0, bn_eps=1e-5) != B0


def test_specs_work_as_keys() -> None:
    assert len({spec: name for name, spec in NETWORKS.items()}) == len(NETWORKS)


def test_specs_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(B0_CIFAR)) == B0_CIFAR


@pytest.mark.parametrize(
    ("value", "field"),
    [(B0, "resolution"), (B0.stem, "stride"), (B0.stages[0], "repeats"), (B0.head, "out_channels")],
)
def test_no_field_can_be_assigned(value: object, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block", "fused"),
        ("expand_ratio", 0),
        ("kernel_size", 4),
        ("stride", 5),
        ("out_channels", 0),
        ("repeats", 0),
        ("se_ratio", 1.5),
    ],
)
def test_a_stage_rejects_what_no_network_can_have(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        replace(B0.stages[0], **{field: value})


def test_the_defaults_are_those_of_the_original_network() -> None:
    assert (B0.dropout, B0.drop_path, B0.activation) == (0.2, 0.2, "silu")
    assert (B0.bn_eps, B0.padding, B0.in_channels) == (1e-3, "symmetric", 3)


def test_b0_has_sixteen_blocks() -> None:
    assert B0.num_blocks == 16


@pytest.mark.parametrize(
    ("spec", "total_stride", "feature_size"),
    [(B0, 32, 7), (B0_CIFAR, 4, 8), (NETWORKS["b2"], 32, 9), (NETWORKS["b4"], 32, 12)],
    ids=lambda value: value.name if isinstance(value, NetSpec) else str(value),
)
def test_feature_maps_shrink_by_the_total_stride_rounded_up(
    spec: NetSpec, total_stride: int, feature_size: int
) -> None:
    assert (spec.total_stride, spec.feature_size) == (total_stride, feature_size)


@given(SPECS)
def test_a_spec_survives_json(spec: NetSpec) -> None:
    assert netspec.from_dict(json.loads(json.dumps(netspec.to_dict(spec)))) == spec


@given(SPECS)
def test_a_saved_spec_loads_as_it_was(spec: NetSpec) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "spec.json"
        netspec.save(spec, path)
        assert netspec.load(path) == spec


def test_a_saved_spec_is_plain_json_for_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "b0.json"
    netspec.save(B0, path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["effnet_spec"] == 1
    assert saved["spec"]["stages"][1] == {
        "block": "mbconv",
        "expand_ratio": 6,
        "kernel_size": 3,
        "stride": 2,
        "out_channels": 24,
        "repeats": 2,
        "se_ratio": 0.25,
    }


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "absent.json"
    with pytest.raises(UsageError) as caught:
        netspec.load(path)
    assert str(caught.value) == f"{path}: no such file"


def test_a_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        netspec.load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: cannot read a network spec: ")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"effnet_spec": 1, "spec": {"name"', b"\xff\xfe\x00", b"[" * 100_000],
    ids=["empty", "cut off", "not text", "nested without end"],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        netspec.load(path)
    assert str(caught.value).startswith(f"{path}: cannot read a network spec: ")


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"effnet_spec": 2, "spec": {}}', '{"name": "b0"}'])
def test_json_of_something_else_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        netspec.load(path)
    assert str(caught.value).startswith(f"{path}: not a network spec; ")


def test_a_saved_spec_with_a_wrong_value_is_an_error_that_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "edited.json"
    data = netspec.to_dict(B0)
    data["stages"][2]["kernel_size"] = 4
    path.write_text(json.dumps({"effnet_spec": 1, "spec": data}), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        netspec.load(path)
    assert str(caught.value).startswith(f"{path}: stages.2.kernel_size = 4: ")


def test_a_missing_key_is_an_error_that_names_it() -> None:
    data = netspec.to_dict(B0)
    del data["resolution"]
    with pytest.raises(UsageError, match=r"^network spec: resolution is missing$"):
        netspec.from_dict(data)


def test_an_unknown_key_is_an_error_that_names_it() -> None:
    data = netspec.to_dict(B0)
    data["stem"]["width"] = 32
    with pytest.raises(UsageError, match=r"^network spec: unknown key 'stem\.width'$"):
        netspec.from_dict(data)


@pytest.mark.parametrize("data", [None, 3, "b0", []])
def test_a_value_that_is_no_mapping_is_an_error(data: object) -> None:
    with pytest.raises(UsageError, match=r"^network spec: "):
        netspec.from_dict(data)


def test_every_problem_is_told_in_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        netspec.from_dict({"name": "", "resolution": "large"})
    assert "\n" not in str(caught.value)
