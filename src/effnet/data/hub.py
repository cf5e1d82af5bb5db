"""Data sets of the Hugging Face Hub, by its library: downloaded whole, at one revision, kept as tables.

No code of a data set is run: the library has none that could be, and what it downloads are tables and images.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet.data.columns import Column, find_image, find_label, from_feature
from effnet.data.labels import Value, classify
from effnet.data.packed import MAX_IMAGE_BYTES
from effnet.data.samples import DataSet, Samples
from effnet.data.scan import EncodedReader
from effnet.data.sources import PARTS, Source, map_splits
from effnet.errors import DataError, MissingExtraError, UsageError

PREFIX = "hf:"
OPTIONS = ("image", "label", "revision", *PARTS)


@dataclass(frozen=True)
class HubName:
    """A data set and one of its configurations; `folder` where it lies on this machine."""

    repo: str
    config: str | None
    folder: Path | None

    @property
    def text(self) -> str:
        """How it is called as DATA."""
        place = str(self.folder or self.repo)
        return PREFIX + (place if self.config is None else f"{place}:{self.config}")


def parse_name(place: str) -> HubName:
    """Take `hf:NAME[:CONFIG]` apart; NAME may also be a folder with such a data set.

    Raises:
        UsageError: there is no name.

    """
    repo, _, config = place.removeprefix(PREFIX).partition(":")
    if not repo:
        raise UsageError(f"{place}: a name of the Hugging Face Hub is missing: hf:NAME or hf:NAME:CONFIG")
    is_path = repo.startswith((".", "/", "~")) or Path(repo).is_dir()
    folder = Path(repo).expanduser().resolve() if is_path else None
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{place}: there is no folder {folder}")
    return HubName(repo, config or None, folder)


def is_remote(text: str) -> bool:
    """Tell whether DATA is one that has to come from the Hub, or from its cache."""
    return text.startswith(PREFIX) and parse_name(text.partition(",")[0]).folder is None


def open_hub(source: Source) -> DataSet:
    """Open a data set of the Hugging Face Hub. Its revision is looked up first, and kept in `source`.

    Raises:
        UsageError: an unknown name, configuration, revision, split or column.
        DataError: no connection (says what to do); no column of images or labels; labels are missing.
        MissingExtraError: `datasets` is not installed.

    """
    source.allow("a data set of the Hub", OPTIONS)
    name = parse_name(source.place)
    load = import_library()
    with translated(name):
        revision = None if name.folder else pinned(name.repo, source.options.get("revision"))
        tables = load(str(name.folder or name.repo), name.config, revision=revision)
    splits = map_splits(tables, source)
    columns = [to_column(column, feature) for column, feature in next(iter(tables.values())).features.items()]
    image, label = find_image(columns, source), find_label(columns, source)
    read = TableReader({split: encoded(tables[split], image.name) for of in splits.values() for split in of})
    values = {
        part: [v for split in of for v in column_of(tables[split], label)] for part, of in splits.items()
    }
    where = f"{source.place}, column {label.name!r}"
    labelled = classify(values, where, label.class_names)
    parts = {
        part: Samples(
            tuple(f"{split}/{row:06d}" for split in of for row in range(len(tables[split]))),
            labelled.labels[part],
            read,
        )
        for part, of in splits.items()
    }
    text = source.at(name.text, **({"revision": revision} if revision else {}))
    return DataSet(name.folder.name if name.folder else text, labelled.class_names, parts, source=text)


def import_library() -> Any:
    """Return the function of `datasets` that loads; its progress bars only where somebody sees them."""
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("hf: needs datasets; install it: pip install 'effnet[hub]'") from None
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets.load_dataset


def pinned(repo: str, revision: str | None) -> str:
    """Return the commit of a branch, tag or commit; without a connection, the one that the cache has."""
    from huggingface_hub import snapshot_download

    place = snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=["README.md"])
    return Path(place).name


@contextmanager
def translated(name: HubName) -> Iterator[None]:
    """Say in one line what went wrong, and what to do."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RevisionNotFoundError as error:
        raise UsageError(f"{name.text} has no such revision; see {page(name)}") from error
    except GatedRepoError as error:
        raise DataError(
            f"{name.text} asks for consent: give it at {page(name)}, then `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(
            f"the Hub knows no data set {name.repo!r}, or it is private (then `hf auth login`); "
            f"see {page(name)}"
        ) from error
    except (LocalEntryNotFoundError, DatasetNotFoundError, ConnectionError) as error:
        raise offline(name) from error
    except MemoryError:
        raise
    except Exception as error:  # the library's errors have no common base
        raise failure(name, error) from error


def page(name: HubName) -> str:
    """Return the page of a data set."""
    return f"https://huggingface.co/datasets/{name.repo}"


def offline(name: HubName) -> DataError:
    """Say what to do without a connection."""
    return DataError(
        f"cannot reach the Hugging Face Hub, and {name.text} is not in its cache on this machine; bring the "
        f"files: on another machine `hf download --repo-type dataset {name.repo} --local-dir FOLDER`, then "
        f"take hf:FOLDER as DATA"
    )


def failure(name: HubName, error: Exception) -> DataError | UsageError:
    """Return the error for what the library reports in a way of its own."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "BuilderConfig" in text or "Config name is missing" in text:
        return UsageError(f"{name.text}: {text}; say which: hf:{name.repo}:CONFIG")
    if "scripts are no longer supported" in text:
        return DataError(
            f"{name.text} is a program, and no code of a data set is run; take a copy as parquet files"
        )
    if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "requests", "aiohttp"):
        return offline(name)
    return DataError(f"{name.text}: cannot be loaded: {text}")


def to_column(name: str, feature: Any) -> Column:
    """Return a column by its feature."""
    kind = type(feature).__name__
    found = from_feature(name, {"_type": kind, "names": getattr(feature, "names", None)})
    if found is not None:
        return found
    if isinstance(feature, Mapping) and is_bytes(feature.get("bytes")):  # images, but nothing says so
        return Column(name, "image", "images")
    dtype = str(getattr(feature, "dtype", kind))
    if dtype.startswith(("int", "uint")):
        return Column(name, "number", "whole numbers")
    if dtype in ("string", "large_string"):
        return Column(name, "text", "text")
    if is_bytes(feature):
        return Column(name, "bytes", "bytes")
    return Column(name, "other", kind if dtype == kind else f"{kind} {dtype}")


def is_bytes(feature: Any) -> bool:
    """Tell whether a feature is one of bytes."""
    return getattr(feature, "dtype", None) in ("binary", "large_binary")


def encoded(table: Any, image: str) -> Any:
    """Return the column of images of a table, not decoded."""
    import datasets

    only = table.select_columns([image])
    if isinstance(table.features[image], datasets.Image):
        only = only.cast_column(image, datasets.Image(decode=False))
    return only.rename_column(image, "image") if image != "image" else only


def column_of(table: Any, label: Column) -> list[Value]:
    """Return the labels of a table."""
    values: list[Value] = table.with_format(None).data.column(label.name).to_pylist()
    return values


@dataclass(frozen=True, eq=False)
class TableReader(EncodedReader):
    """Reads images out of tables, which lie on the disk and are read at any row."""

    tables: Mapping[str, Any]
    """By split; each has one column, `image`."""

    def content(self, name: str) -> Path | bytes:
        """Return the bytes of an image's file, or the file itself.

        Raises:
            DataError: the row is empty, or larger than is read.

        """
        split, _, row = name.rpartition("/")
        value = self.tables[split][int(row)]["image"]
        content = value.get("bytes") if isinstance(value, Mapping) else value
        if content is None and isinstance(value, Mapping) and value.get("path"):
            return Path(value["path"])
        if content is None:
            raise DataError(f"{name}: there is no image in this row")
        if len(content) > MAX_IMAGE_BYTES:
            raise DataError(f"{name}: {len(content):,} bytes; at most {MAX_IMAGE_BYTES:,} are read")
        return bytes(content)
