"""Requests that no honest client sends: images, forms and heads, broken in many ways, each from a seed."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from random import Random
from typing import Any

from PIL import ExifTags, Image

SIDE = 48
EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00")
TYPES = (
    "image/png",
    "image/jpeg",
    "text/plain",
    "application/json",
    "",
    "multipart/form-data",
    "image/png; x=é",
)
GOOD_QUERIES = ("", "?top=1", "?top=3&maps=grid", "?maps=png")
QUERIES = (*GOOD_QUERIES, *GOOD_QUERIES, "?top=0", "?top=x", "?maps=all", "?" + "a" * 500, "?%00=%ff")
BOUNDARY = b"frontier"


@dataclass(frozen=True)
class Case:
    """A request as bytes, and what was done to it."""

    kind: str
    request: bytes


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield requests; the same ones for the same seed."""
    random = Random(seed)
    for _ in range(count):
        kind = random.choices(tuple(KINDS), weights=(5, 2, 1))[0]
        yield Case(kind, KINDS[kind](random))


def broken_image(random: Random) -> bytes:
    """Return a request with a broken image as its body."""
    body = mutated(random, random.choice(images()))
    return request(body, random.choice(TYPES), random.choice(QUERIES))


def broken_form(random: Random) -> bytes:
    """Return a request with a form whose images, or whose own bytes, are broken."""
    parts = [random.choice(images()) for _ in range(random.randint(0, 3))]
    names = [random.choice(("a.png", "", "../../etc/passwd", "é\x00", 'x"y', "n" * 3000)) for _ in parts]
    body = b"".join(map(form_part, names, parts)) + b"--" + BOUNDARY + b"--\r\n"
    if random.random() < 0.8:
        body = mutated(random, body)
    boundary = random.choice(
        (BOUNDARY.decode(), BOUNDARY.decode(), BOUNDARY.decode(), "", "other", "b" * 400)
    )
    return request(body, f"multipart/form-data; boundary={boundary}", random.choice(QUERIES))


def broken_head(random: Random) -> bytes:
    """Return a request whose head is broken, so that it may be no HTTP at all."""
    whole = request(random.choice(images()), "image/png", random.choice(QUERIES))
    end = whole.index(b"\r\n\r\n") + 4
    return mutated(random, whole[:end]) + whole[end:]


KINDS: dict[str, Callable[[Random], bytes]] = {
    "image": broken_image,
    "form": broken_form,
    "head": broken_head,
}


def request(body: bytes, content_type: str, query: str = "") -> bytes:
    """Write a request; its connection closes after the answer."""
    head = (
        f"POST /v1/predict{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form_part(name: str, content: bytes) -> bytes:
    """Write one file of a form."""
    head = (
        f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    )
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + content + b"\r\n"


def mutated(random: Random, data: bytes) -> bytes:
    """Break bytes in one to four ways."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(WAYS)(random, bytearray(data))
    return data


def _flip(random: Random, data: bytearray) -> bytes:
    for _ in range(random.randint(1, 20)):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def _cut(random: Random, data: bytearray) -> bytes:
    return bytes(data[: random.randint(0, len(data))])


def _extreme(random: Random, data: bytearray) -> bytes:
    place, value = random.randint(0, min(len(data), 200)), random.choice(EXTREMES)
    data[place : place + len(value)] = value
    return bytes(data)


def _insert(random: Random, data: bytearray) -> bytes:
    place = random.randint(0, len(data))
    data[place:place] = random.randbytes(random.randint(1, 200))
    return bytes(data)


def _repeat(random: Random, data: bytearray) -> bytes:
    start, end = sorted(random.randint(0, len(data)) for _ in range(2))
    return bytes(data[:end] + data[start:])


def _splice(random: Random, data: bytearray) -> bytes:
    other = random.choice(images())
    return bytes(data[: random.randint(0, len(data))]) + other[random.randint(0, len(other)) :]


WAYS: tuple[Callable[[Random, bytearray], bytes], ...] = (_flip, _cut, _extreme, _insert, _repeat, _splice)


@cache
def images() -> tuple[bytes, ...]:
    """Return whole images in every format that is taken, and in many modes."""
    noise = Image.effect_noise((SIDE, SIDE), 90)
    colour = Image.merge("RGB", [noise, noise.transpose(Image.Transpose.ROTATE_90), noise])
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    made: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "JPEG", {}),
        (colour, "JPEG", {"progressive": True, "exif": turned}),
        (colour.convert("CMYK"), "JPEG", {}),
        (noise, "JPEG", {}),
        *((colour.convert(mode), "PNG", {}) for mode in ("RGB", "RGBA", "P", "1", "LA")),
        (noise.convert("I;16"), "PNG", {}),
        (colour, "PNG", {"save_all": True, "append_images": [colour, colour]}),
        (colour, "GIF", {"save_all": True, "append_images": [noise, colour]}),
        (colour, "WEBP", {}),
        (colour.convert("RGBA"), "WEBP", {"lossless": True}),
        *((colour, "TIFF", {"compression": name}) for name in ("raw", "tiff_lzw", "jpeg", "tiff_deflate")),
        (noise.convert("F"), "TIFF", {}),
        (colour, "BMP", {}),
        (colour, "PPM", {}),
        (noise, "PPM", {}),
    ]
    return tuple(map(_encoded, made))


def _encoded(made: tuple[Image.Image, str, dict[str, Any]]) -> bytes:
    image, kind, options = made
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def send(port: int, request: bytes, seconds: float = 30.0) -> int | None:
    """Send bytes to a server on this machine; return the status of its first answer, None without one."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(request)
            if not is_whole(request):
                connection.shutdown(socket.SHUT_WR)  # or the server would wait for the rest
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionError:
            pass  # it may close on us, with or without an answer
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else None


def is_whole(request: bytes) -> bool:
    """Tell whether the head announces the body that follows it, and that nothing comes after."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length, closes = f"Content-Length: {len(body)}".encode(), b"Connection: close"
    return lines[0].startswith(b"POST /v1/predict") and length in lines and closes in lines
