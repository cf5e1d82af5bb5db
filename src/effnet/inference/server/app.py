"""The application: the route of predictions, FastAPI with all others, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from effnet import __version__
from effnet.inference.server.api import ROUTER
from effnet.inference.server.guard import Guard
from effnet.inference.server.page import ROUTES
from effnet.inference.server.predict import PATH, Predict
from effnet.inference.server.refusals import RefusedError, failure, response
from effnet.inference.server.site import Site


def create_app(site: Site) -> ASGIApp:
    """Build the application of one server; its lifespan computes and watches the model file.

    Predictions do not go through FastAPI, which describes them: its layers take as long as all else that
    happens around a small network.
    """
    api = FastAPI(
        title="effnet",
        version=__version__,
        summary="Image classification by one model file.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    api.include_router(ROUTER)
    api.router.routes.extend(ROUTES)
    api.add_exception_handler(HTTPException, _no_such_thing)
    api.add_exception_handler(Exception, _failed)
    return Guard(Fork(Router([Mount("", app=api)], lifespan=_lifespan(site))), site)


class Fork:
    """Sends predictions one way, by the shortest, and all other requests another."""

    def __init__(self, others: ASGIApp) -> None:
        self._others = others
        self._predict = Predict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_prediction = scope["type"] == "http" and scope["path"] == PATH
        await (self._predict if is_prediction else self._others)(scope, receive, send)


def _lifespan(site: Site) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    def told(outcome: str) -> None:
        site.metrics.swaps.labels(outcome).inc()
        site.describe()

    @asynccontextmanager
    async def run(_: Any) -> AsyncIterator[None]:
        site.service.batcher.start()
        watching = asyncio.create_task(site.live.watch(site.settings.watch_seconds, told))
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await asyncio.to_thread(site.service.batcher.close)

    return run


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    detail = {
        404: "there is nothing here; see /openapi.json",
        405: f"this address does not take {request.method}",
    }.get(error.status_code, str(error.detail))
    return response(RefusedError(error.status_code, detail, error.headers))


async def _failed(request: Request, _: Exception) -> Response:
    return response(failure(request.state.fields["id"]))
