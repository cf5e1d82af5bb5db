"""The routes of the API; that of predictions is described here, and answered by `predict.py`."""

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from effnet.imaging import preprocess as preprocessing
from effnet.inference.server.describe import PROBLEMS, REQUEST
from effnet.inference.server.predict import PATH, predict
from effnet.inference.server.refusals import PlainJson
from effnet.inference.server.schema import ModelAnswer, PredictAnswer, ReadyAnswer
from effnet.inference.server.seeing import FORMATS
from effnet.inference.server.site import name_of, site_of
from effnet.spec import netspec

ROUTER = APIRouter()

ROUTER.post(
    PATH,
    summary="Classify one or several images",
    response_model=PredictAnswer,
    response_model_exclude_none=True,
    responses=PROBLEMS,
    openapi_extra=REQUEST,
)(predict)


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


@ROUTER.head("/healthz", include_in_schema=False)  # many a probe asks for no more
@ROUTER.get("/healthz", summary="Whether the process lives", response_class=PlainTextResponse)
async def health() -> str:
    """Answer 200 as long as it runs."""
    return "ok\n"


@ROUTER.head("/readyz", include_in_schema=False)
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
