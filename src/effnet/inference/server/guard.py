"""The outermost layer: who may ask, what every answer carries, one line of log a request."""

import asyncio
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from effnet.inference.server.logs import bug, log
from effnet.inference.server.page import ASSETS, POLICY
from effnet.inference.server.refusals import RefusedError, failure, response
from effnet.inference.server.site import Site

# Open to everybody: the page, which asks for the token, and what tells a supervisor that the server lives.
OPEN = frozenset({*ASSETS, "/healthz", "/readyz", "/openapi.json"})
KNOWN = OPEN | {"/v1/predict", "/v1/model", "/metrics"}
HERE = frozenset({"localhost", "127.0.0.1", "[::1]", ""})

Fields = list[tuple[bytes, bytes]]

# An answer that is data; uvicorn reads each of these letter by letter, so there is none too many.
DATA_HEADERS: Fields = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
PAGE_HEADERS: Fields = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=()"),
]
NOT_KEPT = (b"cache-control", b"no-store")
LINGER_SECONDS = 2.0
LINGER_BYTES = 64_000_000


# A random part for the process and a number are an id without a system call.
_PROCESS, _NUMBERS = token_hex(4), count(1)


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self.site = site
        self.hosts = HERE | set(site.settings.allow_host) if is_loopback(site.settings.host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it; in every case it is counted and logged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        fields = {"id": exchange.id}
        scope.setdefault("state", {}).update(fields=fields, site=self.site)
        started = perf_counter()
        try:
            await self._answer(scope, exchange)
        except ClientDisconnect:
            exchange.status = 499  # as nginx has it: the client did not wait
        finally:
            # After this turn of the event loop, at whose end the answer goes out: nobody waits for the log.
            seconds = perf_counter() - started
            asyncio.get_running_loop().call_soon(self._record, scope, exchange, fields, seconds)

    async def _answer(self, scope: Scope, exchange: "Exchange") -> None:
        try:
            self._check(scope["path"], exchange.asked)
            await self.app(scope, exchange.receive, exchange.send)
        except RefusedError as refused:
            await response(refused)(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            raise
        except Exception as error:
            bug("request failed", error, id=exchange.id)
            if exchange.status is None:
                await response(failure(exchange.id))(scope, exchange.receive, exchange.send)
            elif not exchange.is_over:
                raise  # half an answer is out: the connection breaks

    def _check(self, path: str, asked: Mapping[bytes, bytes]) -> None:
        """Refuse who may not ask."""
        host = _without_port(asked.get(b"host", b"").decode("latin-1").lower())
        if self.hosts is not None and host not in self.hosts:
            raise RefusedError(
                421, "this server is not known by that name; it takes more with --allow-host NAME"
            )
        token = self.site.token
        if token is None or path in OPEN or _bears(asked, token):
            return
        raise RefusedError(401, "this server asks for a token", {"www-authenticate": 'Bearer realm="effnet"'})

    def _record(self, scope: Scope, exchange: "Exchange", fields: dict[str, Any], seconds: float) -> None:
        path = scope["path"] if scope["path"] in KNOWN else "other"
        status = exchange.status or 500
        self.site.metrics.requests.labels(path, status).inc()
        self.site.metrics.seconds.labels(path).observe(seconds)
        client = scope.get("client")
        level = "error" if status == 500 else "info"
        log(
            "request", level, **fields, client=client[0] if client else None, method=scope["method"],
            path=scope["path"][:200], status=status, ms=round(1000 * seconds, 1),
        )  # fmt: skip


class Exchange:
    """One request and its answer, watched on the way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked: Mapping[bytes, bytes] = dict(scope["headers"])
        """The headers of the request, whose names uvicorn writes small."""
        self.id = f"{_PROCESS}-{next(_NUMBERS)}"
        self.status: int | None = None
        self.is_over = False
        """Whether the whole answer is out."""
        self._receive = receive
        self._send = send
        self._headers = PAGE_HEADERS if scope["path"] in ASSETS else DATA_HEADERS
        self._has_all = (
            self.asked.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in self.asked
        )

    async def receive(self) -> Message:
        """Pass a message of the client on."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._has_all = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the server on, with the headers that every answer carries.

        An answer before the end of the request closes the connection, but not at once: a client that is still
        sending would lose the answer when its bytes meet a closed door.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self._headers, (b"x-request-id", self.id.encode())]
            if not any(name == b"cache-control" for name, _ in message["headers"]):
                headers.append(NOT_KEPT)
            if not self._has_all:
                headers.append((b"connection", b"close"))
            await self._send({**message, "headers": headers})
        elif message.get("more_body", False):
            await self._send(message)
        elif self._has_all or self.status == HTTPStatus.REQUEST_TIMEOUT:
            self.is_over = True
            await self._send(message)
        else:
            self.is_over = True
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _linger(self) -> None:
        """Read on for a while, and forget what comes."""
        count = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._has_all and count < LINGER_BYTES:
                    count += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _without_port(host: str) -> str:
    end = host.rfind(":")
    return host if end < 0 or host.endswith("]") else host[:end]


def _bears(asked: Mapping[bytes, bytes], token: str) -> bool:
    """Compare without telling by the time how much of it is right."""
    return hmac.compare_digest(asked.get(b"authorization", b""), f"Bearer {token}".encode())
