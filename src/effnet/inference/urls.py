"""Images that have a URL, in any storage that fsspec knows: s3://, gs://, https:// and others."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from effnet.errors import DataError, EffnetError, MissingExtraError, UsageError
from effnet.imaging.decode import EXTENSIONS

MARK = "://"
PAUSES = (0.5, 2.0)  # seconds before another try, where a storage fails


@dataclass(frozen=True)
class Url:
    """An image, or what is above images, in a storage."""

    text: str

    def __str__(self) -> str:
        return self.text

    def read(self) -> bytes:
        """Return the bytes of an image.

        Raises:
            DataError: there is none.
            EffnetError: the storage fails, again and again.

        """
        for pause in (*PAUSES, None):
            try:
                system, path = _storage(self.text)
                content: bytes = system.cat_file(path)
            except EffnetError:
                raise
            except (FileNotFoundError, IsADirectoryError):
                raise DataError(f"{self.text}: no such file") from None
            except Exception as error:  # each storage has kinds of its own, most of them no OSError
                if pause is None:
                    raise _failure(self.text, error) from error
                time.sleep(pause)
            else:
                return content
        raise AssertionError  # the last try has returned or raised

    def images(self) -> Iterator["Url"]:
        """Yield the images below, folder by folder in the order of their names, or itself if it is a file.

        The names of one folder are in memory at a time. What is hidden is left out.

        Raises:
            DataError: nothing is there.
            EffnetError: the storage fails.
            MissingExtraError: a library for this storage is missing.

        """
        system, path = _storage(self.text)
        try:
            if not system.exists(path):
                raise DataError(f"{self.text}: no such file or folder")
            if not self.text.endswith("/") and system.isfile(path):  # over http any page is a file
                yield self
                return
            for name in _below(system, path):
                yield Url(system.unstrip_protocol(name))
        except EffnetError:
            raise
        except Exception as error:
            raise _failure(self.text, error) from error


def is_url(text: str) -> bool:
    """Tell a URL from a path."""
    return MARK in text


def _below(system: Any, folder: str) -> Iterator[str]:
    entries = {entry["name"].rstrip("/"): entry["type"] for entry in system.ls(folder, detail=True)}
    entries.pop(folder.rstrip("/"), None)  # a folder of S3 may be an empty object beside its images
    for path in sorted(entries, key=lambda path: PurePosixPath(path).name):
        name = PurePosixPath(path).name
        if name.startswith("."):
            continue
        if entries[path] == "directory":
            yield from _below(system, path)
        elif name[name.rfind(".") :].lower() in EXTENSIONS:
            yield path


def _storage(url: str) -> tuple[Any, str]:
    """Return the storage of a URL, which fsspec keeps, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"{url}: it needs fsspec; install it with: pip install 'effnet[remote]'"
        ) from None
    try:
        found: tuple[Any, str] = url_to_fs(url)
    except ImportError as error:  # fsspec says which library the storage needs
        raise MissingExtraError(f"{url}: {error}") from None
    except ValueError as error:
        raise UsageError(f"{url}: {error}") from None
    return found


def _failure(url: str, error: Exception) -> EffnetError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return EffnetError(f"{url}: the storage fails: {reason}; the same command goes on after what is done")
