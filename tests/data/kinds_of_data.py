"""A few pictures as a CSV file, shards and parquet files, as other programs write them."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from effnet.data.datasets import DataSet, open_digits

DIGITS = open_digits()
CLASSES = DIGITS.class_names


def digit(index: int) -> Image.Image:
    samples = DIGITS.parts["all"]
    return samples.read(samples.names[index])


def label(index: int) -> int:
    return int(DIGITS.parts["all"].labels[index])


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def write_csv(path: Path, lines: Iterable[str], images: Iterable[str] = ()) -> Path:
    """Write a CSV file, and beside it small images under these names."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for index, name in enumerate(images):
        place = path.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        digit(index).save(place)
    return path


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(indices: Iterable[int]) -> dict[str, bytes]:
    """Return the members of a shard of digits: an image and a class each."""
    members: dict[str, bytes] = {}
    for index in indices:
        members |= {f"{index:04d}.png": png(digit(index)), f"{index:04d}.cls": str(label(index)).encode()}
    return members


def hub_metadata(names: Sequence[str] | None, **features: Any) -> dict[bytes, bytes]:
    """Return what Hugging Face's library writes beside the schema."""
    known: dict[str, Any] = {"image": {"_type": "Image"}, **features}
    if names is not None:
        known["label"] = {"_type": "ClassLabel", "names": list(names)}
    return {b"huggingface": json.dumps({"info": {"features": known}}).encode()}


def write_parquet(
    path: Path, columns: Mapping[str, Sequence[Any]], metadata: Mapping[bytes, bytes] | None = None
) -> Path:
    """Write columns; bytes become a struct of bytes and path, as Hugging Face has it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    made = pa.table({name: as_pictures(values, picture) for name, values in columns.items()})
    pq.write_table(made.replace_schema_metadata(dict(metadata or {})), path, row_group_size=20)
    return path


def as_pictures(values: Sequence[Any], kind: Any) -> Any:
    """Return a column; bytes become a struct of bytes and path."""
    import pyarrow as pa

    if not any(isinstance(value, bytes) for value in values):
        return pa.array(list(values))
    return pa.array([None if value is None else {"bytes": value} for value in values], kind)


def digits_table(indices: Iterable[int]) -> dict[str, list[Any]]:
    chosen = list(indices)
    return {"image": [png(digit(i)) for i in chosen], "label": [label(i) for i in chosen]}


def labelled(dataset: DataSet, part: str) -> dict[str, str]:
    """Return the class of each image of a part."""
    of = dataset.parts[part]
    return {n: dataset.class_names[i] for n, i in zip(of.names, of.labels.tolist(), strict=True)}
