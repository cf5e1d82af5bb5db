"""An ONNX file that is not whole, not ours, or not what it says is refused by name."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effnet.errors import ModelFileError
from effnet.inference import onnxfile
from effnet.inference.onnxfile import EXPORT_KEY
from effnet.inference.runtime import load
from effnet.modelfile import METADATA_KEY, header_to_json
from onnx_models import EXPORT, HEADER, RECORDS, onnx_bytes, write_onnx_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def changed(path: Path, **changes: Any) -> Path:
    """Write a file whose record of the export has other values; None leaves one out."""
    record = {key: value for key, value in (EXPORT | changes).items() if value is not None}
    return write_onnx_model(path, **{EXPORT_KEY: json.dumps(record)})


def test_its_record_is_read_without_its_graph(path: Path) -> None:
    path.write_bytes(b"".join(entry(key, text) for key, text in RECORDS.items()))
    file = onnxfile.read(path)
    assert (file.header, dict(file.export), file.input_kind) == (HEADER, EXPORT, "normalised")


def entry(key: str, text: str) -> bytes:
    """Return the field of a model that holds an entry of the metadata."""
    model = onnx.ModelProto()
    onnx.helper.set_model_props(model, {key: text})
    content: bytes = model.SerializeToString()
    return content


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.onnx: no such file"):
        load(path)


def test_a_folder_is_called_one(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ModelFileError, match="is a folder; an exported network is a file"):
        load(path)


def test_an_empty_file_is_called_one(path: Path) -> None:
    path.touch()
    with pytest.raises(ModelFileError, match=r"empty file; make it with `effnet export`"):
        load(path)


def test_a_file_of_more_than_two_gigabytes_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ModelFileError, match=r"2,147,483,648 bytes; an ONNX file has at most 2,147,483,647"):
        load(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"\x89PNG\r\n\x1a\n", b"\xff" * 50])
def test_another_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not an ONNX file, or damaged or cut off"):
        load(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99995])
def test_a_file_that_is_cut_off_is_refused(path: Path, share: float) -> None:
    content = onnx_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelFileError, match="cut off"):
        load(path)


@pytest.mark.parametrize("left_out", RECORDS)
def test_a_network_of_another_program_is_told_what_makes_ours(path: Path, left_out: str) -> None:
    path.write_bytes(onnx_bytes({key: text for key, text in RECORDS.items() if key != left_out}))
    with pytest.raises(
        ModelFileError, match=r"without effnet's header, .* `effnet export MODEL --out FILE\.onnx`"
    ):
        load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the header is damaged"),
        (
            json.dumps({"format_version": 99, "effnet_version": "9.0"}),
            r"format version 99 \(written by effnet 9\.0\)",
        ),
    ],
)
def test_a_damaged_or_newer_header_is_named(path: Path, text: str, message: str) -> None:
    write_onnx_model(path, **{METADATA_KEY: text})
    with pytest.raises(ModelFileError, match=rf"model\.onnx: {message}"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": None}, "the record of the export lacks precision"),
        ({"parity": 1}, "the record of the export lacks parity"),
        ({"input": "video"}, "takes 'video', which this effnet does not know; known: normalised, pixels"),
    ],
)
def test_a_record_that_is_not_whole_is_named(path: Path, changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        load(changed(path, **changes))


def test_a_record_that_is_no_json_is_damaged(path: Path) -> None:
    write_onnx_model(path, **{EXPORT_KEY: "[" * 100_000})
    with pytest.raises(ModelFileError, match="the record of the export is damaged"):
        load(path)


def test_weights_in_another_file_are_refused(path: Path) -> None:
    model = onnx.load_from_string(onnx_bytes())
    onnx.save_model(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(ModelFileError, match="its weights lie in another file, which is not read"):
        load(path)


def test_a_graph_that_takes_something_else_does_not_fit(path: Path) -> None:
    write_onnx_model(path, **{EXPORT_KEY: json.dumps(EXPORT | {"input": "pixels"})})
    with pytest.raises(
        ModelFileError, match="does not fit its header: pixels is missing, expected N × 16 × 16 × 3"
    ):
        load(path)


def test_a_graph_with_another_number_of_classes_does_not_fit(path: Path) -> None:
    fewer = json.loads(header_to_json(HEADER)) | {"class_names": ["a", "b"]}
    write_onnx_model(path, **{METADATA_KEY: json.dumps(fewer)})
    with pytest.raises(ModelFileError, match="does not fit its header: logits is "):
        load(path)


def test_a_graph_that_onnxruntime_does_not_take_is_one_line(path: Path) -> None:
    model = onnx.load_from_string(onnx_bytes())
    model.graph.node[0].op_type = "Nonsense"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"onnxruntime does not take it: .*Nonsense") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_being_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "random.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        onnxfile.read(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(b"".join(entry(key, text) for key, text in RECORDS.items()))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.onnx"
    path.write_bytes(content)
    with suppress(ModelFileError):  # any other error fails the test
        onnxfile.read(path)
