"""Data sets by Hugging Face's library: from folders, and a hub on this machine; never from the web."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from kinds_of_data import CLASSES, digit, digits_table, hub_metadata, label, labelled, write_parquet
from small_hub import COMMIT, hub

from effnet.data.datasets import needs_download, open_dataset
from effnet.data.hub_library import check_revision, parse_name
from effnet.errors import DataError, EffnetError, UsageError

datasets = pytest.importorskip("datasets")
NAMES = tuple(f"digit {name}" for name in CLASSES)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data set as the Hub has them: parquet files of a training and a test part."""
    for part, rows in (("train", range(40)), ("test", range(40, 60))):
        path = tmp_path / "digits" / "data" / f"{part}-00000-of-00001.parquet"
        write_parquet(path, digits_table(rows), hub_metadata(NAMES))
    return tmp_path / "digits"


def error_of(text: str) -> str:
    with pytest.raises(EffnetError) as caught:
        open_dataset(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_loaded_as_from_the_hub(folder: Path) -> None:
    dataset = open_dataset(f"hf:{folder}")
    assert (dataset.name, dataset.class_names, list(dataset.parts)) == ("digits", NAMES, ["train", "test"])
    assert labelled(dataset, "test") == {f"test/{i - 40:06d}": NAMES[label(i)] for i in range(40, 60)}
    assert open_dataset(dataset.source).fingerprint() == dataset.fingerprint()


def test_every_image_is_read_at_its_row_in_any_order(folder: Path) -> None:
    of = open_dataset(f"hf:{folder}").parts["train"]
    for row in np.random.default_rng(0).permutation(40):
        assert np.array_equal(np.asarray(of.read(of.names[row]).convert("L")), np.asarray(digit(row)))


def test_a_reader_can_be_sent_to_another_process(folder: Path) -> None:
    of = open_dataset(f"hf:{folder}").parts["train"]
    read = pickle.loads(pickle.dumps(of.read))
    assert np.array_equal(np.asarray(read(of.names[7])), np.asarray(of.read(of.names[7])))


def test_folders_of_images_are_known_to_the_library_too(tmp_path: Path) -> None:
    for index in range(20):
        path = tmp_path / "photos" / "train" / str(label(index) % 2) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digit(index).save(path)
    dataset = open_dataset(f"hf:{tmp_path / 'photos'}")
    assert dataset.class_names == ("0", "1")
    assert dataset.parts["all"].read(dataset.parts["all"].names[0]).size == (8, 8)


def test_splits_may_be_joined_and_left_out(folder: Path) -> None:
    assert len(open_dataset(f"hf:{folder},train=train+test").parts["all"]) == 60
    assert list(open_dataset(f"hf:{folder},test=none").parts) == ["all"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (",label=kind", "there is no column 'kind'; there are 'image' (images), 'label' (classes)"),
        (",train=trian", "unknown split of"),
        (",split=x", "a data set of the Hub has no option 'split'"),
        (":other", "other"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, options: str, said: str) -> None:
    assert said in error_of(f"hf:{folder}{options}")


def test_a_table_without_images_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "texts" / "train.parquet", {"text": ["a", "b"], "label": [0, 1]})
    assert "no column holds images; there are 'text' (text), 'label' (whole" in error_of(
        f"hf:{tmp_path / 'texts'}"
    )


def test_a_program_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    mark = tmp_path / "ran"
    (tmp_path / "evil" / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    message = error_of(f"hf:{tmp_path / 'evil'}")
    assert "evil" in message
    assert not mark.exists()


def test_names_are_taken_apart() -> None:
    assert parse_name("hf:ethz/food101").repo == "ethz/food101"
    assert (parse_name("hf:a/b:c").repo, parse_name("hf:a/b:c").config) == ("a/b", "c")
    with pytest.raises(UsageError, match="a name of the Hugging Face Hub is missing"):
        parse_name("hf:")
    with pytest.raises(UsageError, match="there is no folder"):
        parse_name("hf:./nowhere")


def test_flags_are_looked_at_before_a_download(folder: Path) -> None:
    assert needs_download("hf:ethz/food101,test=validation")
    assert needs_download("food101")
    assert not needs_download(f"hf:{folder}")


@pytest.mark.parametrize("path", ["/etc/passwd", "/dev/zero", "../secret.png", "no.png", "a\0b"])
def test_a_table_cannot_name_files_outside(tmp_path: Path, path: str) -> None:
    digit(0).save(tmp_path / "secret.png")
    columns = digits_table(range(20))
    rows = [{"bytes": content, "path": "x"} for content in columns["image"]]
    rows[3] = {"bytes": None, "path": path}
    write_parquet(tmp_path / "evil" / "train.parquet", {"image": rows, "label": columns["label"]})
    read = open_dataset(f"hf:{tmp_path / 'evil'}").parts["all"].read
    assert read("train/000002").size == (8, 8)
    with pytest.raises(DataError, match=r"^train/000003: the image is not in the table"):
        read("train/000003")


REMEDY = "hf download --repo-type dataset someone/something --local-dir FOLDER"


def test_where_the_web_is_forbidden_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = error_of("hf:someone/something")
    assert message.startswith(
        "cannot reach the Hugging Face Hub, and hf:someone/something is not in its cache"
    )
    assert REMEDY in message


def test_without_a_connection_it_says_what_to_do(tmp_path: Path) -> None:
    """Nothing listens at the port; another process, since the library reads the address at import."""
    code = "from effnet.data.datasets import open_dataset\nopen_dataset('hf:someone/something')"
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("effnet.errors.DataError: cannot reach the Hugging Face Hub"), done.stderr
    assert REMEDY in last


OPEN = """
import sys
from effnet.data.datasets import open_dataset
from effnet.errors import EffnetError
for text in sys.argv[1:]:
    try:
        data = open_dataset(text)
        image = data.parts["test"].read(data.parts["test"].names[0])
        print(data.name, data.source, *(len(part) for part in data.parts.values()), image.size)
    except EffnetError as error:
        print(type(error).__name__, error)
"""


def opened(url: str, home: Path, *texts: str, **more: str) -> list[str]:
    """Open data sets in another process; return a line for each."""
    env = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": url, **more}
    command = [sys.executable, "-c", OPEN, *texts]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_hub_is_asked_once_and_its_revision_kept(folder: Path, tmp_path: Path) -> None:
    """The data are downloaded at the commit that the branch is at, and found again without a connection."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}
    pinned = f"hf:someone/digits,revision={COMMIT}"
    whole = f"digits {pinned} 40 20 (8, 8)"
    texts = ["hf:someone/digits", "hf:someone/digits,revision=no", "hf:someone/no", "hf:someone/digits:no"]
    with hub("someone/digits", {"README.md": b"---\nlicense: mit\n---\n", **files}) as url:
        lines = opened(url, tmp_path / "home", *texts)
    assert lines[0] == whole
    assert lines[1].startswith("UsageError hf:someone/digits has no such revision; see https://hugg")
    assert lines[2].startswith("UsageError the Hub knows no data set 'someone/no', or it is private")
    assert lines[3].startswith(
        "UsageError hf:someone/digits:no: BuilderConfig 'no' not found. Available: ['def"
    )
    other = f"hf:someone/digits,revision={'f' * 40}"
    lines = opened(url, tmp_path / "home", "hf:someone/digits", pinned, other, HF_HUB_OFFLINE="1")
    assert lines[:2] == [whole, whole]
    assert lines[2].startswith("DataError cannot reach the Hugging Face Hub")


def test_another_revision_from_the_cache_is_refused(folder: Path) -> None:
    class Table:
        cache_files: ClassVar = [{"filename": f"/home/x/datasets/digits/0.0.0/{COMMIT}/digits-train.arrow"}]

    name = parse_name("hf:someone/digits")
    check_revision({"train": Table}, COMMIT, name)
    with pytest.raises(DataError, match=f"the cache has revision {COMMIT}, not {'f' * 40}"):
        check_revision({"train": Table}, "f" * 40, name)
