"""What can be changed on the way: head, classes, channels, resolution; and what has to be asked for."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_weights import SPEC, pickled, state, written
from torch import Tensor

from effnet.errors import EffnetError, ModelFileError, UsageError
from effnet.evaluation.classifier import load
from effnet.importing.class_names import imagenet
from effnet.importing.conversion import UnknownVariantError
from effnet.importing.run import import_model
from effnet.importing.source import model_file
from effnet.modelfile import load_header
from effnet.spec import netspec


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("lite0"), "lite0.pth", pickled(state()))


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, str]:
    """Weights of a network of one's own, with three classes, and its spec file."""
    spec = tmp_path / "own.json"
    netspec.save(SPEC, spec)
    return written(tmp_path, "own.pth", pickled(state("timm", SPEC, 3))), str(spec)


def names(folder: Path, *lines: str) -> Path:
    return written(folder, "names.txt", "\n".join(lines).encode())


def test_a_thousand_outputs_are_imagenet_s(lite0: Path) -> None:
    class_names = import_model(lite0, variant="tf").header.class_names
    assert (class_names[0], class_names[281], class_names[999]) == ("tench", "tabby", "toilet tissue")


def test_synsets_are_the_names_of_imagenet_s_folders(lite0: Path) -> None:
    class_names = import_model(lite0, variant="tf", classes="imagenet-synsets").header.class_names
    assert class_names == tuple(sorted(synset for synset, _ in imagenet()))


def test_imagenet_s_names_are_a_thousand_different_ones() -> None:
    assert len({name for _, name in imagenet()}) == 1000


def test_other_numbers_of_outputs_want_names(own: tuple[Path, str]) -> None:
    with pytest.raises(UsageError, match="nothing says what its 3 classes are called; --classes FILE"):
        import_model(own[0], network=own[1])


def test_names_of_a_file_are_taken_in_order(own: tuple[Path, str], tmp_path: Path) -> None:
    header = import_model(own[0], network=own[1], classes=names(tmp_path, "ant", "", " bee ", "fly")).header
    assert header.class_names == ("ant", "bee", "fly")


def test_a_list_of_the_wrong_length_is_an_error(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"has 2 names, but the head has 1000 outputs; --num-classes 2 puts a new"
    ):
        import_model(lite0, variant="tf", classes=names(tmp_path, "ant", "bee"))


def test_names_and_number_of_a_new_head_must_agree(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--num-classes 3, but --classes has 2 names"):
        import_model(lite0, variant="tf", num_classes=3, classes=names(tmp_path, "ant", "bee"))


@pytest.mark.parametrize(
    ("lines", "problem"), [((), "no class names"), (("a", "b", "a"), "several classes: a")]
)
def test_a_list_without_or_with_double_names_is_an_error(
    lines: tuple[str, ...], problem: str, lite0: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=problem):
        import_model(lite0, variant="tf", classes=names(tmp_path, *lines))


def test_a_missing_list_says_what_is_taken(lite0: Path) -> None:
    with pytest.raises(UsageError, match=r"--classes none\.txt: No such file .* imagenet-synsets"):
        import_model(lite0, variant="tf", classes="none.txt")


def test_a_new_head_leaves_the_features(lite0: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    import_model(lite0, old, variant="tf")
    header = import_model(
        lite0, new, variant="tf", num_classes=2, classes=names(tmp_path, "ant", "bee")
    ).header
    images = torch.rand(1, 3, 32, 32)
    before, after = (load(path, device="cpu").network.eval() for path in (old, new))
    assert torch.equal(before.features(images), after.features(images))
    assert after(images).shape == (1, 2)
    assert header.class_names == ("ant", "bee")
    assert header.training["imported"]["changes"] == ["a new, untrained head with 2 outputs"]


def test_a_new_head_starts_as_in_training(lite0: Path) -> None:
    head = import_model(lite0, variant="tf", num_classes=5).draft.arrays
    bound = 1000**-0.5
    assert np.abs(head["classifier.weight"]).max() <= bound
    assert head["classifier.weight"].std() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not head["classifier.bias"].any()


def test_weights_without_a_classifier_want_a_head(tmp_path: Path) -> None:
    weights = {name: tensor for name, tensor in state().items() if not name.startswith("classifier")}
    source = written(tmp_path, "features.pth", pickled(weights))
    with pytest.raises(UsageError, match="has no classifier; --num-classes N"):
        import_model(source, variant="tf")
    assert import_model(source, variant="tf", num_classes=4).header.class_names == ("0", "1", "2", "3")


def stem_output(path: Path, images: Tensor) -> Tensor:
    convolution: Tensor = load(path, device="cpu").network.stem.conv(images)
    return convolution


@pytest.fixture
def stems(lite0: Path, tmp_path: Path) -> dict[int, Path]:
    found = {}
    for channels in (1, 3, 4, 12):
        found[channels] = tmp_path / f"{channels}.safetensors"
        import_model(lite0, found[channels], variant="tf", channels=channels)
    return found


def test_a_grey_image_gives_what_it_gave_in_three_channels(stems: dict[int, Path]) -> None:
    grey = torch.rand(2, 1, 16, 16)
    assert torch.allclose(
        stem_output(stems[1], grey), stem_output(stems[3], grey.expand(-1, 3, -1, -1)), atol=1e-5
    )


@pytest.mark.parametrize("channels", [4, 12])
def test_more_channels_give_activations_of_the_same_scale(channels: int, stems: dict[int, Path]) -> None:
    grey = torch.rand(2, 1, 16, 16)
    expected = stem_output(stems[3], grey.expand(-1, 3, -1, -1))
    found = stem_output(stems[channels], grey.expand(-1, channels, -1, -1))
    assert found.std().item() == pytest.approx(expected.std().item(), rel=0.1)


def test_twelve_channels_of_four_equal_images_give_what_one_gave(stems: dict[int, Path]) -> None:
    image = torch.rand(2, 3, 16, 16)
    assert torch.allclose(
        stem_output(stems[12], image.repeat(1, 4, 1, 1)), stem_output(stems[3], image), atol=1e-5
    )


@pytest.mark.parametrize("channels", [1, 4, 12])
def test_the_stem_is_adapted_as_timm_does(channels: int, stems: dict[int, Path], lite0: Path) -> None:
    from timm.models import adapt_input_conv

    import peers  # noqa: F401 - lets timm import

    ours = load(stems[channels], device="cpu").network.stem.conv.weight
    assert torch.allclose(ours, adapt_input_conv(channels, torch.load(lite0)["conv_stem.weight"]), atol=1e-7)


def test_means_follow_the_channels(stems: dict[int, Path]) -> None:
    assert [len(load_header(stems[n]).preprocess.mean) for n in (1, 4, 12)] == [1, 4, 12]


def test_a_network_of_twelve_channels_takes_arrays_and_no_files(
    stems: dict[int, Path], tmp_path: Path
) -> None:
    model = load(stems[12], device="cpu")
    pixels = np.zeros((1, 12, 224, 224), np.uint8)
    assert model.probs(pixels).shape == (1, 1000)
    with pytest.raises(UsageError, match="takes 12 channels: give arrays, not image files"):
        model.header.preprocess.mode  # noqa: B018


def test_folders_of_this_machine_are_not_told(lite0: Path) -> None:
    imported = import_model(lite0, variant="tf").header.training["imported"]
    assert (imported["source"], imported["revision"]) == ("lite0.pth", None)


def test_another_resolution_keeps_the_crop_and_the_weights(lite0: Path) -> None:
    header = import_model(lite0, variant="tf", resolution=128).header
    assert (header.spec.resolution, header.preprocess.resolution) == (128, 128)
    assert header.preprocess.crop == 0.875


def test_a_file_of_unknown_kind_lists_the_choices(lite0: Path) -> None:
    with pytest.raises(
        UnknownVariantError, match=r"choose with --variant: timm \(symm.*Inception mean, 224 of 256"
    ):
        import_model(lite0)


def test_an_unknown_kind_lists_the_choices(lite0: Path) -> None:
    with pytest.raises(UsageError, match=r"--variant v1: of lite0 there are: timm .*, tf"):
        import_model(lite0, variant="v1")


@pytest.mark.parametrize(
    ("name", "variant"), [("tf_efficientnet_lite0", "tf"), ("efficientnet_lite0_ra", "timm")]
)
def test_a_published_file_is_known_by_its_name_and_hash(
    name: str, variant: str, lite0: Path, tmp_path: Path
) -> None:
    content = lite0.read_bytes()
    source = written(tmp_path, f"{name}-{sha256(content).hexdigest()[:8]}.pth", content)
    assert import_model(source).header.training["imported"]["variant"] == variant


def test_a_name_with_the_hash_of_another_file_tells_nothing(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownVariantError):
        import_model(written(tmp_path, "tf_efficientnet_lite0-0aa007d2.pth", lite0.read_bytes()))


def test_a_network_of_one_s_own_keeps_its_padding_and_epsilon(own: tuple[Path, str], tmp_path: Path) -> None:
    spec = tmp_path / "same.json"
    netspec.save(replace(SPEC, padding="same", bn_eps=0.01), spec)
    header = import_model(own[0], network=str(spec), classes=names(tmp_path, "a", "b", "c")).header
    assert (header.spec.padding, header.spec.bn_eps, header.preprocess.resolution) == ("same", 0.01, 32)


def test_the_wrong_network_names_what_differs(lite0: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nearest is lite1 as timm has it, but .* differ"):
        import_model(lite0, network="lite1", variant="tf")


def test_a_model_file_can_be_changed_too(lite0: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    import_model(lite0, first, variant="tf")
    changed = import_model(first, num_classes=7, resolution=96).header
    assert (changed.num_classes, changed.spec.resolution, changed.spec.padding) == (7, 96, "same")
    with pytest.raises(UsageError, match="is a model file of effnet; --variant and --network are for others"):
        import_model(first, variant="tf")


def test_a_model_file_whose_classes_are_numbers_needs_no_names(lite0: Path, tmp_path: Path) -> None:
    first = tmp_path / "digits.safetensors"
    import_model(lite0, first, variant="tf", num_classes=10)
    assert import_model(first, channels=1).header.class_names == tuple("0123456789")


def test_the_model_file_of_a_source_is_made_once(
    lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path))
    content = lite0.read_bytes()
    source = written(tmp_path, f"tf_efficientnet_lite0-{sha256(content).hexdigest()[:8]}.pth", content)
    first = model_file(str(source))
    written_at = first.stat().st_mtime_ns
    assert model_file(str(source)) == first
    assert first.stat().st_mtime_ns == written_at
    assert model_file(str(first)) == first
    assert load_header(first).spec.padding == "same"


@pytest.mark.parametrize(
    ("out", "problem"),
    [("a.pth", "must end in"), ("none/a.safetensors", "no folder"), ("f.safetensors", "a folder")],
)
def test_a_file_that_cannot_be_written_is_told_first(out: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "f.safetensors").mkdir()
    with pytest.raises(UsageError, match=problem):
        import_model("missing.pth", tmp_path / out)


@pytest.mark.parametrize(
    "wish", [{"num_classes": 0}, {"channels": -1}, {"resolution": 0}, {"colour": 1}], ids=str
)
def test_a_wrong_wish_names_its_key(wish: dict[str, Any], lite0: Path) -> None:
    with pytest.raises(EffnetError, match=next(iter(wish))):
        import_model(lite0, **wish)
