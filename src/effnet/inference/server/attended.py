"""Work that is given up when its client leaves."""

import asyncio
from types import TracebackType

from starlette.requests import ClientDisconnect, Request

PATIENCE_SECONDS = 0.2
"""Work that takes no longer is not even asked about: to ask takes time itself."""


class Attended:
    """Cancels what is awaited inside when the client leaves; its body must have been read.

    Raises:
        ClientDisconnect: it has left.

    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._has_left = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        """Begin to wait."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._ask)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if kind is asyncio.CancelledError and self._has_left:
            self._task.uncancel()
            raise ClientDisconnect from None

    def _ask(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        await self._request.receive()  # after the body, a message comes only when the client leaves
        self._has_left = True
        self._task.cancel()
