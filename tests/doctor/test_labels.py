"""Wrong labels come first, and right ones are not accused."""

import numpy as np
import pytest
from PIL import Image
from planted import noise, planted, still, surveyed
from test_folds import features

from effnet.doctor.copies import find_copies
from effnet.doctor.features import patch_features
from effnet.doctor.folds import Dealt
from effnet.doctor.labels import Suspects, judge, label_findings, suspect
from effnet.doctor.noise import Noise
from effnet.doctor.survey import survey
from planted_faults import Planted


def judged(faults: Planted) -> tuple[Suspects, list[str]]:
    """Return the suspects among digits, and the names of the images in their order."""
    found = survey(faults.dataset, still)
    suspects = judge(patch_features(found), found.samples.labels, find_copies(found, still).alike, still)
    assert isinstance(suspects, Suspects)
    return suspects, [found.samples.names[row] for row in suspects.rows]


@pytest.mark.parametrize("seed", [0, 1])
def test_swapped_labels_come_first(seed: int) -> None:
    faults = planted(num_images=1000, num_swapped=20, seed=seed)
    suspects, names = judged(faults)
    assert len(faults.swapped.intersection(names[:40])) >= 18  # 20 and 20 here; 15 are asked for
    accused = set(names[: suspects.num_likely])
    assert len(accused & faults.swapped) >= 14
    assert len(accused - faults.swapped) <= 1
    assert suspects.noise.share == pytest.approx(0.02, abs=0.008)
    assert suspects.power > 0.95


def test_right_labels_are_not_accused() -> None:
    suspects, _ = judged(planted(num_images=600, num_swapped=0))
    assert suspects.num_likely == 0
    assert suspects.accuracy > 0.95


def test_a_finding_names_class_suggestion_and_probability() -> None:
    found = surveyed(
        {f"all/{name}": noise(number) for number, name in enumerate(("ant/0", "bee/1", "bee/2"))}
    )
    suspects = Suspects(
        rows=np.array([2, 0]),
        suggested=np.array([0, 1]),
        wrong=np.array([0.87654, 0.2]),
        noise=Noise(0.1, 0.05, 1.0),
        accuracy=0.9,
        power=0.8,
        num_judged=3,
        origin="numbers",
        is_by_network=False,
        has_seen=False,
    )
    first, second = label_findings(found, suspects)
    assert (first.kind, first.path, first.part, first.class_name) == ("label", "all/bee/2", "all", "bee")
    assert first.what == "called bee, looks like ant"
    assert first.suggestion == "Look at it; if it is ant, move it there."
    assert first.score == 0.8765
    assert (second.kind, second.path) == ("doubt", "all/ant/0")


def test_without_two_classes_of_enough_images_nothing_is_said() -> None:
    labels = np.array([0] * 20 + [1] * 4)
    reason = judge(features(np.zeros((24, 3))), labels, np.arange(24), still)
    assert reason == "fewer than two classes have at least 5 different images"


def test_more_than_memory_holds_is_refused_with_a_reason() -> None:
    labels = np.arange(60_000) % 6_000
    reason = judge(features(np.zeros((1, 3))), labels, np.arange(60_000), still)
    assert reason == "60,000 images of 6,000 classes are too many to judge at once; check a part of the data"


def test_pictures_of_one_colour_have_finite_features() -> None:
    pictures = {f"all/a/{colour}": Image.new("RGB", (9, 9), colour) for colour in ("black", "white")}
    found = patch_features(surveyed(pictures | {"all/b/2": noise(2)}))
    values = found.take(np.arange(3))
    assert values.shape == (3, found.num_features)
    assert np.isfinite(values).all()


def test_power_is_what_exchanged_labels_would_show() -> None:
    """A classifier that knows all would notice any; one that guesses, none."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 2000)
    dealt = Dealt(np.arange(2000), labels, labels, labels, np.arange(4))
    known = 0.97 * np.eye(4)[labels] + 0.03 * rng.dirichlet(np.ones(4), 2000)
    assert suspect(known, dealt, features(np.zeros((1, 1)))).power > 0.99
    guessed = rng.dirichlet(np.full(4, 50.0), 2000)
    assert suspect(guessed, dealt, features(np.zeros((1, 1)))).power < 0.1
