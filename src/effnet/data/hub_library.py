"""The Hugging Face Hub by its library: names, revisions, tables brought here, and what its errors mean."""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet.errors import DataError, MissingExtraError, UsageError

PREFIX = "hf:"
COMMIT = re.compile("[0-9a-f]{40}")


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

    @property
    def short(self) -> str:
        """Its name without owner or folder, which can be that of a folder."""
        last = (self.folder or Path(self.repo)).name
        return last if self.config is None else f"{last}-{Path(self.config).name}"


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


def import_library() -> Any:
    """Return the function of `datasets` that loads; its progress bars only where somebody sees them."""
    try:
        import datasets
        from huggingface_hub.utils import logging as hub_logging
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise MissingExtraError("hf: needs datasets; install it: pip install 'effnet[hub]'") from None
    datasets.logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it would tell of every try
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
        disable_progress_bars()
    return datasets.load_dataset


def pinned(repo: str, revision: str | None) -> str:
    """Return the commit of a branch, tag or commit; without a connection, the one that the cache has."""
    from huggingface_hub import snapshot_download

    place = snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=["README.md"])
    return Path(place).name


def folders_of(name: HubName) -> tuple[Path, ...]:
    """Return where the files of a data set lie: its folder, or the caches of the library."""
    from datasets import config
    from huggingface_hub import constants

    places = (config.HF_DATASETS_CACHE, constants.HF_HUB_CACHE) if name.folder is None else (name.folder,)
    return tuple(Path(place).resolve() for place in places)


def check_revision(tables: Mapping[str, Any], revision: str | None, name: HubName) -> None:
    """Raise DataError when the library took another revision from its cache, as without a connection."""
    paths = [file["filename"] for table in tables.values() for file in table.cache_files]
    found = {part for path in paths for part in Path(path).parts if COMMIT.fullmatch(part)}
    if revision is not None and found - {revision}:
        raise DataError(
            f"{name.text}: the cache has revision {', '.join(sorted(found))}, not {revision}, and the Hub "
            f"cannot be reached"
        )


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
