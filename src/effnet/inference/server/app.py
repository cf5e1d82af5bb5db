"""The application: routes, page, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from effnet import __version__
from effnet.inference.server.api import ROUTER, predict, refused
from effnet.inference.server.guard import Guard
from effnet.inference.server.page import ROUTES
from effnet.inference.server.refusals import RefusedError, response
from effnet.inference.server.site import Site


def create_app(site: Site) -> ASGIApp:
    """Build the application of one server; its lifespan computes and watches the model file."""
    app = FastAPI(
        title="effnet",
        version=__version__,
        summary="Image classification by one model file.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.site = site
    app.include_router(ROUTER)
    # The description comes from FastAPI's route; this one answers, since FastAPI's way there takes as long as
    # all else that happens around the network.
    app.router.routes.insert(0, Route("/v1/predict", predict, methods=["POST"]))
    app.router.routes.extend(ROUTES)
    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, _no_such_thing)
    app.add_exception_handler(Exception, _failed)
    return Guard(app, site)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    site: Site = app.state.site

    def told(outcome: str) -> None:
        site.metrics.swaps.labels(outcome).inc()
        site.describe()

    work = [
        asyncio.create_task(site.service.run()),
        asyncio.create_task(site.live.watch(site.settings.watch_seconds, told)),
    ]
    try:
        yield
    finally:
        for task in work:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    detail = {
        404: "there is nothing here; see /openapi.json",
        405: f"this address does not take {request.method}",
    }.get(error.status_code, str(error.detail))
    return response(RefusedError(error.status_code, detail, error.headers))


async def _failed(request: Request, _: Exception) -> Response:
    number = request.state.fields["id"]
    return response(RefusedError(500, f"the server failed; its log has the reason under {number}"))
