from dataclasses import astuple
from pathlib import Path

import pytest

from effnet.errors import UsageError
from effnet.spec import netspec
from effnet.spec.baselines import BASELINES
from effnet.spec.families import B0, B0_CIFAR, NETWORKS, OFFICIAL_TABLE, get_spec
from effnet.spec.netspec import NetSpec, Stage

OFFICIAL = {f"b{i}{suffix}" for i in range(8) for suffix in ("", "-cifar")}
DESCENDANTS = {*(f"lite{i}" for i in range(5)), "v2-s", "v2-m", "v2-l"}


def test_all_families_are_whole_and_the_quick_network_and_the_baselines_are_there() -> None:
    others = {"quick-cifar"} | {spec.name for spec in BASELINES}
    assert set(NETWORKS) == OFFICIAL | DESCENDANTS | others


def test_lite_has_no_gates_and_relu6() -> None:
    for i in range(5):
        spec = NETWORKS[f"lite{i}"]
        assert {stage.se_ratio for stage in spec.stages} == {0.0}
        assert spec.activation == "relu6"


def test_lite_scales_neither_stem_nor_head_nor_the_repeats_at_both_ends() -> None:
    lite4, b4 = NETWORKS["lite4"], NETWORKS["b4"]
    assert (lite4.stem.out_channels, lite4.feature_channels) == (32, 1280)
    assert [stage.repeats for stage in lite4.stages] == [1, *(s.repeats for s in b4.stages[1:-1]), 1]
    assert [stage.out_channels for stage in lite4.stages] == [stage.out_channels for stage in b4.stages]


def test_v2_is_fused_in_its_first_three_stages() -> None:
    for size in "sml":
        kinds = [stage.block for stage in NETWORKS[f"v2-{size}"].stages]
        assert kinds == ["fused-mbconv"] * 3 + ["mbconv"] * (len(kinds) - 3)


def test_a_network_knows_its_own_name() -> None:
    assert all(spec.name == name for name, spec in NETWORKS.items())


@pytest.mark.parametrize(
    ("name", "resolution", "dropout"),
    [
        ("b0", 224, 0.2),
        ("b1", 240, 0.2),
        ("b2", 260, 0.3),
        ("b3", 300, 0.3),
        ("b4", 380, 0.4),
        ("b5", 456, 0.4),
        ("b6", 528, 0.5),
        ("b7", 600, 0.5),
        ("b0-cifar", 32, 0.2),
        ("b1-cifar", 36, 0.2),  # 32 · 240/224 = 34.3
        ("b2-cifar", 36, 0.3),  # 37.1
        ("b3-cifar", 44, 0.3),  # 42.9
        ("b4-cifar", 56, 0.4),  # 54.3
        ("b5-cifar", 64, 0.4),  # 65.1
        ("b6-cifar", 76, 0.5),  # 75.4
        ("b7-cifar", 84, 0.5),  # 85.7
    ],
)
def test_resolution_and_dropout_are_those_of_the_official_table(
    name: str, resolution: int, dropout: float
) -> None:
    assert (NETWORKS[name].resolution, NETWORKS[name].dropout) == (resolution, dropout)


def test_every_official_network_trains_with_drop_path_one_fifth() -> None:
    assert {NETWORKS[name].drop_path for name in OFFICIAL} == {0.2}


def test_the_official_table_starts_from_an_unchanged_b0() -> None:
    assert NETWORKS["b0"] == B0
    assert NETWORKS["b0-cifar"] == B0_CIFAR


def test_the_official_table_rises_in_every_column() -> None:
    columns = list(zip(*(astuple(row)[1:] for row in OFFICIAL_TABLE), strict=True))
    assert all(list(column) == sorted(column) for column in columns)


def test_b7_has_the_published_stages() -> None:
    b7 = NETWORKS["b7"]
    assert b7.stem.out_channels == 64
    assert [(stage.out_channels, stage.repeats) for stage in b7.stages] == [
        (32, 4),
        (48, 7),
        (80, 7),
        (160, 10),
        (224, 10),
        (384, 13),
        (640, 4),
    ]
    assert b7.feature_channels == 2560


def test_small_image_networks_differ_from_the_official_ones_in_strides_and_resolution_only() -> None:
    def stages_without_strides(spec: NetSpec) -> list[Stage]:
        return [
            Stage(s.block, s.expand_ratio, s.kernel_size, 1, s.out_channels, s.repeats) for s in spec.stages
        ]

    for i in range(8):
        large, small = NETWORKS[f"b{i}"], NETWORKS[f"b{i}-cifar"]
        assert stages_without_strides(large) == stages_without_strides(small)
        assert (large.total_stride, small.total_stride) == (32, 4)


def test_a_name_gives_the_named_network() -> None:
    assert get_spec("b3") is NETWORKS["b3"]


def test_a_spec_gives_itself() -> None:
    assert get_spec(B0_CIFAR) is B0_CIFAR


def test_a_json_path_gives_the_network_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    netspec.save(B0_CIFAR, path)
    assert get_spec(str(path)) == B0_CIFAR


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("b9-cifar", "b0-cifar"), ("B7", "b7"), ("efficientnet-b4", "b4")]
)
def test_an_unknown_name_lists_every_network_the_nearest_first(wrong: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        get_spec(wrong)
    listed = str(caught.value).split("known: ")[1].split(";")[0].split(", ")
    assert repr(wrong) in str(caught.value)
    assert set(listed) == set(NETWORKS)
    assert listed[0] == nearest


def test_an_unknown_name_says_how_to_get_another_network() -> None:
    with pytest.raises(UsageError, match=r"effnet scale BASE --phi X --out FILE"):
        get_spec("b0.5")


def test_changes_replace_only_the_fields_they_name() -> None:
    changed = get_spec("b0", in_channels=1, dropout=0.0)
    assert netspec.to_dict(changed) == netspec.to_dict(B0) | {"in_channels": 1, "dropout": 0.0}


def test_changes_leave_the_named_network_as_it_was() -> None:
    before = netspec.to_dict(B0)
    get_spec("b0", resolution=64)
    assert netspec.to_dict(NETWORKS["b0"]) == before


def test_changes_can_be_nested_values() -> None:
    stages = (Stage("mbconv", 1, 3, 1, 16, 1),)
    assert get_spec("b0", stages=stages).stages == stages


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("in_channels", 0),
        ("resolution", -32),
        ("dropout", 1.0),
        ("drop_path", -0.1),
        ("bn_eps", 0.0),
        ("bn_eps", float("inf")),
        ("bn_momentum", float("nan")),
        ("activation", "swish"),
        ("padding", "valid"),
        ("stages", ()),
        ("name", ""),
    ],
)
def test_a_change_out_of_range_is_an_error_that_names_the_field(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"^network b0: {field} = "):
        get_spec("b0", **{field: value})


def test_an_unknown_field_is_an_error_that_names_it() -> None:
    with pytest.raises(UsageError, match=r"^network b0: unknown key 'width'$"):
        get_spec("b0", width=1.5)
