"""A journal keeps every row that was written, whenever the process dies, and belongs to one run."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effnet.errors import EffnetError, UsageError
from effnet.inference.journal import open_journal
from effnet.inference.rows import Row, answer_row, columns, error_row
from full_disk import small_files_only

NAMES = columns(1)
RUN = {"model": "abc", "top": 1, "images": ["photos"], "folder": "/home"}
ROWS = [answer_row("a.png", (("x", 0.5),), NAMES), error_row("two\nlines.png", "empty file", NAMES)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv.partial"


def begin(path: Path) -> Path:
    with open_journal(path, RUN, anew=False) as journal:
        journal.add(ROWS)
    return path


def rows_of(path: Path) -> list[Any]:
    with open_journal(path, RUN, anew=False) as journal:
        return [json.loads(line) for line in journal.lines()]


def test_rows_are_there_again(path: Path) -> None:
    with open_journal(begin(path), RUN, anew=False) as journal:
        assert (journal.num_rows, journal.num_errors) == (2, 1)
        assert [json.loads(line) for line in journal.lines()] == ROWS
        assert "a.png" in journal
        assert "two\nlines.png" in journal
        assert "b.png" not in journal


def test_new_rows_follow_the_old(path: Path) -> None:
    more = answer_row("b.png", (("y", 1.0),), NAMES)
    with open_journal(begin(path), RUN, anew=False) as journal:
        journal.add([more])
        assert journal.num_rows == 3
    assert rows_of(path) == [*ROWS, more]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_wherever_writing_stopped_whole_rows_stay(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "rows.csv.partial"
    path.unlink(missing_ok=True)
    content = begin(path).read_bytes()
    size = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:size])
    kept = rows_of(path)
    assert kept == ROWS[: max(0, content[:size].count(b"\n") - 1)]
    with open_journal(path, RUN, anew=False) as journal:
        journal.add(ROWS[len(kept) :])
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "model",
            "def",
            "was begun with model = abc, now it is def; go on as it was begun, choose another --out",
        ),
        ("top", 5, "was begun with top = 1, now it is 5"),
        ("images", ["a", "b"], "was begun with images = photos, now it is a, b"),
        ("folder", "/root", "was begun with folder = /home, now it is /root"),
    ],
)
def test_another_run_is_refused(path: Path, key: str, value: Any, message: str) -> None:
    begin(path)
    with pytest.raises(UsageError, match=message), open_journal(path, RUN | {key: value}, anew=False):
        pass
    assert rows_of(path) == ROWS


def test_anew_forgets_what_was_there(path: Path) -> None:
    with open_journal(begin(path), RUN | {"top": 2}, anew=True) as journal:
        assert journal.num_rows == 0
        assert "a.png" not in journal
        assert list(journal.lines()) == []


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("content", [b"image,class\na.png,x\n", b"my notes"])
def test_a_file_of_somebody_else_stays(path: Path, content: bytes, anew: bool) -> None:
    path.write_bytes(content)
    with (
        pytest.raises(UsageError, match="holds no unfinished predictions; move it away"),
        open_journal(path, RUN, anew=anew),
    ):
        pass
    assert path.read_bytes() == content


@pytest.mark.parametrize("line", [b"\0\0\0\n", b"[]\n", b"{}\n", b'{"image": "a.png"\n'])
def test_a_damaged_line_is_named(path: Path, line: bytes) -> None:
    path.write_bytes(begin(path).read_bytes() + line)
    with (
        pytest.raises(EffnetError, match="line 4 is damaged; remove it, and its image is read again"),
        open_journal(path, RUN, anew=False),
    ):
        pass


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (b'{"effnet_predictions": {\n', "its first line is damaged"),
        (b'{"effnet_predictions": 2}\n', "another version"),
    ],
)
def test_a_first_line_that_is_not_ours_is_named(path: Path, first: bytes, message: str) -> None:
    path.write_bytes(first)
    with pytest.raises(UsageError, match=message), open_journal(path, RUN, anew=False):
        pass


def test_two_processes_do_not_write_at_once(path: Path) -> None:
    with (
        open_journal(path, RUN, anew=False),
        pytest.raises(EffnetError, match=r"another process is writing to .*; wait, or choose another --out"),
        open_journal(path, RUN, anew=True),
    ):
        pass
    assert rows_of(path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "rows.csv.partial"
    with (
        pytest.raises(EffnetError, match=r"cannot write to .*/file: File exists"),
        open_journal(path, RUN, anew=False),
    ):
        pass


def fill(path: Path, rows: list[Row]) -> None:
    with open_journal(path, RUN, anew=False) as journal:
        for row in rows:
            journal.add([row])


def test_a_full_disk_loses_no_row(path: Path) -> None:
    begin(path)
    many = [answer_row(f"{number}.png", (("x", 0.5),), NAMES) for number in range(200)]
    with (
        small_files_only(),
        pytest.raises(EffnetError, match=r"cannot write .*; rows written so far are kept"),
    ):
        fill(path, many)
    kept = rows_of(path)
    assert kept == [*ROWS, *many][: len(kept)]
    assert len(kept) > 2
