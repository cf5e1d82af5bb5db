"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), read from the official binary archives; nothing is unpickled."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet.data.download import OnProgress, downloads_folder, fetch
from effnet.errors import DataError

SITE = "https://www.cs.toronto.edu/~kriz"
CHANNELS, SIDE = 3, 32
PIXEL_BYTES = CHANNELS * SIDE * SIDE  # red, green, blue, each row by row
MAX_NAMES_BYTES = 1 << 16


@dataclass(frozen=True)
class Member:
    """A file of records inside an archive."""

    name: str
    part: str
    num_images: int


@dataclass(frozen=True)
class Archive:
    """An archive and what is in it. A record is one or two label bytes, then the pixels."""

    file: str
    md5: str
    class_names: str
    """Member that lists the classes, one a line, in the order of the labels."""
    label_bytes: int
    """The last one is the label; the first of CIFAR-100's two is the coarse one, of 20 classes."""
    members: tuple[Member, ...]

    @property
    def record_bytes(self) -> int:
        """Bytes of one image with its labels."""
        return self.label_bytes + PIXEL_BYTES

    @property
    def path(self) -> Path:
        """Where the archive is kept."""
        return downloads_folder() / self.file

    @property
    def url(self) -> str:
        """Where the archive comes from: the authors' site, or the mirror that `$EFFNET_CIFAR_URL` names."""
        return f"{(os.environ.get('EFFNET_CIFAR_URL') or SITE).rstrip('/')}/{self.file}"


ARCHIVES = {
    "cifar10": Archive(
        file="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        class_names="cifar-10-batches-bin/batches.meta.txt",
        label_bytes=1,
        members=(
            Member("cifar-10-batches-bin/data_batch_1.bin", "train", 10_000),
            Member("cifar-10-batches-bin/data_batch_2.bin", "train", 10_000),
            Member("cifar-10-batches-bin/data_batch_3.bin", "train", 10_000),
            Member("cifar-10-batches-bin/data_batch_4.bin", "train", 10_000),
            Member("cifar-10-batches-bin/data_batch_5.bin", "train", 10_000),
            Member("cifar-10-batches-bin/test_batch.bin", "test", 10_000),
        ),
    ),
    "cifar100": Archive(
        file="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        class_names="cifar-100-binary/fine_label_names.txt",
        label_bytes=2,
        members=(
            Member("cifar-100-binary/train.bin", "train", 50_000),
            Member("cifar-100-binary/test.bin", "test", 10_000),
        ),
    ),
}


@dataclass(frozen=True)
class Part:
    """Images with their labels."""

    pixels: NDArray[np.uint8]
    """`(N, 3, 32, 32)`, red, green, blue."""
    labels: NDArray[np.int64]
    """Index into the class names, `(N,)`."""


@dataclass(frozen=True)
class Content:
    """What an archive holds, in memory."""

    class_names: tuple[str, ...]
    parts: Mapping[str, Part]


@dataclass(frozen=True)
class CifarReader:
    """Reads images of CIFAR: `test/00042.png` is the one in place 42 of the test part."""

    content: Content

    def __call__(self, name: str) -> Image.Image:
        """Return the image of a name."""
        part, _, file = name.partition("/")
        pixels = self.content.parts[part].pixels[int(file.removesuffix(".png"))]
        return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))  # (32, 32, 3)


def load(archive: Archive, on_download: OnProgress) -> Content:
    """Read an archive; it is downloaded first when it is not in the cache folder.

    Raises:
        DataError: the archive cannot be had, or is damaged; the message says what to do.

    """
    fetch(archive.url, archive.path, archive.md5, on_download)
    return read_archive(archive.path, archive)


def read_archive(path: Path, archive: Archive) -> Content:
    """Read the images and the names of the classes; nothing is extracted to the disk.

    Raises:
        DataError: the archive is cut off, or a member is missing, has another size or an unknown label.

    """
    contents = read_members(path, archive)
    class_names = parse_names(contents[archive.class_names], f"{archive.class_names} in {path}")
    parts = {}
    for name in ("train", "test"):
        members = [member for member in archive.members if member.part == name]
        records = [to_records(contents[m.name], archive.record_bytes) for m in members]
        parts[name] = split_records(np.concatenate(records), archive.label_bytes)
        highest = int(parts[name].labels.max())
        if highest >= len(class_names):
            raise DataError(
                f"{path}: the {name} images have a label {highest}, but there are {len(class_names)} classes"
            )
    return Content(class_names, parts)


def read_members(path: Path, archive: Archive) -> dict[str, bytes]:
    """Read the members that we need into memory, in the one pass that gzip allows.

    Raises:
        DataError: damaged or cut off; a member is missing or has another size.

    """
    sizes = {member.name: member.num_images * archive.record_bytes for member in archive.members}
    wanted = {archive.class_names, *sizes}
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
            for info in tar:
                file = tar.extractfile(info) if info.isreg() and info.name in wanted else None
                if file is not None:
                    check_size(info, sizes.get(info.name), path)
                    contents[info.name] = file.read()
            while unzipped.read(MAX_NAMES_BYTES):  # the check sum stands at the very end
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut off: {error}; remove it to download it again") from error
    missing = sorted(wanted - set(contents))
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; is it the binary version of CIFAR?")
    return contents


def check_size(info: tarfile.TarInfo, expected: int | None, path: Path) -> None:
    """Raise DataError, before anything is read, when a member is not as large as it must be."""
    if expected is not None and info.size != expected:
        raise DataError(f"{info.name} in {path} has {info.size:,} bytes instead of {expected:,}")
    if info.size > max(expected or 0, MAX_NAMES_BYTES):
        raise DataError(f"{info.name} in {path} has {info.size:,} bytes; that is no list of class names")


def parse_names(content: bytes, origin: str) -> tuple[str, ...]:
    """Return the names of the classes, one a line."""
    names = tuple(line.strip() for line in content.decode("utf-8", errors="replace").splitlines())
    names = tuple(name for name in names if name)
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{origin} is no list of different class names")
    return names


def to_records(content: bytes, record_bytes: int) -> NDArray[np.uint8]:
    """Return the records of a member, `(N, record_bytes)`."""
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, record_bytes)


def split_records(records: NDArray[np.uint8], label_bytes: int) -> Part:
    """Divide records `(N, record_bytes)` into pixels and labels; the pixels are not copied."""
    pixels = records[:, label_bytes:].reshape(-1, CHANNELS, SIDE, SIDE)
    return Part(pixels, records[:, label_bytes - 1].astype(np.int64))
