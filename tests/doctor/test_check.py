"""A whole check: what it finds, what it writes, and that it changes nothing."""

import csv
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from planted import in_memory, noise, on_disk, planted, surveyed

import effnet
from effnet.doctor.findings import KINDS, Finding, sort
from effnet.doctor.page import MAX_SHOWN, WITHOUT_PICTURE, write_check_page
from effnet.doctor.result import CheckResult, as_table
from effnet.doctor.run import check
from effnet.doctor.traits import count_classes, shapes_of
from effnet.errors import DataError, EffnetError, ModelFileError, UsageError

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b", "{{ 7 * 7 }}", "猫" * 40)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def faulty(folder: Path) -> Path:
    """Write a small data set with a fault of many kinds."""
    pictures = {f"train/ant/{number}.png": noise(number) for number in range(12)}
    pictures |= {f"train/bee/{number}.png": noise(50 + number) for number in range(12)}
    pictures |= {f"val/ant/{number}.png": noise(100 + number) for number in range(3)}
    pictures["val/bee/leak.png"] = noise(50)
    pictures["train/bee/conflict.png"] = noise(3)
    pictures["train/bee/black.png"] = Image.new("RGB", (40, 30))
    on_disk(folder, pictures)
    (folder / "train" / "ant" / "broken.jpg").write_bytes(b"no image")
    return folder


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "findings.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_faults_of_many_kinds_are_found_and_nothing_is_changed(tmp_path: Path) -> None:
    data = faulty(tmp_path / "data")
    before = fingerprint(data)
    result = effnet.check(data, tmp_path / "out")
    assert fingerprint(data) == before
    assert result.counts == {
        "unreadable": 1, "conflict": 1, "leak": 1, "blank": 1, **{"doubt": result.counts["doubt"]}
    }  # fmt: skip
    assert result.num_images == 31
    found = {finding.kind: finding for finding in result.findings}
    assert found["unreadable"].path == "train/ant/broken.jpg"
    assert found["leak"].path == "train/bee/0.png"
    assert {found["conflict"].path, found["conflict"].other} == {"train/ant/3.png", "train/bee/conflict.png"}


def test_planted_faults_are_found(tmp_path: Path) -> None:
    faults = planted(num_images=1000, num_swapped=20, num_copies=10)
    result = check(faults.dataset, tmp_path)
    ranked = [finding.path for finding in result.findings if finding.kind in ("label", "doubt")]
    assert len(faults.swapped.intersection(ranked[:40])) >= 18
    pairs = {frozenset({f.path, f.other}) for f in result.findings if f.kind in ("near", "copy", "conflict")}
    assert faults.copies <= pairs
    assert len(pairs - faults.copies) <= 1


def test_the_lists_have_every_finding_with_what_to_do(tmp_path: Path) -> None:
    result = check(faulty(tmp_path / "data"), tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert [row["path"] for row in rows] == [finding.path for finding in result.findings]
    assert all(row["what"] and row["why"] and row["suggestion"] for row in rows)
    assert json.loads((tmp_path / "out" / "check.json").read_text()) == result.to_dict()


def test_labels_need_not_be_judged(tmp_path: Path) -> None:
    result = check(faulty(tmp_path / "data"), tmp_path / "out", labels=False)
    assert result.labels == "--no-labels was given"
    assert "doubt" not in result.counts
    assert "--no-labels" in Page(result.page).text


def test_a_network_can_judge(tmp_path: Path) -> None:
    run = effnet.train("digits", out=tmp_path / "run", phi=-8.0, resolution=8, epochs=1, device="cpu")
    result = check(planted(num_images=200, num_swapped=0).dataset, tmp_path / "out", model=run.model_path)
    assert not isinstance(result.labels, str)
    assert result.labels.is_by_network
    assert result.labels.accuracy > 0.5
    assert str(run.model_path) in Page(result.page).text
    assert "learned from these very labels" not in Page(result.page).text


def test_that_a_network_has_learned_from_these_labels_is_said(tmp_path: Path) -> None:
    pictures = {
        f"{name}/{number}.png": noise(100 * ord(name) + number) for name in "ab" for number in range(8)
    }
    data = on_disk(tmp_path / "data", pictures)
    run = effnet.train(data, out=tmp_path / "run", phi=-8.0, resolution=8, epochs=1, device="cpu")
    result = check(data, tmp_path / "out", model=run.model_path)
    assert "The network has learned from these very labels" in Page(result.page).text


def test_a_file_that_is_no_model_is_refused_before_work_begins(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelFileError):
        check(faulty(tmp_path / "data"), tmp_path / "out", model=tmp_path / "model.safetensors")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inside", ["train/ant/out", "val"])
def test_results_do_not_go_into_the_data(tmp_path: Path, inside: str) -> None:
    data = faulty(tmp_path)
    with pytest.raises(UsageError, match="lies inside the data"):
        check(data, data / inside)


def test_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="single class, 'ant'"):
        check(on_disk(tmp_path / "data", {"ant/0.png": noise(0)}), tmp_path / "out")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="has no folders in it"):
        check(tmp_path / "data", tmp_path / "out")


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    on_disk(tmp_path / "data", {"ant/0.png": noise(0)})
    (tmp_path / "data" / "bee").mkdir()
    with pytest.raises(DataError, match="bee holds no images"):
        check(tmp_path / "data", tmp_path / "out")


def test_broken_images_only_are_refused(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 2 images can be read; ant/0\.png: empty file"):
        check(tmp_path / "data", tmp_path / "out")


def test_classes_of_fewer_images_than_folds_are_not_judged(tmp_path: Path) -> None:
    pictures = {f"{name}/{number}.png": noise(ord(name) + number) for name in "ax" for number in range(4)}
    result = check(on_disk(tmp_path / "data", pictures), tmp_path / "out")
    assert result.labels == "fewer than two classes have at least 5 different images"
    assert result.counts == {"few": 2}
    assert "Labels were not judged: fewer than two classes" in Page(result.page).text


def test_a_rare_class_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    pictures = {
        f"{name}/{number}.png": noise(100 * ord(name) + number) for name in "ab" for number in range(9)
    }
    pictures |= {"rare/0.png": noise(1), "rare/1.png": noise(2)}
    result = check(on_disk(tmp_path / "data", pictures), tmp_path / "out")
    assert not isinstance(result.labels, str)
    assert result.labels.num_judged == 18
    assert (
        "2 images were left out: their classes have fewer than 5 different images." in Page(result.page).text
    )


def test_a_file_in_the_place_of_the_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(EffnetError, match="cannot write to"):
        check(faulty(tmp_path / "data"), tmp_path / "out")


def test_without_findings_the_page_says_so(tmp_path: Path) -> None:
    pictures = {
        f"{name}/{number}.png": noise(100 * ord(name) + number) for name in "ab" for number in range(10)
    }
    result = check(on_disk(tmp_path / "data", pictures), tmp_path / "out", labels=False)
    assert result.findings == ()
    assert "Nothing: all images can be read, none is there twice" in Page(result.page).text


def test_names_that_are_code_are_shown_as_text(tmp_path: Path) -> None:
    pictures = {f"all/{name.replace('/', '|')}/{n}": noise(n) for name in HOSTILE for n in range(6)}
    page = Page(check(in_memory(pictures), tmp_path).page)
    assert not page.of("script")
    assert all((image["src"] or "").startswith("data:image/") for image in page.of("img"))
    assert "49" not in re.findall(r"called (\S+),", page.text)
    assert "<script>alert(1)<|script>" in page.text


@pytest.mark.skipif(os.name != "posix", reason="names of files are Unicode here")
def test_names_that_are_no_unicode_come_back_from_the_table(tmp_path: Path) -> None:
    data = faulty(tmp_path / "data")
    strange = os.fsdecode(b"train/ant/\xff.png")
    noise(0).save(os.fsencode(data) + b"/train/ant/\xff.png", "PNG")
    check(data, tmp_path / "out", labels=False)
    paths = {path for row in rows_of(tmp_path / "out") for path in (row["path"], row["other"])}
    assert strange in paths


def test_a_comma_or_a_quote_in_a_name_stays_in_its_column() -> None:
    table = as_table([Finding("near", "looks like “b”", 'a,"b"\n.png', other="c")])
    (row,) = csv.DictReader(table.splitlines(keepends=True))
    assert row["path"] == 'a,"b"\n.png'


def test_of_ten_thousand_findings_in_a_hundred_classes_the_page_shows_the_first(tmp_path: Path) -> None:
    found = surveyed({f"all/class {number % 100:03d}/{number}": noise(number) for number in range(200)})
    kinds = [name for name in KINDS if name not in WITHOUT_PICTURE]
    findings = [
        Finding(kinds[number % len(kinds)], f"finding {number}", found.samples.names[number % 200])
        for number in range(10_000)
    ]
    result = CheckResult(
        data="many", source="many", num_images=200, findings=sort(findings),
        classes=count_classes(found.dataset), shapes=shapes_of(found), labels="not now", seconds=1.0,
        command=("effnet",), folder=tmp_path,
    )  # fmt: skip
    write_check_page(result, found)
    page = Page(result.page)
    assert MAX_SHOWN < len(page.of("img")) < 400
    assert all((image["alt"] or "").strip() for image in page.of("img"))
    assert "more are in" in page.text
    assert "class 099" in page.text
    assert result.page.stat().st_size < 3_000_000


def test_a_check_says_how_long_it_takes_before_it_starts(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener:
        def message(self, text: str) -> None:
            said.append(text)

        def downloading(self, done: int, total: int | None) -> None:
            said.append("downloading")

        def working(self, task: str, done: int, total: int) -> None:
            said.append(task)

    check(faulty(tmp_path / "data"), tmp_path / "out", reporter=Listener())
    assert re.fullmatch(
        r"data: 31 images of 2 classes; this takes about \d+ seconds, and changes nothing", said[0]
    )
    assert set(said[1:]) == {
        "reading images", "looking for copies", "describing images", "learning the classes", "judging labels"
    }  # fmt: skip


def test_an_interrupted_check_leaves_nothing_half_done(tmp_path: Path) -> None:
    class Impatient:
        def message(self, text: str) -> None: ...

        def downloading(self, done: int, total: int | None) -> None: ...

        def working(self, task: str, done: int, total: int) -> None:
            if task == "judging labels":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(faulty(tmp_path / "data"), tmp_path / "out", reporter=Impatient())
    assert list((tmp_path / "out").iterdir()) == []
