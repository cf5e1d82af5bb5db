"""Rows are written so that any reader gets back what was said."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effnet.errors import MissingExtraError, UsageError
from effnet.inference.rows import (
    WRITERS,
    Row,
    answer_row,
    columns,
    error_row,
    plain,
    to_line,
    write_csv,
    write_jsonl,
    write_parquet,
    writer_of,
)

NAMES = columns(2)
AWKWARD = ("a, b.png", 'say "no".png', "two\nlines.png", "carriage\rreturn.png", "犬.png", " space ", "'=1+1")
ROWS = [
    *(answer_row(name, ((name, 0.75), ("other", 0.25)), NAMES) for name in AWKWARD),
    error_row("none.png", "no such file", NAMES),
]


def test_columns_are_image_classes_and_error() -> None:
    assert columns(1) == ("image", "class", "probability", "error")
    assert NAMES == ("image", "class", "probability", "class2", "probability2", "error")


def test_a_row_has_a_value_for_each_column() -> None:
    assert answer_row("a", (("x", 0.75), ("y", 0.25)), NAMES) == dict(
        zip(NAMES, ("a", "x", 0.75, "y", 0.25, None), strict=True)
    )
    assert error_row("a", "why", NAMES) == dict(zip(NAMES, ("a", None, None, None, None, "why"), strict=True))


def test_small_probabilities_keep_their_digits() -> None:
    assert answer_row("a", (("x", 1.23456789e-9),), columns(1))["probability"] == 1.23457e-9


def lines(rows: list[Row]) -> list[bytes]:
    return [to_line(row) for row in rows]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_comes_back(tmp_path: Path) -> None:
    write_csv(lines(ROWS), NAMES, tmp_path / "rows.csv")
    as_text = [{key: "" if value is None else str(value) for key, value in row.items()} for row in ROWS]
    assert read_csv(tmp_path / "rows.csv") == as_text


def test_simple_csv_is_plain(tmp_path: Path) -> None:
    write_csv(lines([answer_row("a.png", (("x", 0.5),), columns(1))]), columns(1), tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == b"image,class,probability,error\na.png,x,0.5,\n"


def test_jsonl_comes_back(tmp_path: Path) -> None:
    write_jsonl(lines(ROWS), NAMES, tmp_path / "rows.jsonl")
    with (tmp_path / "rows.jsonl").open(encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == ROWS


def test_parquet_comes_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(lines(ROWS), NAMES, tmp_path / "rows.parquet")
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.to_pylist() == ROWS
    assert [str(field.type) for field in table.schema] == [
        *["string", "string", "float"],
        *["string", "float"],
        "string",
    ]


def test_parquet_without_rows_has_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet([], NAMES, tmp_path / "rows.parquet")
    assert parquet.read_table(tmp_path / "rows.parquet").column_names == list(NAMES)


def test_bytes_that_are_no_text_are_written_by_their_number() -> None:
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert plain(name) == r"caf\udce9.png"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), max_size=5))
def test_any_names_come_back_from_every_file(tmp_path: Path, names: list[str]) -> None:
    rows = [error_row(name, name, columns(1)) for name in names]
    write_csv(lines(rows), columns(1), tmp_path / "rows.csv")
    assert [(row["image"], row["error"]) for row in read_csv(tmp_path / "rows.csv")] == [
        (plain(name), plain(name)) for name in names
    ]
    write_jsonl(lines(rows), columns(1), tmp_path / "rows.jsonl")
    text = (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.split("\n")[:-1]] == rows


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_suffix_is_a_format_in_capitals_too(suffix: str) -> None:
    assert writer_of(Path(f"rows{suffix.upper()}")) is WRITERS[suffix]


@pytest.mark.parametrize("name", ["rows.txt", "rows", "csv"])
def test_an_unknown_suffix_lists_the_known_ones(name: str) -> None:
    with pytest.raises(
        UsageError, match=rf"--out {name}: unknown suffix .*; known: \.csv, \.jsonl, \.parquet"
    ):
        writer_of(Path(name))


def test_parquet_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effnet.inference.rows.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'effnet\[parquet\]', or take \.csv or \.jsonl"):
        writer_of(Path("rows.parquet"))
