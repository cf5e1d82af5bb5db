"""Models side by side: on the same images, by the names of their classes, with the counts they deserve."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effnet.errors import DataError, UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.comparison.compare import compare
from effnet.evaluation.comparison.result import Comparison
from effnet.evaluation.comparison.words import pair_words, verdict
from effnet.evaluation.significance import holm, mcnemar
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.spec.cost import cost
from tiny_models import HEADER, SPEC, always, folder, trained_on, write

CLASSES = ("ant", "bee", "fly")


def model(tmp_path: Path, name: str, answer: str, *class_names: str) -> Classifier:
    """Write and load a model that always says the same."""
    header, changes = always(answer, *(class_names or CLASSES))
    return load(write(tmp_path / f"{name}.safetensors", header, changes), device="cpu")


def known(tmp_path: Path, name: str, header: ModelHeader) -> Classifier:
    return load(write(tmp_path / f"{name}.safetensors", header), device="cpu")


def pictures(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        folder(root, name, images=count)
    return root


@pytest.fixture
def two(tmp_path: Path) -> Comparison:
    """One model is right about seven ants, the other about two bees, and both are wrong about a fly."""
    data = pictures(tmp_path / "data", ant=7, bee=2, fly=1)
    models = [model(tmp_path, "ants", "ant"), model(tmp_path, "bees", "bee", "fly", "bee", "ant")]
    return compare(models, data)


def test_images_that_only_one_is_right_about_are_counted(two: Comparison) -> None:
    (pair,) = two.contrasts
    assert (pair.first, pair.second, pair.only_first, pair.only_second) == ("ants", "bees", 7, 2)
    assert two.num_images == 10
    assert pair.difference == pytest.approx(0.5)
    assert pair.p_value == mcnemar(7, 2)
    assert pair.better is None


def test_classes_are_told_by_their_names(two: Comparison) -> None:
    recalls = {each.name: each.recalls for each in two.classes}
    assert recalls == {"ant": (1.0, 0.0), "bee": (0.0, 1.0), "fly": (0.0, 0.0)}
    first, second = (each.evaluation for each in two.contenders)
    assert np.array_equal(first.answers.labels, second.answers.labels)
    assert np.array_equal(second.confusion[:, 1], [7, 2, 1])


def test_the_most_accurate_comes_first_and_costs_what_it_does(two: Comparison) -> None:
    assert [each.label for each in two.ranked] == ["ants", "bees"]
    assert two.contenders[0].cost == cost(SPEC, 3, 8)
    assert all(each.milliseconds > 0 for each in two.contenders)


def test_a_difference_that_is_more_than_luck_is_called_one(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", ant=30, bee=1)
    models = [model(tmp_path, "bees", "bee"), model(tmp_path, "ants", "ant")]
    found = compare(models, data)
    assert found.contrasts[0].better == "ants"
    assert verdict(found) == "ants (96.77% right) is better than bees (3.23%)."
    assert "−93.55 points" in pair_words(found.contrasts[0])
    assert "ants is better; only bees is right on 1 image, only ants on 30 images" in pair_words(
        found.contrasts[0]
    )


def test_p_values_of_three_models_are_corrected_together(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", ant=12, bee=3, fly=1)
    found = compare([model(tmp_path, name, name) for name in CLASSES], data)
    assert [(each.only_first, each.only_second) for each in found.contrasts] == [(12, 3), (12, 1), (3, 1)]
    expected = holm([mcnemar(12, 3), mcnemar(12, 1), mcnemar(3, 1)])
    assert [each.p_value for each in found.contrasts] == pytest.approx(expected)
    assert verdict(found) == (
        "ant (75.00% right) is better than fly (6.25%); from the others it is not told apart."
    )
    assert all(each.p_value is None for each in found.classes)


def test_the_class_at_which_they_differ_most_comes_first(tmp_path: Path) -> None:
    data = pictures(tmp_path / "data", ant=8, bee=9, fly=7)
    header, changes = always("bee", *CLASSES)
    other = replace(header, class_names=("fly", "bee", "ant"))
    models = [
        load(write(tmp_path / "a.safetensors", header, changes), device="cpu"),
        load(write(tmp_path / "b.safetensors", other, always("fly", *other.class_names)[1]), device="cpu"),
    ]
    found = compare(models, data).classes
    assert [each.name for each in found] == ["bee", "fly", "ant"]
    assert [each.is_significant for each in found] == [True, True, False]
    assert found[0].p_value == pytest.approx(3 * mcnemar(9, 0))


def test_models_of_one_split_are_compared_on_all_of_it(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=4)
    header = trained_on(data, test=1, val=2)
    found = compare([known(tmp_path, name, header) for name in "ab"], data)
    assert (found.part, found.num_images, found.notes) == ("test", 3, ())


def test_images_that_any_model_knows_are_left_out(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=4)
    first, second = trained_on(data, test=1, val=2), trained_on(data, test=3, val=1)
    second = replace(second, split={**second.split, "test": [*second.split["test"], "ant/1.png"]})
    found = compare([known(tmp_path, "a", first), known(tmp_path, "b", second)], data)
    assert [each.evaluation.answers.names for each in found.contenders] == [("ant/1.png",)] * 2
    assert found.notes == (
        "compared are only images that were held out from every model: 1 (3 from a, 4 from b)",
    )


def test_models_that_share_no_held_out_image_cannot_be_compared(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=4)
    headers = {"a": trained_on(data, test=1), "b": trained_on(data, test=2)}
    with pytest.raises(UsageError) as caught:
        compare([known(tmp_path, name, header) for name, header in headers.items()], data)
    assert str(caught.value).startswith("no image was held out from every model (3 from a, 3 from b)")
    assert "--seed" in str(caught.value)


def test_a_model_that_does_not_say_what_it_learned_from_is_noted(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=2)
    found = compare([known(tmp_path, "a", trained_on(data, test=1)), known(tmp_path, "b", HEADER)], data)
    assert found.part == "test, all"
    assert found.notes[1:] == ("b: may have learned from some of these images",)


def test_a_part_can_be_chosen(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=4)
    header = trained_on(data, test=1, val=2)
    found = compare([known(tmp_path, name, header) for name in "ab"], data, split="val")
    assert {name.partition("/")[2] for name in found.contenders[0].evaluation.answers.names} == {"2.png"}
    assert found.notes == ("a: these images also chose its epoch", "b: these images also chose its epoch")


def test_a_probe_has_no_epoch_that_images_could_choose(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=4)
    header = trained_on(data, test=1, val=2)
    probe = replace(header, training={**header.training, "probe": {"C": 1.0}})
    found = compare([known(tmp_path, "a", header), known(tmp_path, "b", probe)], data, split="val")
    assert found.notes == (
        "a: these images also chose its epoch",
        "b: these images also chose its regularisation",
    )


def test_models_of_other_sizes_see_the_images_in_their_own(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=2)
    header, changes = always("ant", *CLASSES)
    large = replace(header, preprocess=Preprocess(16), spec=replace(SPEC, resolution=16))
    models = [
        load(write(tmp_path / f"{name}.safetensors", each, changes), device="cpu")
        for name, each in (("small", header), ("large", large))
    ]
    found = compare(models, data)
    assert found.contrasts[0].only_first == found.contrasts[0].only_second == 0
    assert found.contenders[1].cost.macs > 3 * found.contenders[0].cost.macs


def test_each_model_keeps_its_temperature(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    header, changes = always("ant", *CLASSES)
    warm = replace(header, temperature=4.0)
    models = [
        load(write(tmp_path / f"{name}.safetensors", each, changes), device="cpu")
        for name, each in (("cold", header), ("warm", warm))
    ]
    cold, warmer = (each.evaluation for each in compare(models, data).contenders)
    assert cold.ece > warmer.ece
    assert warmer.uncalibrated is not None
    assert warmer.uncalibrated.ece == cold.ece


def test_one_image_is_enough_to_compare(tmp_path: Path) -> None:
    data = folder(tmp_path / "data" / "train", *CLASSES).parent
    folder(data / "test", "ant")
    found = compare([model(tmp_path, "ants", "ant"), model(tmp_path, "bees", "bee")], data)
    assert (found.num_images, found.contrasts[0].p_value) == (1, 1.0)
    assert [each.name for each in found.classes] == ["ant"]
    assert json.loads(json.dumps(found.to_dict()))["pairs"][0]["only_first"] == 1


def test_unreadable_images_are_left_out_for_all(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES, images=3)
    (data / "bee" / "2.png").write_bytes(b"")
    found = compare([model(tmp_path, "a", "ant"), model(tmp_path, "b", "bee")], data, max_broken=0.5)
    assert (found.num_images, len(found.to_dict()["skipped"])) == (8, 1)
    assert found.notes == (
        "a: may have learned from some of these images",
        "b: may have learned from some of these images",
    )


def test_a_single_model_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs two models or more, not 1"):
        compare([model(tmp_path, "a", "ant")], tmp_path)


def test_a_model_given_twice_is_named(tmp_path: Path) -> None:
    first = model(tmp_path, "a", "ant")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"a\.safetensors is given more than once"):
        compare([first, load(tmp_path / "link.safetensors")], tmp_path)


def test_models_of_other_classes_are_named(tmp_path: Path) -> None:
    models = [model(tmp_path, "a", "ant"), model(tmp_path, "b", "bee", "bee", "fly", "wasp")]
    with pytest.raises(UsageError, match="b has other classes than a: without ant, but with wasp; compare"):
        compare(models, tmp_path)


def test_classes_that_the_models_lack_are_named(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", "ant", "wasp")
    with pytest.raises(DataError, match="unknown to the model: wasp"):
        compare([model(tmp_path, "a", "ant"), model(tmp_path, "b", "bee")], data)


def test_models_are_called_by_the_folder_of_their_training(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    paths = [tmp_path / "runs" / name / "model.safetensors" for name in ("one", "two")]
    found = compare([load(write(path), device="cpu") for path in paths], data)
    assert [each.label for each in found.contenders] == ["one", "two"]


def test_equal_names_become_paths(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    paths = [tmp_path / name / "run" / "model.safetensors" for name in ("one", "two")]
    found = compare([load(write(path), device="cpu") for path in paths], data)
    assert [each.label for each in found.contenders] == list(map(str, paths))


def test_an_image_smaller_than_the_stride_is_enlarged(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", *CLASSES)
    Image.new("RGB", (1, 3)).save(data / "ant" / "1.png")
    found = compare([model(tmp_path, "a", "ant"), model(tmp_path, "b", "bee")], data)
    assert found.num_images == 3
