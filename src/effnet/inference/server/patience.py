"""Connections that end when their client is too slow: to ask, or to take its answer."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 32_768
MAX_PIPELINED = (
    16  # uvicorn reads on with each answer: who never reads them could fill the memory with requests
)
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 34\r\n\r\nthe request did not come in time.\n"
)


class PatientConfig(uvicorn.Config):
    """uvicorn's configuration, and how long a client may take."""

    patience: float = 30.0
    """Seconds from the connection, or a request's first byte, to the end of its head; and for its answer."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it with httptools, with bounds on time, and on what is kept of a connection.

    One request at a time: one that comes before the answer to the last is dropped, and the connection ends
    with that answer. uvicorn would keep all such requests, which never end where nobody reads the answers.
    """

    def __init__(self, config: PatientConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._patience = config.patience
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._answer: asyncio.TimerHandle | None = None
        self._is_deaf = False

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait for the rest of a head, if there is one."""
        if self._is_deaf:
            return
        super().data_received(data)
        if self.is_busy:
            self._forget_head()
            return
        self._await_head()
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or drop it."""
        if self.is_busy:
            self._is_deaf = True
            self.cycle.keep_alive = False
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._is_deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        if not self._is_deaf:
            super().on_message_complete()

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
        self._head_bytes = 0
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
