"""Archives like the official ones, member by member and byte by byte, with fewer images."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from effnet.data.cifar import ARCHIVES, PIXEL_BYTES, Archive

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NUM_TRAIN_EACH = {"cifar10": 20, "cifar100": 200}
NUM_TEST = 40


def small(name: str) -> Archive:
    """Return the description of an archive whose files have fewer images."""
    archive = ARCHIVES[name]
    counts = {"train": NUM_TRAIN_EACH[name], "test": NUM_TEST}
    members = tuple(replace(member, num_images=counts[member.part]) for member in archive.members)
    return replace(archive, members=members)


def contents_of(archive: Archive) -> dict[str, bytes]:
    """Return the members of an archive: labels go round, pixels are those of `pixels_of`."""
    num_classes = 10 if archive.label_bytes == 1 else 100
    names = CIFAR10 if num_classes == 10 else tuple(f"class_{i}" for i in range(100))
    contents = {archive.class_names: "".join(f"{name}\n" for name in (*names, "")).encode()}
    first = {"train": 0, "test": 0}
    for member in archive.members:
        records = []
        for index in range(first[member.part], first[member.part] + member.num_images):
            label = index % num_classes
            labels = [label] if num_classes == 10 else [label // 5, label]  # coarse, fine
            records.append(bytes(labels) + pixels_of(member.part, index))
        first[member.part] += member.num_images
        contents[member.name] = b"".join(records)
    return contents


def pixels_of(part: str, index: int) -> bytes:
    """Return the 3072 bytes of an image: red, then green, then blue, each row by row."""
    return np.random.default_rng([index, part == "test"]).bytes(PIXEL_BYTES)


def pack(contents: Mapping[str, bytes]) -> bytes:
    """Return a `.tar.gz` with a folder entry and the members, as the official ones begin."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        folder = tarfile.TarInfo(next(iter(contents)).partition("/")[0])
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in {**contents, f"{folder.name}/readme.html": b"<html>"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def write(path: Path, packed: bytes, archive: Archive) -> Archive:
    """Write an archive; return its description with the MD5 that this one has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    return with_md5(archive, packed)


def with_md5(archive: Archive, packed: bytes) -> Archive:
    return replace(archive, md5=hashlib.md5(packed).hexdigest())
