"""What an exported ONNX file says of itself, read without any ONNX library; nothing in it is executed.

An ONNX file is one protobuf message, `ModelProto` of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto,
of which only the few fields named here are looked at.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from effnet.errors import ModelFileError
from effnet.modelfile import METADATA_KEY, ModelHeader, header_from_json

EXPORT_KEY = "effnet_export"
"""Where in the metadata the record of the export stands; the model's header is at `METADATA_KEY`."""

MAX_BYTES = (1 << 31) - 1  # of any protobuf message
_MAX_TEXT_BYTES = 100_000_000  # of the header, as in a model file
_MAX_FIELDS = 100_000  # of a message; the graph of B7 has about 2,000

# Numbers of fields, by message.
_GRAPH, _METADATA = 7, 14  # ModelProto
_ENTRY_KEY, _ENTRY_VALUE = 1, 2  # StringStringEntryProto
_INITIALIZER = 5  # GraphProto
_DATA_LOCATION = 14  # TensorProto; 1 means another file

# Kinds of fields on the wire.
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5

InputKind = Literal["normalised", "pixels"]


@dataclass(frozen=True)
class OnnxFile:
    """An exported network: its bytes, and what they say."""

    path: Path
    content: bytes
    header: ModelHeader
    """What the model file said that this one was made of."""
    export: Mapping[str, Any]
    """How it was exported: `input`, `precision`, `parity`, and `source`, the SHA-256 of the model file."""

    @property
    def input_kind(self) -> InputKind:
        """What the graph takes: `normalised` `(N, C, S, S)` float32, or `pixels` `(N, S, S, C)` uint8."""
        kind: InputKind = self.export["input"]
        return kind


def is_onnx_file(path: Path) -> bool:
    """Tell by the name whether a path is meant as an exported network."""
    return path.suffix.lower() == ".onnx"


def read(path: Path) -> OnnxFile:
    """Read an exported network, once: what is checked is what is computed later.

    Raises:
        ModelFileError: missing, damaged, not ours, of a newer version, or not whole in one file.

    """
    content = _content(path)
    try:
        model = memoryview(content)
        metadata = dict(_entry(value) for number, value in _fields(model) if number == _METADATA)
        is_external = any(_is_external(value) for number, value in _fields(model) if number == _GRAPH)
    except ValueError as error:
        raise ModelFileError(
            f"{path}: not an ONNX file, or damaged or cut off ({error}); copy it again, or make it with "
            f"`effnet export`"
        ) from None
    if METADATA_KEY not in metadata or EXPORT_KEY not in metadata:
        raise ModelFileError(
            f"{path}: an ONNX file without effnet's header, which names its classes and preprocessing; "
            f"`effnet export MODEL --out FILE.onnx` makes a complete one"
        )
    if is_external:
        raise ModelFileError(f"{path}: its weights lie in another file, which is not read; export it anew")
    header = header_from_json(metadata[METADATA_KEY], path)
    return OnnxFile(path, content, header, _export(path, metadata[EXPORT_KEY]))


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder; an exported network is a file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelFileError(f"{path}: {size:,} bytes; an ONNX file has at most {MAX_BYTES:,}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # a device has no size
    except (FileNotFoundError, NotADirectoryError):
        raise ModelFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise ModelFileError(f"{path}: empty file; make it with `effnet export`")
    return content


def _export(path: Path, text: str) -> Mapping[str, Any]:
    """Check the record of the export."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: the record of the export is damaged: {error}") from None
    kinds = {"input": str, "precision": str, "parity": dict, "source": str}
    wrong = [
        key
        for key, kind in kinds.items()
        if not (isinstance(record, dict) and isinstance(record.get(key), kind))
    ]
    if wrong:
        raise ModelFileError(f"{path}: the record of the export lacks {', '.join(wrong)}")
    if record["input"] not in get_args(InputKind):
        raise ModelFileError(
            f"{path}: takes {record['input']!r}, which this effnet does not know; "
            f"known: {', '.join(get_args(InputKind))}"
        )
    return dict(record)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message: an int of a varint, else a view of its bytes.

    Raises:
        ValueError: it is no message, or cut off.

    """
    place = count = 0
    while place < len(message):
        count += 1
        if count > _MAX_FIELDS:
            raise ValueError(f"more than {_MAX_FIELDS:,} parts")
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == _SIZED:
            size, place = _varint(message, place)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {place} begins no field")
        if size > len(message) - place:
            raise ValueError(f"{size:,} bytes are announced and {len(message) - place:,} are left")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a number, seven bits a byte, the lowest first; return it and the place behind it."""
    number = 0
    for position, byte in enumerate(message[place : place + 10]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return number, place + position + 1
    raise ValueError("it ends within a number")


def _entry(message: Any) -> tuple[str, str]:
    """Read a key of the metadata with its text."""
    values = dict(_fields(_as_message(message)))
    key, text = (_as_message(values.get(number, memoryview(b""))) for number in (_ENTRY_KEY, _ENTRY_VALUE))
    if len(key) + len(text) > _MAX_TEXT_BYTES:
        raise ValueError(f"{len(text):,} bytes of metadata; at most {_MAX_TEXT_BYTES:,} are read")
    return str(key, "utf-8"), str(text, "utf-8")


def _is_external(graph: Any) -> bool:
    """Tell whether weights of a graph lie in another file."""
    tensors = (value for number, value in _fields(_as_message(graph)) if number == _INITIALIZER)
    return any(dict(_fields(_as_message(tensor))).get(_DATA_LOCATION, 0) for tensor in tensors)


def _as_message(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("a number where a message belongs")
    return value
