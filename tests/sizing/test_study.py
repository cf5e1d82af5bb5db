"""A whole study on digits: what it trains, finds, writes and keeps."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_study import SETTINGS, TINY_BASE, save_base

import effnet
from effnet.config import load_recipe
from effnet.data.datasets import open_digits
from effnet.errors import EffnetError, UsageError
from effnet.sizing.study.contrasts import contrasts
from effnet.sizing.study.design import build
from effnet.sizing.study.rows import Row
from effnet.sizing.study.run import InterruptedStudyError, StudyResult
from effnet.sizing.study.setup import Study, forecast, prepare, with_base
from effnet.spec.families import get_spec
from effnet.spec.scale import scale
from effnet.training.reporter import Silent

ARMS = ("width", "compound")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


def call(place: Path, **words: Any) -> StudyResult:
    settings = SETTINGS | {"base": save_base(place), "arms": ARMS, "phis": (0.0, 1.0), "seeds": 2}
    return effnet.study("digits", out=place / "out", **settings | words)


@pytest.fixture(scope="module")
def finished(place: Path) -> StudyResult:
    return call(place)


def trained(place: Path) -> dict[str, float]:
    """When each trial's folder was written last."""
    return {
        path.parent.name: path.stat().st_mtime for path in (place / "out" / "trials").glob("*/outcome.json")
    }


def test_every_network_is_trained_with_every_seed(finished: StudyResult) -> None:
    assert (finished.done, finished.total) == (6, 6)
    assert finished.is_complete
    for row in finished.findings.rows:
        assert [outcome.config.seed for outcome in row.outcomes] == [0, 1]
        assert all(outcome.spec == row.network.spec for outcome in row.outcomes)


def test_networks_differ_and_recipe_and_regularisation_do_not(finished: StudyResult) -> None:
    outcomes = [outcome for row in finished.findings.rows for outcome in row.outcomes]
    assert len({outcome.key for outcome in outcomes}) == 6
    assert len({(outcome.config.epochs, outcome.config.optim) for outcome in outcomes}) == 1


def test_the_folder_holds_page_pictures_results_and_networks(finished: StudyResult, place: Path) -> None:
    names = {path.name for path in (place / "out").iterdir()}
    assert names >= {"study.html", "study.json", "accuracy.png", "accuracy-narrow.png", "learning.png"}
    for network in finished.study.networks:
        assert get_spec(str(finished.study.file_of(network))) == network.spec
    with Image.open(place / "out" / "accuracy.png") as image:
        assert len(image.getcolors(1 << 20) or []) > 10


def test_the_results_are_json(finished: StudyResult, place: Path) -> None:
    values = json.loads((place / "out" / "study.json").read_text())
    assert values == json.loads(json.dumps(finished.to_dict()))
    assert (values["trials"], values["trials_done"], values["failures"]) == (6, 6, {})
    assert [network["arm"] for network in values["networks"]] == ["base", *ARMS]
    for network in values["networks"]:
        accuracies = [trial["val_top1"] for trial in network["trials"]]
        assert network["val_top1"] == pytest.approx(sum(accuracies) / 2)
        assert network["macs"] / network["target_macs"] - 1 == pytest.approx(network["deviation"])


def test_the_page_is_whole_and_asks_for_nothing(finished: StudyResult) -> None:
    page = finished.page.read_text(encoding="utf-8")
    assert "tiny scaled in 2 ways on digits" in page
    assert "Not finished" not in page
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") == 4
    for network in finished.study.networks:
        assert f"{network.cost.macs:,}" in page


def test_arms_are_compared_seed_by_seed(finished: StudyResult) -> None:
    (contrast,) = finished.findings.contrasts
    assert (contrast.first.arm, contrast.second.arm) == ("compound", "width")
    assert contrast.comparison is not None
    by_arm = {row.network.arm: row.mean for row in finished.findings.rows}
    assert contrast.comparison.difference == pytest.approx((by_arm["compound"] or 0) - (by_arm["width"] or 0))
    assert contrast.p_value == pytest.approx(contrast.comparison.claim_p_value)


def test_the_same_again_trains_nothing(finished: StudyResult, place: Path) -> None:
    before = trained(place)
    again = call(place)
    assert trained(place) == before
    assert again.findings.to_dict() == finished.findings.to_dict()


def test_a_study_begun_before_a_setting_existed_goes_on(finished: StudyResult, place: Path) -> None:
    before, path = trained(place), place / "out" / "study.json"
    values = json.loads(path.read_text())
    del values["identity"]["settings"]["progressive"], values["identity"]["settings"]["data"]["fold"]
    path.write_text(json.dumps(values))
    call(place)
    assert trained(place) == before


def test_another_seed_is_only_added(finished: StudyResult, place: Path) -> None:
    before = trained(place)
    call(place, seeds=3)
    assert len(trained(place)) == 9
    assert {key: trained(place)[key] for key in before} == before


def test_one_seed_allows_no_claim(finished: StudyResult, place: Path) -> None:
    found = call(place, seeds=1)
    assert [contrast.verdict for contrast in found.findings.contrasts] == ["no claim"]
    assert "no claim is made" in found.page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"epochs": 2}, "holds a study with epochs = 1 instead of 2; choose another --out"),
        ({"base": "quick-cifar"}, "base tiny instead of quick-cifar"),
        ({"coefficients": {"alpha": 1.3}}, r"coefficients.alpha = 1.2 instead of 1.3"),
    ],
)
def test_another_study_in_the_same_folder_is_refused(
    words: dict[str, Any], message: str, finished: StudyResult, place: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        call(place, **words)


def test_a_damaged_record_of_the_study_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text("[]")
    with pytest.raises(EffnetError, match=r"study.json: cannot be read"):
        call(tmp_path)


def test_a_forecast_is_made_of_small_networks_and_kept_beside_what_came(tmp_path: Path) -> None:
    found = call(tmp_path, phis=(-0.5, 0.0, 0.5, 1.5), seeds=1, forecast_from=0.5).findings
    assert found.law is not None
    assert set(found.law.slopes) == set(ARMS)
    assert [(case.network.arm, case.network.phi) for case in found.cases] == [(arm, 1.5) for arm in ARMS]
    for case in found.cases:
        row = next(row for row in found.rows if row.network == case.network)
        assert case.outcome == row.error
        assert case.is_inside is (case.prediction.low <= row.error <= case.prediction.high)
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert f"{found.num_inside} of 2 outcomes lie in their 95% interval" in page
    assert "So few cases" in page
    assert (tmp_path / "out" / "forecast.png").exists()


class Collector(Silent):
    """Keeps what is said; stops the study by a signal when so many trials are finished."""

    def __init__(self, stop_after: int = 1000, number: int = signal.SIGTERM) -> None:
        self.lines: list[str] = []
        self.stop_after = stop_after
        self.number = number

    def message(self, text: str) -> None:
        self.lines.append(text)
        if len(self.lines) == self.stop_after:
            signal.raise_signal(self.number)


def test_a_signal_ends_in_order_and_the_same_call_goes_on(tmp_path: Path) -> None:
    with pytest.raises(InterruptedStudyError, match="stopped by SIGTERM; 1 of 6 trials are done") as stop:
        call(tmp_path, reporter=Collector(stop_after=1))
    assert stop.value.exit_code == 143
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "1 of 6 trials done" in page
    listener = Collector()
    assert call(tmp_path, reporter=listener).is_complete
    assert [line.split()[0] for line in listener.lines] == [f"{number}/6" for number in range(2, 7)]


def test_when_the_time_is_up_the_rest_waits(tmp_path: Path) -> None:
    listener = Collector()
    found = call(tmp_path, stop_after=1e-9, reporter=listener)
    assert (found.done, found.is_complete) == (0, False)
    assert listener.lines[-1].startswith("the time is up: 0 of 6 trials are done; run again to go on")
    assert "No trial is done yet" in found.page.read_text(encoding="utf-8")


def test_failures_are_listed_and_end_nothing(tmp_path: Path) -> None:
    found = call(tmp_path, seeds=1, epochs=3, optim={"lr": 100.0, "weight_decay": 1000.0})
    assert found.done == 0
    assert set(found.failures) == {f"{n.label}, seed 0" for n in found.study.networks}
    assert "loss is" in found.page.read_text(encoding="utf-8")


def ready(place: Path, **words: Any) -> Study:
    question = build(**{"base": save_base(place), "arms": ARMS, "phis": (0.0, 1.0), "seeds": 2} | words)
    config = with_base(load_recipe("digits"), question.base, has_phi=False)
    return prepare(open_digits(), question, config, place / "out")


def test_work_goes_seed_by_seed_and_cheap_networks_first(tmp_path: Path) -> None:
    study = ready(tmp_path)
    assert [[each.seed for each in made] for made in study.rounds] == [[0, 0, 0], [1, 1, 1]]
    for made in study.rounds:
        costs = [each.network.cost.macs for each in made]
        assert costs == sorted(costs)


def test_what_is_foreseen_is_trained_last(tmp_path: Path) -> None:
    study = ready(tmp_path, phis=(0.0, 0.5, 1.0, 2.0), forecast_from=1.0)
    assert [(made[0].seed, max(each.network.phi for each in made)) for made in study.rounds] == [
        (0, 1.0), (1, 1.0), (0, 2.0), (1, 2.0),
    ]  # fmt: skip


def test_preparing_writes_nothing(tmp_path: Path) -> None:
    assert ready(tmp_path).pending()
    assert not (tmp_path / "out").exists()


def test_the_base_is_what_train_would_train(tmp_path: Path) -> None:
    recipe = load_recipe("digits")
    study = prepare(open_digits(), build(), recipe, tmp_path)
    expected = scale("b0-cifar", -8)
    assert study.base.stages == expected.stages
    assert (study.base.resolution, study.base.in_channels) == (16, 1)


def test_arms_that_rounding_made_one_share_their_trials(tmp_path: Path) -> None:
    study = prepare(open_digits(), build(), load_recipe("digits"), tmp_path)
    assert [(one.label, other.label) for one, other in study.twins()] == [("depth φ = 1", "compound φ = 1")]
    assert len(study.pending()) == len(study.keys) == 3 * (len(study.networks) - 1)
    found = contrasts([Row(network, ()) for network in study.networks], "compound")
    assert {c.second.label for c in found if c.verdict == "the same network"} == {"depth φ = 1"}


def test_a_base_by_name_comes_without_the_recipes_phi(tmp_path: Path) -> None:
    recipe = load_recipe("digits")
    assert recipe.phi == -8
    assert with_base(recipe, "quick-cifar", has_phi=False).phi == 0
    assert with_base(recipe, "quick-cifar", has_phi=True).phi == -8
    assert ready(tmp_path).base.stages == TINY_BASE.stages


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"base": "b99"}, "unknown network 'b99'"),
        ({"model": "b0"}, "give base, not model"),
        ({"epoch": 3}, "unknown key 'epoch'"),
        ({"phis": ()}, "phis = "),
    ],
)
def test_bad_words_are_refused(words: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        call(tmp_path, **words)


def test_time_is_foreseen_and_nothing_once_all_is_done(finished: StudyResult, tmp_path: Path) -> None:
    assert forecast(finished.study, Silent()) == 0
    assert forecast(ready(tmp_path), Silent()) > 0


def test_a_network_that_was_trained_once_takes_as_long_again(finished: StudyResult, place: Path) -> None:
    settings = finished.study
    more = prepare(
        settings.dataset, build(**vars(settings.question) | {"seeds": 9}), settings.config, place / "out"
    )
    seconds = sum(sum(o.seconds for o in row.outcomes) / len(row.outcomes) for row in finished.findings.rows)
    pending = len(more.pending()) / len(more.networks)
    assert forecast(more, Silent()) == pytest.approx(seconds * pending, rel=0.5)


def test_without_the_others_there_is_nothing_to_compare(finished: StudyResult) -> None:
    assert contrasts(finished.findings.rows[:1], "compound") == ()
