"""Explanations: which classes, whose probabilities, what is seen, and where."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effnet.errors import DataError, UsageError
from effnet.evaluation.cam import cam
from effnet.evaluation.explanation import ClassMap
from effnet.spec.families import B0
from effnet.spec.scale import scale
from random_models import NAMES, classifier_of, noise


def test_the_most_probable_classes_are_mapped_as_they_are_predicted() -> None:
    model = classifier_of()
    (prediction,), (explanation,) = model.predict(noise()), model.explain(noise())
    assert explanation.prediction == prediction
    assert tuple((one.name, one.probability) for one in explanation.maps) == prediction.classes[:3]


def test_named_classes_are_mapped_in_their_order_with_their_probabilities() -> None:
    model = classifier_of()
    probabilities = dict(model.predict(noise(), top=6)[0].classes)
    (explanation,) = model.explain(noise(), classes=["fox", "bee"])
    assert [(one.name, one.probability) for one in explanation.maps] == [
        ("fox", probabilities["fox"]),
        ("bee", probabilities["bee"]),
    ]


def test_probabilities_are_calibrated_as_those_of_predictions_are() -> None:
    model = classifier_of()
    model.header = replace(model.header, temperature=3.0)
    (prediction,), (explanation,) = model.predict(noise()), model.explain(noise())
    assert explanation.prediction == prediction
    assert prediction != classifier_of().predict(noise())[0]


def test_a_map_is_that_of_its_image_and_class() -> None:
    model = classifier_of()
    _, second = model.explain([noise(1), noise(2)], classes=["dog"])
    images = torch.from_numpy(model.header.preprocess(noise(2)))[None]
    expected = cam(model.network, images, torch.tensor([[NAMES.index("dog")]]))
    np.testing.assert_allclose(second.maps[0].values, expected[0, 0].numpy(), rtol=1e-4, atol=1e-5)


def test_grad_cam_is_what_is_above_0() -> None:
    model = classifier_of()
    (ours,), (theirs,) = model.explain(noise()), model.explain(noise(), method="grad-cam")
    for one, other in zip(ours.maps, theirs.maps, strict=True):
        np.testing.assert_allclose(
            other.values, one.values.clip(min=0) / one.values.size, rtol=1e-3, atol=1e-5
        )


def test_the_pixels_are_those_that_the_network_sees() -> None:
    model = classifier_of()
    (explanation,) = model.explain(noise())
    assert np.array_equal(explanation.pixels, model.header.preprocess.pixels(noise()))


def test_there_are_no_more_maps_than_classes() -> None:
    (explanation,) = classifier_of(names=("ant", "bee")).explain(noise(), maps=9)
    assert len(explanation.maps) == 2


def test_more_images_than_a_batch_keep_their_order() -> None:
    model, images = classifier_of(), [noise(seed) for seed in range(66)]
    explained, predicted = model.explain(images, maps=1), model.predict(images)
    assert [each.prediction for each in explained] == predicted


def test_an_unreadable_image_is_named_and_the_others_are_explained(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    noise().save(tmp_path / "b.png")
    broken: list[DataError] = []
    (explanation,) = classifier_of().explain(tmp_path, on_broken=broken.append)
    assert explanation.image == str(tmp_path / "b.png")
    assert [str(error) for error in broken] == [
        f"{tmp_path / 'a.png'}: not an image in a format that Pillow reads"
    ]
    with pytest.raises(DataError, match=r"a\.png: not an image"):
        classifier_of().explain(tmp_path)


def test_an_unknown_class_is_refused_with_the_nearest_first() -> None:
    with pytest.raises(UsageError, match=r"^unknown class 'beee'; known: bee, "):
        classifier_of().explain(noise(), classes=["ant", "beee"])


def test_of_a_thousand_classes_some_are_named() -> None:
    names = tuple(f"class {number:04d}" for number in range(1000))
    with pytest.raises(UsageError, match=r"known: class 0042, .* and 960 more$"):
        classifier_of(names=names).explain(noise(), classes=["class 42"])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown method 'gradcam'; known: cam, grad-cam"):
        classifier_of().explain(noise(), method="gradcam")  # type: ignore[arg-type]


def test_less_than_one_map_is_refused() -> None:
    with pytest.raises(UsageError, match="maps = 0: must be at least 1"):
        classifier_of().explain(noise(), maps=0)


@pytest.mark.parametrize("side", [31, 32])
def test_a_network_that_ends_in_a_single_cell_has_no_map(side: int) -> None:
    spec = replace(scale(B0, -8), resolution=side)
    with pytest.raises(UsageError) as caught:
        classifier_of(spec, side=side).explain(noise())
    assert str(caught.value) == (
        f"{spec.name} sees {side}×{side} pixels and ends in a single cell, for 32×32 pixels: a map of it has "
        f"one colour everywhere; train with a --resolution above 32"
    )


def test_one_pixel_more_than_the_stride_makes_four_cells() -> None:
    spec = replace(scale(B0, -8), resolution=33)
    (explanation,) = classifier_of(spec, side=33).explain(noise())
    assert explanation.maps[0].values.shape == (2, 2)


def test_json_has_the_place_of_the_highest_cell() -> None:
    (explanation,) = classifier_of().explain(noise(), maps=1)
    data = explanation.to_dict()
    y, x = divmod(int(explanation.maps[0].values.argmax()), 4)
    assert (data["side"], data["method"]) == (16, "cam")
    assert data["maps"][0]["peak"] == [4 * x + 2, 4 * y + 2]


@given(
    st.lists(st.floats(-100, 100, width=16), min_size=4, max_size=4, unique=True),
    st.integers(1, 20).map(lambda half: 2 * (2 * half + 1)),
)
def test_heat_goes_from_0_to_1_which_it_has_at_the_peak(values: list[float], side: int) -> None:
    one = ClassMap("ant", 0.5, np.array(values, dtype=np.float32).reshape(2, 2))
    heat = one.heat(side)
    x, y = one.peak(side)  # an odd number of pixels to a cell: there is one in its middle
    assert heat.shape == (side, side)
    assert heat.min() == pytest.approx(0)
    assert heat[y, x] == heat.max() == pytest.approx(1)


def test_heat_is_exact_in_the_middle_of_each_cell() -> None:
    values = np.array([[0, 1], [3, 4]], dtype=np.float32)
    heat = ClassMap("ant", 0.5, values).heat(6)  # cells of 3 pixels, whose middles are 1 and 4
    np.testing.assert_allclose(heat[np.ix_([1, 4], [1, 4])], values / 4)
    np.testing.assert_allclose(heat[1], [0, 0, 1 / 12, 2 / 12, 0.25, 0.25])


def test_a_map_without_differences_has_no_heat() -> None:
    assert not ClassMap("ant", 0.5, np.ones((2, 2), dtype=np.float32)).heat(8).any()
