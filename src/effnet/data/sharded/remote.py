"""Files of any store that fsspec knows: https, s3, gs, …: pieces of them, tried again when a try fails."""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from effnet.data.download import LOOPBACK, is_safe
from effnet.data.labels import show
from effnet.errors import MissingExtraError, UsageError

T = TypeVar("T")

URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
HTTP = ("http", "https")
PIECE = 8 << 20  # bytes asked for at a time
FIRST_WAIT = 0.5  # seconds before the second try; before each further one twice as long
GONE, FORBIDDEN, PARTIAL, BEYOND_THE_END = (404, 410), (401, 403, 407), 206, 416


class LostError(Exception):
    """A file, or a part of it, cannot be had; the text says why."""


class FinalError(LostError):
    """Another try would not help: the file is not there, or it is not for us."""


@dataclass(frozen=True)
class Trying:
    """How often a store is asked, and how long it may take."""

    tries: int = 5
    timeout: float = 60.0
    """Seconds for one answer of at most 8 MiB."""

    @staticmethod
    def from_environment() -> "Trying":
        """Return what EFFNET_SHARD_TRIES and EFFNET_SHARD_TIMEOUT say.

        Raises:
            UsageError: a value that is not allowed; names the variable.

        """
        tries = number("EFFNET_SHARD_TRIES", Trying.tries, least=1)
        return Trying(int(tries), number("EFFNET_SHARD_TIMEOUT", Trying.timeout, least=0.001))


def number(variable: str, default: float, *, least: float) -> float:
    """Return an environment variable as a number."""
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= 1e9:
        raise UsageError(f"${variable} = {text!r}: must be a number from {least:g} to 1e9")
    return value


def is_url(text: str) -> bool:
    """Tell whether DATA is a URL."""
    return URL.match(text) is not None


@dataclass(frozen=True)
class Remote:
    """A folder of a store. It can be sent to another process, which connects itself."""

    url: str
    trying: Trying

    def read(self, file: str, start: int, length: int) -> bytes:
        """Return bytes of a file: exactly as many as are asked for.

        Raises:
            LostError: all tries have failed; says why the last one did.

        """
        return self.tried(lambda: self.once(file, start, length))

    def pieces(self, file: str, size: int) -> Iterator[bytes]:
        """Yield a file of so many bytes piece by piece; raises as `read`."""
        for start in range(0, size, PIECE):
            yield self.read(file, start, min(PIECE, size - start))

    def whole(self, file: str, limit: int) -> bytes:
        """Return a file with no more bytes than `limit`; of a longer one `limit` + 1 bytes.

        Raises:
            LostError: all tries have failed; says why the last one did.

        """
        return self.tried(lambda: self._fetch(file, None, limit))

    def tried(self, action: Callable[[], T]) -> T:
        """Do something until it succeeds, with growing pauses in between.

        Raises:
            LostError: all tries have failed; says why the last one did.

        """
        for attempt in range(self.trying.tries):
            try:
                return action()
            except FinalError:
                raise
            except LostError as error:
                if attempt + 1 == self.trying.tries:
                    raise type(error)(f"{error} ({attempt + 1} tries)") from error
                time.sleep(FIRST_WAIT * 2**attempt)
        raise AssertionError("there is at least one try")

    def once(self, file: str, start: int, length: int) -> bytes:
        """Return bytes of a file, asked for once.

        Raises:
            LostError: they cannot be had; says why.

        """
        content = self._fetch(file, start, length) if length else b""
        if len(content) != length:
            raise LostError(f"{len(content):,} bytes came instead of {length:,}; it may be cut off")
        return content

    def _fetch(self, file: str, start: int | None, limit: int) -> bytes:
        """Ask once for the bytes from `start` on, or for the whole; say in words what went wrong."""
        try:
            return self._ask(file, start, limit)
        except (LostError, MemoryError, UsageError, MissingExtraError):
            raise
        except FileNotFoundError:
            raise FinalError("it is not there") from None
        except PermissionError as error:
            raise FinalError(f"no permission: {in_short(error)}") from error
        except TimeoutError:
            raise LostError(f"no answer within {self.trying.timeout:g} seconds") from None
        except Exception as error:  # errors of stores have no common base
            raise LostError(in_short(error)) from error

    def _ask(self, file: str, start: int | None, limit: int) -> bytes:
        from fsspec.asyn import sync

        store, timeout = self.store(), self.trying.timeout
        path = f"{self.url}/{file}"
        if self.scheme in HTTP:
            answer: bytes = sync(store.loop, over_http, store, path, start, limit, timeout=timeout)
            return answer
        path = store._strip_protocol(path)
        begin = start or 0
        end = begin + limit + (start is None)
        if store.async_impl:
            return bytes(sync(store.loop, store._cat_file, path, start=begin, end=end, timeout=timeout))
        return bytes(store.cat_file(path, start=begin, end=end))

    @property
    def scheme(self) -> str:
        """What stands before `://`."""
        return self.url.partition("://")[0].lower()

    def store(self) -> Any:
        """Return fsspec's file system for the URL; it keeps one for each process.

        Raises:
            MissingExtraError: what it takes is not installed.
            UsageError: no such kind of store.

        """
        try:
            import fsspec

            options: dict[str, Any] = {}
            if self.scheme in HTTP:
                host = urlsplit(self.url).hostname
                options["client_kwargs"] = {"trust_env": host not in LOOPBACK}  # proxies, as elsewhere
            return fsspec.filesystem(self.scheme, **options)
        except ImportError as error:
            raise missing(self.scheme, error) from None
        except ValueError as error:
            if "not known" not in str(error).lower():
                raise
            raise UsageError(
                f"{self.url}: no store is called {self.scheme}://; known are https://, s3://, gs:// …"
            ) from None


def missing(scheme: str, error: ImportError) -> MissingExtraError:
    """Return the error for a library that is not there."""
    if scheme in HTTP or getattr(error, "name", "") == "fsspec":
        return MissingExtraError(
            f"{scheme}:// needs fsspec and aiohttp; install them: pip install 'effnet[remote]'"
        )
    return MissingExtraError(f"{scheme}:// needs a library of its own: {in_short(error)}")


async def over_http(store: Any, url: str, start: int | None, limit: int) -> bytes:
    """Ask a web server for bytes; never take more than `limit` (one more where the whole was asked for)."""
    session = await store.set_session()
    headers = {"Accept-Encoding": "identity", "User-Agent": "effnet"}
    if start is not None:
        headers["Range"] = f"bytes={start}-{start + limit - 1}"
    async with session.get(store.encode_url(url), headers=headers) as answer:
        check_answer(answer, partial=start is not None, start=start)
        most = limit if start is not None else limit + 1
        content = bytearray()
        while len(content) < most and (piece := await answer.content.read(most - len(content))):
            content += piece
        return bytes(content)


def check_answer(answer: Any, *, partial: bool, start: int | None) -> None:
    """Raise LostError where a server answers something else than what was asked for."""
    status = answer.status
    if not is_safe(str(answer.url)):
        raise FinalError(f"the server leads to {show(answer.url.origin())}, which is not https")
    if status in GONE:
        raise FinalError(f"it is not there (status {status})")
    if status in FORBIDDEN:
        raise FinalError(f"the server does not give it to us (status {status})")
    if status == BEYOND_THE_END:
        raise LostError("the file is shorter than the index says")
    if status >= 400:
        raise LostError(f"the server answers {status}")
    if partial and status != PARTIAL:
        raise FinalError("the server answers with whole files and not with the parts asked for (Range)")
    begins = answer.headers.get("Content-Range", "")
    if partial and not begins.startswith(f"bytes {start}-"):
        raise LostError(f"the server sends another part than was asked for: {show(begins)}")


def in_short(error: BaseException) -> str:
    """Say in one line what is wrong; what cannot be printed is escaped."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return text if text.isprintable() else show(text)
