"""Weights from a hub, served on this machine: found, described, cached, refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import COMMIT, Hub, serve
from small_weights import card, pickled, safetensors, state

from effnet.errors import EffnetError, UsageError
from effnet.importing.hub import HubError, is_hub_name
from effnet.importing.run import import_model
from effnet.importing.source import model_file
from effnet.modelfile import load_header

NAME = "timm/tf_efficientnet_lite0.in1k"


class Told:
    """Remembers what an import told."""

    def __init__(self) -> None:
        self.bytes: list[tuple[int, int | None]] = []
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def downloading(self, done: int, total: int | None) -> None:
        self.bytes.append((done, total))


@pytest.fixture(scope="module")
def weights() -> bytes:
    return safetensors(state())


@pytest.fixture
def hub(weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub({NAME: {"model.safetensors": weights, "config.json": card()}})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "effnet"))
        yield served


def test_a_name_brings_weights_and_what_is_said_of_them(hub: Hub) -> None:
    header = import_model(NAME).header
    assert (header.spec.name, header.spec.padding, header.spec.bn_eps) == ("lite0", "same", 1e-3)
    assert header.preprocess.interpolation == "bilinear"
    assert header.preprocess.resized_short_side == 256
    assert header.preprocess.std == (0.25, 0.25, 0.25)
    assert header.class_names[:2] == ("tench", "goldfish")
    assert header.training["imported"]["license"] == "apache-2.0"
    assert header.training["imported"]["source"] == NAME
    assert header.training["imported"]["revision"] == COMMIT


def test_timm_s_mark_of_the_hub_is_understood(hub: Hub) -> None:
    assert import_model(f"hf-hub:{NAME}").header.spec.name == "lite0"


def test_the_architecture_tells_the_padding(hub: Hub) -> None:
    hub.repositories[NAME]["config.json"] = card("efficientnet_lite0")
    assert import_model(NAME).header.spec.padding == "symmetric"


def test_bytes_are_followed(hub: Hub, weights: bytes) -> None:
    told = Told()
    import_model(NAME, listener=told)
    assert (len(weights), len(weights)) in told.bytes
    assert told.lines == [f"asking {hub.url} for {NAME}"]


def test_weights_are_brought_once(hub: Hub) -> None:
    import_model(NAME)
    import_model(NAME)
    assert sum(line.startswith("GET") and "model" in line for line in hub.asked) == 1


def test_what_was_brought_is_there_without_a_connection(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = model_file(NAME)
    assert load_header(first).spec.name == "lite0"
    hub.repositories.clear()  # nothing more can be had
    assert load_header(model_file(str(first))).spec.name == "lite0"


def test_a_revision_is_asked_for(hub: Hub) -> None:
    import_model(NAME, revision=COMMIT)
    assert all(f"/resolve/{COMMIT}/" in line for line in hub.asked)


def test_an_unknown_revision_is_named(hub: Hub) -> None:
    with pytest.raises(HubError, match=f"{NAME} has no revision 'v9'; see {hub.url}"):
        import_model(NAME, revision="v9")


def test_an_unknown_name_is_told_from_an_unreachable_hub(hub: Hub) -> None:
    with pytest.raises(HubError, match=f"{hub.url} has no timm/nothing, or it is private.* HF_TOKEN"):
        import_model("timm/nothing")


def test_a_private_repository_opens_with_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.private[NAME] = "hf_secret"
    with pytest.raises(HubError, match="it is private"):
        import_model(NAME)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert import_model(NAME).header.spec.name == "lite0"


def test_terms_that_are_not_accepted_are_told(hub: Hub) -> None:
    hub.gated.add(NAME)
    with pytest.raises(HubError, match=f"wants terms to be accepted first, at {hub.url}/{NAME}"):
        import_model(NAME)


def test_a_repository_without_weights_names_what_is_missing(hub: Hub) -> None:
    del hub.repositories[NAME]["model.safetensors"]
    with pytest.raises(HubError, match=r"has no model\.safetensors and no pytorch_model\.bin"):
        import_model(NAME)


def test_older_repositories_have_a_pickle_of_weights(hub: Hub) -> None:
    hub.repositories[NAME] = {"pytorch_model.bin": pickled(state()), "config.json": card()}
    assert import_model(NAME).header.spec.name == "lite0"


@pytest.mark.slow  # huggingface_hub tries six times
def test_without_a_connection_the_error_names_the_files_to_bring(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=r"bring model\.safetensors and config\.json from http://127\.0\.0\.1:9/timm"
    ):
        import_model(NAME)


def test_the_files_brought_by_hand_do(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "by hand"
    folder.mkdir()
    for name, content in hub.repositories[NAME].items():
        (folder / name).write_bytes(content)
    assert import_model(folder).header.spec.padding == "same"
    assert hub.asked == []


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model\.safetensors and no pytorch_model\.bin in this folder"):
        import_model(tmp_path)


def test_a_revision_of_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.touch()
    with pytest.raises(UsageError, match="is a file; revisions are of names on the hub"):
        import_model(path, revision="main")


@pytest.mark.parametrize("facts", [{"crop_pct": 0}, {"mean": "dark"}, {"interpolation": "random"}], ids=str)
def test_a_description_that_makes_no_sense_is_an_error(hub: Hub, facts: dict[str, Any]) -> None:
    hub.repositories[NAME]["config.json"] = card(**facts)
    with pytest.raises(EffnetError, match=r"config\.json: pretrained_cfg: "):
        import_model(NAME)


@pytest.mark.parametrize("source", ["timm/efficientnet_b0.ra_in1k", "hf-hub:me/x", "A-b/c_1.2"])
def test_names_on_the_hub(source: str) -> None:
    assert is_hub_name(source)


@pytest.mark.parametrize("source", ["efficientnet_b0", "a/b.pth", "/a/b", "a/b/c", "../b", "a/", "a/.b"])
def test_what_is_no_name_on_the_hub(source: str) -> None:
    assert not is_hub_name(source)
    with pytest.raises(
        UsageError, match="no such file, and no name on the hub, which has the form OWNER/NAME"
    ):
        import_model(source)
