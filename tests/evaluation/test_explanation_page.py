"""The page of explanations: complete, safe, self-contained; and nothing of the user's is lost."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import effnet
from effnet.errors import EffnetError, UsageError
from effnet.evaluation.explanation import Explanation
from effnet.evaluation.panels import figure_names, labels, short_names
from effnet.spec.families import get_spec
from html_page import open_page
from random_models import NAMES, SMALL, classifier_of, noise

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{", "a & b", "猫" * 40)


def paths(folder: Path, *names: str) -> list[Path]:
    """Save noise under names; return the paths."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(folder / name)
    return [folder / name for name in names]


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> list[Explanation]:
    """Return two images with three maps each."""
    return classifier_of().explain(paths(tmp_path_factory.mktemp("images"), "one.png", "two.png"))


@pytest.fixture(scope="module")
def beside(explained: list[Explanation]) -> list[Explanation]:
    """Return the same images, explained by a model of other classes and resolution."""
    spec = get_spec(SMALL, resolution=24, name="other")
    model = classifier_of(spec, ("ant", "bee", "gnu"), side=24)
    return model.explain([each.image for each in explained], maps=1)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_page_record_and_a_figure_for_each_image_are_written(
    explained: list[Explanation], tmp_path: Path
) -> None:
    page = effnet.write_explanations(tmp_path / "maps", explained)
    assert page == tmp_path / "maps" / "explain.html"
    assert files(tmp_path / "maps") == {"explain.html", "explain.json", "one-maps.png", "two-maps.png"}
    with Image.open(tmp_path / "maps" / "one-maps.png") as figure:
        assert figure.width > 3 * figure.height  # the image and three maps beside it


def test_the_page_shows_each_image_and_map_with_class_and_probability(
    explained: list[Explanation], tmp_path: Path
) -> None:
    page = open_page(effnet.write_explanations(tmp_path, explained, command="effnet predict x"))
    assert len(page.of("img")) == 2 * (1 + 3)
    for each in explained:
        assert each.image in page.text
        for one in each.maps:
            assert f"{one.name} {one.probability:.1%}" in page.text
    assert "Where b0-cifar-phi-8 looks" in page.text
    assert "effnet predict x" in page.text
    assert "sees 16×16 pixels, maps of 4×4 cells" in page.text


def test_every_picture_has_its_alternative_text_and_its_size(
    explained: list[Explanation], tmp_path: Path
) -> None:
    images = open_page(effnet.write_explanations(tmp_path, explained)).of("img")
    assert len({image["alt"] for image in images}) == len(images)
    assert {(image["width"], image["height"]) for image in images} == {("224", "224")}


def test_the_page_needs_nothing_else(explained: list[Explanation], tmp_path: Path) -> None:
    path = effnet.write_explanations(tmp_path, explained)
    page = open_page(path)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form", "a"}
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.of("img"))
    assert not re.search(r"https?://|url\(|@import", path.read_text(encoding="utf-8"))


def test_hostile_names_are_text(tmp_path: Path) -> None:
    (image,) = paths(tmp_path, '<b onload="x">$\\frac{.png')
    page = open_page(
        effnet.write_explanations(tmp_path / "maps", classifier_of(names=HOSTILE).explain(image))
    )
    assert not page.of("script")
    assert not any("onerror" in attributes or "onload" in attributes for _, attributes in page.tags)
    assert '<b onload="x">$\\frac{.png' in page.text


def test_notes_stand_on_the_page(explained: list[Explanation], tmp_path: Path) -> None:
    page = open_page(effnet.write_explanations(tmp_path, explained, notes=["skipped <x.png>: empty file"]))
    assert "skipped <x.png>: empty file" in page.text


def test_models_stand_beside_each_other_in_one_figure(
    explained: list[Explanation], beside: list[Explanation], tmp_path: Path
) -> None:
    page = open_page(effnet.write_explanations(tmp_path, explained, beside))
    assert files(tmp_path) == {"explain.html", "explain.json", "models-01.png"}
    assert len(page.of("img")) == 2 * (1 + 3 + 1)
    assert "Where 2 networks look" in page.text


def test_what_makes_models_hard_to_compare_is_said(
    explained: list[Explanation], beside: list[Explanation], tmp_path: Path
) -> None:
    text = open_page(effnet.write_explanations(tmp_path, explained, beside)).text
    assert "only b0-cifar-phi-8: cat, dog, eel, fox; only other: gnu" in text
    assert "at different resolutions or crops" in text
    alone = open_page(effnet.write_explanations(tmp_path, explained)).text
    assert "different" not in alone


def test_the_record_has_all_numbers(
    explained: list[Explanation], beside: list[Explanation], tmp_path: Path
) -> None:
    effnet.write_explanations(tmp_path, explained, beside)
    images = json.loads((tmp_path / "explain.json").read_text())["images"]
    assert [image["models"] for image in images] == [
        [one.to_dict(), other.to_dict()] for one, other in zip(explained, beside, strict=True)
    ]


def test_figures_of_an_earlier_run_go_and_the_users_files_stay(
    explained: list[Explanation], tmp_path: Path
) -> None:
    effnet.write_explanations(tmp_path, explained)
    (tmp_path / "mine.png").write_bytes(b"mine")
    (tmp_path / "mine-maps.png").write_bytes(b"mine")
    effnet.write_explanations(tmp_path, explained[:1])
    assert files(tmp_path) == {"explain.html", "explain.json", "one-maps.png", "mine.png", "mine-maps.png"}


def test_a_file_of_the_user_is_not_replaced(explained: list[Explanation], tmp_path: Path) -> None:
    (tmp_path / "one-maps.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"^one-maps\.png in .*: would be overwritten, and no earlier run"):
        effnet.write_explanations(tmp_path, explained)
    assert files(tmp_path) == {"one-maps.png"}


def test_a_record_of_something_else_is_not_replaced(explained: list[Explanation], tmp_path: Path) -> None:
    (tmp_path / "explain.json").write_text('{"files": ["mine.png"]}')
    (tmp_path / "mine.png").touch()
    with pytest.raises(UsageError, match=r"explain\.json: not a record of maps; choose another folder"):
        effnet.write_explanations(tmp_path, explained)
    assert files(tmp_path) == {"explain.json", "mine.png"}


def test_a_record_removes_nothing_outside_its_folder(explained: list[Explanation], tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "mine.png").touch()
    record = {"effnet_explain": 1, "files": ["../mine.png", str(tmp_path / "mine.png"), "..", 7]}
    (tmp_path / "maps" / "explain.json").write_text(json.dumps(record))
    effnet.write_explanations(tmp_path / "maps", explained)
    assert (tmp_path / "mine.png").exists()


def test_a_run_that_was_cut_off_is_replaced(explained: list[Explanation], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        effnet.write_explanations(tmp_path, explained, on_drawn=stop)
    assert files(tmp_path) == {"explain.json", "one-maps.png"}
    effnet.write_explanations(tmp_path, explained[1:])
    assert files(tmp_path) == {"explain.html", "explain.json", "two-maps.png"}


def test_a_folder_that_cannot_be_made_is_named(explained: list[Explanation], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EffnetError, match=r"cannot write to .*file/maps: Not a directory"):
        effnet.write_explanations(tmp_path / "file" / "maps", explained)


def test_without_an_image_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no image to show"):
        effnet.write_explanations(tmp_path, [])


def test_models_must_explain_the_same_images(explained: list[Explanation], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the models explain different images"):
        effnet.write_explanations(tmp_path, explained, explained[:1])


def test_models_must_explain_by_the_same_method(explained: list[Explanation], tmp_path: Path) -> None:
    others = classifier_of().explain([each.image for each in explained], method="grad-cam")
    with pytest.raises(UsageError, match="by different methods"):
        effnet.write_explanations(tmp_path, explained, others)


def test_models_of_one_network_are_numbered() -> None:
    other = classifier_of(get_spec(SMALL, name="other"))
    first, second = classifier_of(), classifier_of()
    assert labels([first, other, second]) == [f"{SMALL.name} 1", "other", f"{SMALL.name} 3"]
    assert labels([first]) == [SMALL.name]


def test_images_of_one_name_have_their_folder() -> None:
    assert short_names(["x/ant/1.png", "x/bee/2.png"]) == ["1.png", "2.png"]
    assert short_names(["x/ant/1.png", "x/bee/1.png"]) == ["ant/1.png", "bee/1.png"]


def test_figures_have_names_of_their_own() -> None:
    names = ["ant/1.png", "ant/1.jpg", "Ant/1.png", "x" * 300 + ".png", "image 3"]
    figures = figure_names(names, compares=False)
    assert figures[:3] == ["ant-1-maps.png", "ant-1-maps-2.png", "Ant-1-maps-3.png"]
    assert len(figures[3]) < 110
    assert figures[4] == "image 3-maps.png"


def test_eight_images_share_a_figure_of_several_models() -> None:
    assert figure_names(list(map(str, range(9))), compares=True) == ["models-01.png"] * 8 + ["models-02.png"]


def test_grey_images_are_shown_too(tmp_path: Path) -> None:
    spec = get_spec(SMALL, in_channels=1)
    model = classifier_of(spec, NAMES, channels=1)
    page = open_page(effnet.write_explanations(tmp_path, model.explain(noise())))
    assert len(page.of("img")) == 4
