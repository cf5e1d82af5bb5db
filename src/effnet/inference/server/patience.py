"""Connections that end when their client is too slow: to ask, or to take its answer."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 34\r\n\r\nthe request did not come in time.\n"
)


class PatientConfig(uvicorn.Config):
    """uvicorn's configuration, and how long a client may take."""

    patience: float = 30.0
    """Seconds from the connection, or a request's first byte, to the end of its head; and for its answer."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 by h11, which bounds the size of a head; this bounds its time."""

    def __init__(self, config: PatientConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._patience = config.patience
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait for the rest of a head, if there is one."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_head()
        else:
            self._await_head()

    def on_response_complete(self) -> None:
        """See to it that the end of the answer is taken."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size() > 0:
            self._await_reader()

    def pause_writing(self) -> None:
        """See to it that a long answer is taken."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Go on: it was taken."""
        super().resume_writing()
        self._forget_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._forget_head()
        self._forget_reader()
        super().connection_lost(exc)

    def _await_reader(self) -> None:
        if self._answer is None:
            self._answer = self.loop.call_later(self._patience, self._break_off)

    def _forget_reader(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def _await_head(self) -> None:
        if self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self._patience, self._give_up)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()

    def _break_off(self) -> None:
        self._answer = None
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
