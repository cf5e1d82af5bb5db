"""The body of a request: read within its limits, and taken apart into images."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from effnet.inference.server.refusals import RefusedError, busy
from effnet.inference.server.settings import MEGA, ServeSettings

MAX_FIELDS = 16
MAX_NAME = 200
_NO_IMAGE = (
    "there is no image in the request: send its bytes as the body, or a form with files "
    "(curl --data-binary @photo.jpg, or curl -F image=@photo.jpg)"
)


@dataclass(frozen=True)
class Upload:
    """An image as it was sent: what its sender calls it, and its bytes."""

    name: str
    content: bytes


class Held:
    """How many bytes of bodies are in memory, all requests together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Hold bytes for one request, until its answer is made."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes


@dataclass
class Share:
    """The bytes of one request."""

    held: Held
    bytes: int = 0

    def take(self, count: int) -> None:
        """Hold more bytes.

        Raises:
            RefusedError: all requests together hold too many.

        """
        if self.held.bytes + count > self.held.limit:
            raise busy("the server holds as many bytes as it may", 1.0)
        self.held.bytes += count
        self.bytes += count


async def read_body(request: Request, settings: ServeSettings, share: Share) -> bytes:
    """Read a body that is small enough and comes fast enough; no more of it than that is read.

    Raises:
        RefusedError: 408, 413, 415 or 503.
        ClientDisconnect: the client left.

    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "compressed bodies are not taken: send the image as it is")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.body_bytes:
        raise _too_large(settings)
    chunks: list[bytes] = []
    has_more = True
    try:
        async with asyncio.timeout(settings.timeout):
            while has_more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk = message.get("body", b"")
                if share.bytes + len(chunk) > settings.body_bytes:
                    raise _too_large(settings)
                share.take(len(chunk))
                chunks.append(chunk)
                has_more = message.get("more_body", False)
    except TimeoutError:
        raise RefusedError(408, f"the request did not arrive within {settings.timeout:g} s") from None
    return b"".join(chunks)


def _too_large(settings: ServeSettings) -> RefusedError:
    return RefusedError(
        413, f"the body is larger than {settings.body_bytes / MEGA:g} MB; send a smaller image"
    )


def uploads(body: bytes, content_type: str, max_images: int) -> list[Upload]:
    """Take a body apart: a form gives its files, anything else is one image.

    Raises:
        RefusedError: 400, a damaged form, or one without files; 413, too many files.

    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        found = [Upload("image", body)] if body else []
    else:
        found = _Form(max_images).parse(body, options.get(b"boundary", b""))
    if not found:
        raise RefusedError(400, _NO_IMAGE)
    return found


@dataclass
class _Form:
    """Gathers the files of a form, in memory; other fields are passed over."""

    max_files: int
    files: list[Upload] = field(default_factory=list)
    name: str | None = None
    content: list[bytes] = field(default_factory=list)
    header: tuple[bytes, bytes] = (b"", b"")
    fields: int = 0

    def parse(self, body: bytes, boundary: bytes) -> list[Upload]:
        if not boundary:
            raise RefusedError(400, "the form names no boundary")
        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self.begin,
                    "on_header_field": self.on_header_field,
                    "on_header_value": self.on_header_value,
                    "on_header_end": self.on_header_end,
                    "on_part_data": self.on_data,
                    "on_part_end": self.end,
                },
            )
            parser.write(body)
            parser.finalize()
        except FormParserError:
            raise RefusedError(400, "the form is damaged: it is no multipart/form-data") from None
        return self.files

    def begin(self) -> None:
        self.name, self.content, self.header = None, [], (b"", b"")

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header = self.header[0] + data[start:end], self.header[1]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.header = self.header[0], self.header[1] + data[start:end]

    def on_header_end(self) -> None:
        (key, value), self.header = self.header, (b"", b"")
        if key.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            if b"filename" in options:
                self.name = options[b"filename"].decode("utf-8", "replace")[:MAX_NAME]

    def on_data(self, data: bytes, start: int, end: int) -> None:
        if self.name is not None:
            self.content.append(data[start:end])

    def end(self) -> None:
        if self.name is not None:
            self.files.append(Upload(self.name or f"image {len(self.files)}", b"".join(self.content)))
        else:
            self.fields += 1
        if len(self.files) > self.max_files:
            raise RefusedError(
                413, f"more than {self.max_files} images in one request; send several requests"
            )
        if self.fields > MAX_FIELDS:
            raise RefusedError(400, "the form has too many fields that are no files")
