"""Bring a file from the web: resumed where it broke off, and used only when its MD5 is right."""

import hashlib
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from effnet.errors import DataError, UsageError
from effnet.files import cache_folder

OnProgress = Callable[[int, int | None], None]
"""Told how many bytes are there, of how many (None while the server has not said)."""

CHUNK_BYTES = 1 << 18
MAX_BYTES = 1 << 30  # several times what we expect; an endless answer must not fill the disk
TIMEOUT = 30.0  # seconds without a byte
WAITS = (1.0, 2.0, 4.0)  # seconds before each further try that brings nothing new
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that another try may not meet
PARTIAL, BEYOND_THE_END = 206, 416


def ignore(done: int, total: int | None) -> None:
    """Follow no progress."""


def downloads_folder() -> Path:
    """Return where downloads are kept: `$EFFNET_DATA`, else `effnet` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return cache_folder("EFFNET_DATA").absolute()


def fetch(url: str, path: Path, md5: str, on_progress: OnProgress = ignore) -> None:
    """Make sure that `path` is the file with this MD5: use what is there, else download it.

    The bytes go to `path` with `.part` behind it, which the next call goes on with, and which gets its name
    when it is complete and right.

    Args:
        url: https, or http on this machine.
        path: where the file belongs.
        md5: what its content must hash to, in hexadecimal.
        on_progress: told of the bytes, for a progress bar.

    Raises:
        DataError: no connection (says what to put where by hand), a wrong MD5, or `path` cannot be written.
        UsageError: a URL of another kind.

    """
    from filelock import FileLock

    if path.exists():
        check_present(path, md5)
        return
    if not is_safe(url):
        raise UsageError(f"cannot download {url}: it is not https")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # one process downloads, the others find the file
            if not path.exists():
                Download(url, path, md5, on_progress).run()
    except OSError as error:  # those of the connection are caught where they arise
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def check_present(path: Path, md5: str) -> None:
    """Raise DataError when a file that is there is not the right one; it is not ours to delete."""
    try:
        found = md5_of(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if found != md5:
        raise DataError(
            f"{path} is damaged or another file: its md5 is {found}, expected {md5}; "
            f"remove it, and it will be downloaded"
        )


def md5_of(path: Path) -> str:
    """Return the MD5 of a file's content: it finds damage; that nobody meddles is for https."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def is_safe(url: str) -> bool:
    """Tell whether a URL is https, or http on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


class ConnectionLostError(Exception):
    """A request did not bring the whole file; another one may."""


class Download:
    """One file on its way."""

    def __init__(self, url: str, path: Path, md5: str, on_progress: OnProgress) -> None:
        self.url = url
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self.md5 = md5
        self.on_progress = on_progress
        self.version: str | None = None
        """What the server calls this version of the file: its ETag or its date."""
        self.total: int | None = None

    def run(self) -> None:
        """Download, verify, and give the file its name."""
        left_over = self._size() > 0
        if not (left_over and md5_of(self.part) == self.md5):
            self._receive_all()
            if left_over and md5_of(self.part) != self.md5:  # perhaps the beginning was that of another file
                self.part.unlink()
                self._receive_all()
        found = md5_of(self.part)
        if found != self.md5:
            self.part.unlink()
            raise DataError(f"{self.url} is damaged or has changed: its md5 is {found}, expected {self.md5}")
        self.part.replace(self.path)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _receive_all(self) -> None:
        """Send requests until one reaches the end; give up when too many in a row bring nothing new."""
        reached, failures = self._size(), 0
        while True:
            try:
                self._receive()
                return
            except ConnectionLostError as error:
                failures = 0 if self._size() > reached else failures + 1
                reached = max(reached, self._size())
                if failures > len(WAITS):
                    raise self._failure(str(error)) from error
                time.sleep(WAITS[max(0, failures - 1)])

    def _receive(self) -> None:
        """Send one request and store what comes: the rest of the file, or all of it if the server prefers."""
        offset = self._size()
        response = self._request(offset)
        if response is None:  # what we have is not the beginning of what the server has
            self.part.unlink()
            response = self._request(0)
        if response is None:
            raise self._failure("the server sends another part than was asked for")
        with response:
            done = offset if response.status == PARTIAL else 0
            self.total = total_bytes(response)
            self.version = response.headers["ETag"] or response.headers["Last-Modified"]
            self._check_length(self.total or 0)
            with self.part.open("ab" if done else "wb") as file:
                self.on_progress(done, self.total)
                for chunk in chunks(response):
                    file.write(chunk)
                    done += len(chunk)
                    self._check_length(done)
                    self.on_progress(done, self.total)
        if done < (self.total or 0):
            raise ConnectionLostError(f"the connection broke after {done:,} of {self.total:,} bytes")
        if self.total is None:
            self.on_progress(done, done)

    def _request(self, offset: int) -> HTTPResponse | None:
        """Ask for the bytes from `offset` on; None when the server has none that fit ours."""
        request = Request(self.url, headers={"User-Agent": "effnet"})
        if offset:
            request.add_header("Range", f"bytes={offset}-")
            if self.version is not None and not self.version.startswith("W/"):
                request.add_header("If-Range", self.version)
        try:
            response: HTTPResponse = opener(self.url).open(request, timeout=TIMEOUT)
        except HTTPError as error:
            error.close()
            if error.code == BEYOND_THE_END and offset:
                return None
            if error.code in PASSING:
                raise ConnectionLostError(f"the server answers {error.code} {error.reason}") from error
            raise self._failure(f"the server answers {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            raise ConnectionLostError(reason(error)) from error
        if response.status == PARTIAL and not self._continues(response, offset):
            response.close()
            return None
        return response

    def _continues(self, response: HTTPResponse, offset: int) -> bool:
        """Tell whether a partial answer begins where ours ends and belongs to a file of the same length."""
        begins = (response.headers["Content-Range"] or "").startswith(f"bytes {offset}-")
        return offset > 0 and begins and self.total in (None, total_bytes(response))

    def _check_length(self, size: int) -> None:
        if size > MAX_BYTES:
            self.part.unlink(missing_ok=True)
            raise DataError(f"{self.url} is larger than {MAX_BYTES:,} bytes; that is not the file we know")

    def _failure(self, why: str) -> DataError:
        return DataError(
            f"cannot download {self.url}: {why}; try again, or bring the file by hand: "
            f"put it at {self.path} (md5 {self.md5})"
        )


def total_bytes(response: HTTPResponse) -> int | None:
    """Return the length of the whole file, as far as the server says."""
    partial = response.status == PARTIAL
    text = response.headers["Content-Range"] if partial else response.headers["Content-Length"]
    length = (text or "").rpartition("/")[2]
    return int(length) if length.isascii() and length.isdigit() else None


def chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the body piece by piece; the connection's errors become ConnectionLostError."""
    try:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise ConnectionLostError(reason(error)) from error


def reason(error: Exception) -> str:
    """Say in a few words why a connection failed."""
    cause = error.reason if isinstance(error, URLError) else error
    return (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__


def opener(url: str) -> OpenerDirector:
    """Build what opens URLs: redirects stay on https, and this machine is reached without a proxy."""
    direct = [ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    return build_opener(SafeRedirects, *direct)


class SafeRedirects(HTTPRedirectHandler):
    """Follows redirects to https, or on this machine, only."""

    def redirect_request(self, *args: Any) -> Request | None:
        """Build the next request as the standard library does, or none: the redirect is an error then."""
        new_url = args[-1]
        return super().redirect_request(*args) if is_safe(new_url) else None
