"""The routes of the API."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from effnet.imaging import preprocess as preprocessing
from effnet.inference.server.answers import ModelAnswer, PredictAnswer, ProblemAnswer, ReadyAnswer
from effnet.inference.server.bodies import read_body, uploads
from effnet.inference.server.live import Served
from effnet.inference.server.maps import MAP_KINDS
from effnet.inference.server.refusals import PlainJson, RefusedError, response
from effnet.inference.server.seeing import FORMATS, MAX_MAPS, Wanted
from effnet.inference.server.service import Answer
from effnet.inference.server.site import Site
from effnet.spec import netspec

T = TypeVar("T")
PATIENCE_SECONDS = 0.2  # before it is asked whether the client is still there

ROUTER = APIRouter()
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {
        "model": ProblemAnswer,
        "description": "No image in the request, a damaged form, a wrong parameter",
    },
    401: {"model": ProblemAnswer, "description": "The token is missing or wrong"},
    408: {"model": ProblemAnswer, "description": "The request did not arrive in time"},
    413: {"model": ProblemAnswer, "description": "The body is too large, or holds too many images"},
    415: {"model": ProblemAnswer, "description": "Not an image"},
    422: {"model": ProblemAnswer, "description": "An image that is damaged, or has too many pixels"},
    503: {
        "model": ProblemAnswer,
        "description": "Too much work in hand; Retry-After says when to come again",
    },
}
_BINARY = {"type": "string", "format": "binary"}
_REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": "top",
            "in": "query",
            "description": "Classes to name, the most probable first.",
            "schema": {"type": "integer", "minimum": 1, "default": 5},
        },
        {
            "name": "maps",
            "in": "query",
            "description": "Also say where in the picture each class is seen.",
            "schema": {"type": "string", "enum": list(MAP_KINDS), "default": "none"},
        },
    ],
    "requestBody": {
        "required": True,
        "description": "One image as it is, or a form with one or several files.",
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"image": {"type": "array", "items": _BINARY}}}
            },
        },
    },
}


def site_of(request: Request) -> Site:
    """Return what all requests share."""
    site: Site = request.app.state.site
    return site


@ROUTER.post(
    "/v1/predict",
    summary="Classify one or several images",
    response_model=PredictAnswer,
    response_model_exclude_none=True,
    responses=PROBLEMS,
    openapi_extra=_REQUEST,
)
async def predict(request: Request) -> Response:
    """Several images are answered side by side; if none can be read, the answer is the first problem."""
    site = site_of(request)
    wanted = wanted_of(request.query_params)
    site.service.check_room()
    with site.held.share() as share:
        body = await read_body(request, site.settings, share)
        most = min(site.settings.max_images, site.settings.queue)
        found = uploads(body, request.headers.get("content-type", ""), most)
        request.state.fields.update(bytes=len(body), images=len(found))
        del body
        model, answers = await while_connected(request, site.service.answers(found, wanted))
    problems = [answer for answer in answers if isinstance(answer, RefusedError)]
    if len(problems) == len(answers):
        raise problems[0]
    predictions = [_entry(upload.name, answer) for upload, answer in zip(found, answers, strict=True)]
    return PlainJson({"model": name_of(model), "predictions": predictions})


def wanted_of(query: Mapping[str, str]) -> Wanted:
    """Read the parameters; by hand, since FastAPI's way takes longer than all the rest of this route.

    Raises:
        RefusedError: 400, a parameter is wrong.

    """
    top, maps = query.get("top", "5"), query.get("maps", "none")
    if not (top.isascii() and top.isdecimal() and len(top) < 10 and int(top) > 0):
        raise RefusedError(400, f"top = {top[:50]!r}: must be a whole number, at least 1")
    kind = MAP_KINDS.get(maps)
    if kind is None:
        raise RefusedError(400, f"maps = {maps[:50]!r}: must be one of {', '.join(MAP_KINDS)}")
    if kind != "none" and int(top) > MAX_MAPS:
        raise RefusedError(400, f"top = {top}: with maps at most {MAX_MAPS} classes are named")
    return Wanted(int(top), kind)


def _entry(name: str, answer: Answer | RefusedError) -> Answer:
    return {"image": name, "problem": answer.to_dict()} if isinstance(answer, RefusedError) else answer


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for a result as long as somebody wants it.

    Raises:
        ClientDisconnect: nobody does any more; the work is cancelled.

    """
    task = asyncio.ensure_future(work)
    waited_for: set[asyncio.Future[Any]] = {task}
    try:
        await asyncio.wait(waited_for, timeout=PATIENCE_SECONDS)
        if not task.done():  # after the body, a message comes only when the client leaves
            waited_for.add(asyncio.ensure_future(request.receive()))
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for waiting in waited_for:
            waiting.cancel()


def name_of(served: Served) -> dict[str, str]:
    """Say which model it is."""
    return {"network": served.classifier.header.spec.name, "version": served.version}


@ROUTER.get(
    "/v1/model",
    summary="What the model file says of itself",
    response_model=ModelAnswer,
    responses={401: PROBLEMS[401]},
)
async def model(request: Request) -> Response:
    """Class names, preprocessing, network, metrics, version; and how much the server takes."""
    site = site_of(request)
    served, settings = site.live.current, site.settings
    header, record = served.classifier.header, served.classifier.export
    limits = {
        "body_bytes": settings.body_bytes, "images": settings.max_images,
        "pixels": settings.max_pixels, "formats": FORMATS,
    }  # fmt: skip
    return PlainJson(
        {
            **name_of(served),
            "loaded": served.loaded,
            "class_names": header.class_names,
            "preprocess": preprocessing.to_dict(header.preprocess),
            "spec": netspec.to_dict(header.spec),
            "temperature": header.temperature,
            "metrics": dict(header.metrics),
            "export": dict(record),
            "effnet_version": header.effnet_version,
            "limits": limits,
        }
    )


@ROUTER.get("/healthz", summary="Whether the process lives", response_class=PlainTextResponse)
async def health() -> str:
    """Answer 200 as long as it runs."""
    return "ok\n"


@ROUTER.get(
    "/readyz",
    summary="Whether requests are taken",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer}},
)
async def ready(request: Request) -> Response:
    """Answer 200, or 503 when the server was told to stop. A model file that was refused is named."""
    site = site_of(request)
    answer = {
        "status": "draining" if site.is_draining else "ready",
        "model": name_of(site.live.current),
        "problem": site.live.problem,
    }
    return PlainJson(answer, 503 if site.is_draining else 200)


@ROUTER.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Requests, images, stages, batches, memory."""
    return Response(site_of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def refused(_: Request, error: Exception) -> Response:
    """Turn a refusal into its answer."""
    assert isinstance(error, RefusedError)  # registered for nothing else
    return response(error)
