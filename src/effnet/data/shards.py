"""WebDataset shards: tar files in which `key.jpg` stands beside `key.cls` or `key.json`."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from effnet.data.download import OnProgress
from effnet.data.filesets import common_root, read_parts
from effnet.data.labels import Value, show
from effnet.data.packed import MAX_NAME_BYTES, Origin, Shard, assemble_shards, indexed, stamp_of
from effnet.data.samples import DataSet
from effnet.data.sources import PARTS, Source
from effnet.errors import DataError, some
from effnet.imaging.decode import EXTENSIONS

OPTIONS = ("image", "label", *PARTS)
LABEL_KEYS = ("label", "cls", "class", "class_id", "class_name")
MAX_LABEL_BYTES = 1 << 20
GZIP = b"\x1f\x8b"


def open_shards(source: Source, files: list[Path], on_progress: OnProgress) -> DataSet:
    """Open tar files. Nothing is extracted: images are read where they lie in the tar file.

    Raises:
        UsageError: an option that is not for shards.
        DataError: a file is no tar file, is cut off, or an image has no label.

    """
    source.allow("a set of shards", OPTIONS)
    wanted = Wanted(source.options.get("image", "").lower(), source.options.get("label", ""))
    key = ("tar", wanted.image, wanted.label)
    root = common_root(source, files)

    def read(path: Path) -> Shard:
        return indexed(path, key, partial(index_tar, path, wanted))

    parts = read_parts(source, files, root=root, read=read, on_progress=on_progress)
    return assemble_shards(parts, Origin(root.name, root, source.at(str(Path(source.place).absolute()))))


@dataclass(frozen=True)
class Wanted:
    """Which members of a sample are meant."""

    image: str
    """Extension of the image, such as `jpg`; empty: whichever is one of an image."""
    label: str
    """Key in the JSON, or extension of a text; empty: `cls`, else what `LABEL_KEYS` names in the JSON."""

    def is_image(self, extension: str) -> bool:
        """Tell whether an extension is that of the image."""
        return extension == self.image if self.image else f".{extension}" in EXTENSIONS

    def is_label(self, extension: str) -> bool:
        """Tell whether a member with this extension may hold the label."""
        return extension in ("cls", "json", self.label)


@dataclass
class Sample:
    """Members of a tar file that share a key."""

    key: str
    images: list[tuple[str, int, int]] = field(default_factory=list)
    """Extension, offset, number of bytes."""
    texts: dict[str, bytes] = field(default_factory=dict)


def index_tar(path: Path, wanted: Wanted) -> Shard:
    """Find out where in a tar file the images lie, and their labels.

    Raises:
        DataError: no tar file, compressed, cut off; a sample without or with several images.

    """
    stamp = stamp_of(path)
    names, offsets, lengths, labels = [], [], [], []
    seen: set[str] = set()
    for sample in samples_of(path, wanted):
        if not sample.images and not sample.texts:
            continue
        if len(sample.images) != 1:
            found = some(extension for extension, _, _ in sample.images) or "none"
            raise DataError(
                f"{path}: sample {show(sample.key)} must have one image, and has {found}; "
                f"say which is meant with image=EXTENSION"
            )
        if sample.key in seen:
            raise DataError(f"{path}: the files of sample {show(sample.key)} do not stand together")
        seen.add(sample.key)
        extension, offset, length = sample.images[0]
        names.append(f"{sample.key}.{extension}")
        offsets.append(offset)
        lengths.append(length)
        labels.append(label_of(sample, wanted, path))
    if not names:
        raise DataError(f"{path}: holds no images ({some(sorted(EXTENSIONS))})")
    shard = Shard(path.resolve(), stamp, tuple(names), tuple(offsets), tuple(lengths), tuple(labels))
    if not shard.is_whole():
        raise DataError(f"{path}: cut off, or damaged")
    return shard


def samples_of(path: Path, wanted: Wanted) -> Iterator[Sample]:
    """Yield the samples of a tar file in their order."""
    sample = Sample("")
    try:
        with tarfile.open(path, "r:") as tar:
            end = 0
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep a list of all
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if not info.isreg() or info.name.rpartition("/")[2].startswith("."):
                    continue
                key, extension = split_name(info.name, path)
                if key != sample.key:
                    yield sample
                    sample = Sample(key)
                add(sample, extension, info, tar, wanted)
        check_end(path, end)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: {reason(path, error)}") from error
    yield sample


def check_end(path: Path, end: int) -> None:
    """Raise ValueError when the block of zeros behind the last member is missing: without it, some may be."""
    with path.open("rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ValueError("its end is missing")


def reason(path: Path, error: Exception) -> str:
    """Say why a tar file cannot be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
    except OSError as failure:
        return f"cannot be read: {failure.strerror}"
    if packed:
        return "compressed; images are read from any place of it: unpack it with gunzip"
    return f"not a tar file, or cut off: {error}"


def split_name(name: str, path: Path) -> tuple[str, str]:
    """Return key and extension: the last folder's name ends the path, the first point after it ends the key.

    Raises:
        DataError: the name is too long, or holds what cannot be printed. It is never used as a path.

    """
    if len(name.encode(errors="surrogateescape")) > MAX_NAME_BYTES // 2 or not name.isprintable():
        raise DataError(f"{path}: {show(name)} is no name that can be used")
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def add(sample: Sample, extension: str, info: tarfile.TarInfo, tar: tarfile.TarFile, wanted: Wanted) -> None:
    """Note a member of a sample."""
    place = Path(str(tar.name))
    if wanted.is_image(extension):
        if info.issparse():
            raise DataError(f"{place}: {show(info.name)} has holes; such tar files are not read")
        sample.images.append((extension, info.offset_data, info.size))
    elif wanted.is_label(extension):
        if info.size > MAX_LABEL_BYTES:
            raise DataError(f"{place}: {show(info.name)} has {info.size:,} bytes; that is no label")
        file = tar.extractfile(info)
        sample.texts[extension] = file.read() if file is not None else b""


def label_of(sample: Sample, wanted: Wanted, path: Path) -> Value:
    """Return the label of a sample; None where it has none.

    Raises:
        DataError: the text is not UTF-8, or the JSON is none.

    """
    try:
        texts = {extension: content.decode() for extension, content in sample.texts.items()}
        own = wanted.label or "cls"
        if own in texts and own != "json":
            return number_or_text(texts[own].strip())
        if "json" not in texts:
            return None
        data = json.loads(texts["json"])
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: the label of sample {show(sample.key)} cannot be read: {error}") from error
    if isinstance(data, dict):
        keys = (wanted.label,) if wanted.label else LABEL_KEYS
        data = next((data[key] for key in keys if key in data), None)
    if data is None or (isinstance(data, int | str) and not isinstance(data, bool)):
        return data
    raise DataError(f"{path}: the label of sample {show(sample.key)} is neither a whole number nor text")


def number_or_text(text: str) -> Value:
    """Return a number where a text is one as it would be written."""
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
    return int(text) if is_number and str(int(text)) == text else text
