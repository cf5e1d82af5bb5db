"""Weights are recognised by names and shapes alone; what is not is told with the nearest network."""

import pytest

from effnet.errors import ModelFileError
from effnet.layouts.catalogue import LAYOUTS, OURS, Layout
from effnet.layouts.recognition import recognise
from effnet.spec.families import get_spec
from foreign import FAST, SLOW, Foreign, shapes_of, timm, torchvision

B0 = Foreign("timm", timm("efficientnet_b0"), "b0", "timm")


EVERY = [*FAST, *(pytest.param(foreign, marks=pytest.mark.slow) for foreign in SLOW)]


@pytest.mark.parametrize("foreign", EVERY, ids=str)
def test_layout_and_network_follow_from_names_and_shapes(foreign: Foreign) -> None:
    given = shapes_of(foreign)
    found = recognise(given)
    assert (found.layout.name, found.spec) == (foreign.layout, get_spec(foreign.network))
    assert found.layout.shapes(found.spec, 1000) == given


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_each_of_our_tensors_has_one_name_of_its_own(layout: Layout) -> None:
    for spec in layout.networks:
        names = layout.translation(spec)
        assert list(names) == list(OURS.shapes(spec, 1000))
        assert len(set(names.values())) == len(names)


def test_the_classes_are_those_of_the_classifier() -> None:
    assert recognise(shapes_of(B0, num_classes=7)).num_classes == 7


def test_weights_without_a_classifier_are_recognised_too() -> None:
    assert recognise(shapes_of(B0, num_classes=0)).num_classes is None


def test_channels_of_the_input_are_those_of_the_stem() -> None:
    assert recognise(shapes_of(B0, in_chans=5)).spec.in_channels == 5


def test_counters_of_batches_may_be_missing() -> None:
    shapes = {name: shape for name, shape in shapes_of(B0).items() if "num_batches" not in name}
    assert recognise(shapes).spec.name == "b0"


def test_a_network_of_one_s_own_is_recognised_when_it_is_given() -> None:
    spec = get_spec("b0-cifar")
    assert recognise(LAYOUTS["timm"].shapes(spec, 10), spec).spec == spec


def test_a_larger_network_names_the_nearest_and_what_differs() -> None:
    b8 = Foreign("timm", timm("efficientnet_b8"), "b8", "timm")
    with pytest.raises(
        ModelFileError, match=r"nearest is b7 as timm has it, .* conv_stem\.weight is 72×3×3×3"
    ):
        recognise(shapes_of(b8))


def test_one_wrong_shape_is_named() -> None:
    shapes = shapes_of(B0) | {"conv_head.weight": (1279, 320, 1, 1)}
    with pytest.raises(ModelFileError, match=r"b0 .* 1 tensors differ: conv_head\.weight is 1279×320×1×1"):
        recognise(shapes)


def test_a_missing_and_an_unknown_tensor_are_named() -> None:
    shapes = shapes_of(B0)
    shapes["more.weight"] = shapes.pop("blocks.1.0.conv_pw.weight")
    with pytest.raises(ModelFileError, match=r"conv_pw\.weight is missing, more\.weight is unknown"):
        recognise(shapes)


def test_names_of_another_family_list_the_known_layouts() -> None:
    vit = Foreign("timm", timm("vit_tiny_patch16_224"), "", "")
    with pytest.raises(ModelFileError, match=r"names: cls_token, .* known layouts: timm .*lukemelas"):
        recognise(shapes_of(vit))


def test_a_network_that_no_library_can_name_is_told() -> None:
    with pytest.raises(ModelFileError, match="no library calls the blocks of odd so"):
        recognise({"a": (1,)}, get_spec("resnet-50", name="odd", head={"out_channels": 8}))


def test_a_scalar_where_a_kernel_should_be_is_an_error() -> None:
    with pytest.raises(ModelFileError, match=r"conv_stem\.weight is a single number"):
        recognise(shapes_of(B0) | {"conv_stem.weight": ()})


def test_nothing_is_nothing() -> None:
    with pytest.raises(ModelFileError, match="no weights"):
        recognise({})


def test_torchvision_s_gated_and_plain_networks_have_layouts_of_their_own() -> None:
    mobilenet = Foreign("mobilenet", torchvision("mobilenet_v2"), "mobilenet-v2", "v1")
    assert not LAYOUTS["mobilenet"].can_name(get_spec("b0"))
    assert recognise(shapes_of(mobilenet)).layout.name == "mobilenet"
