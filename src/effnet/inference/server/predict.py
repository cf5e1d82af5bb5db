"""The route of predictions: from a request to the answer to its images."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from effnet.inference.server.attended import Attended
from effnet.inference.server.bodies import read_body, uploads
from effnet.inference.server.maps import MAP_KINDS
from effnet.inference.server.refusals import PlainJson, RefusedError
from effnet.inference.server.seeing import MAX_MAPS, Wanted
from effnet.inference.server.service import Answer
from effnet.inference.server.site import name_of, site_of

PATH = "/v1/predict"


async def predict(request: Request) -> Response:
    """Several images are answered side by side; if none can be read, the answer is the first problem."""
    if request.method != "POST":
        raise RefusedError(405, f"this address does not take {request.method}", {"allow": "POST"})
    site = site_of(request)
    wanted = wanted_of(request.query_params)
    site.service.check_room()
    with site.held.share() as share:
        body = await read_body(request, site.settings, share)
        most = min(site.settings.max_images, site.settings.queue)
        found = uploads(body, request.headers.get("content-type", ""), most)
        request.state.fields.update(bytes=len(body), images=len(found))
        del body
        with Attended(request):
            model, answers = await site.service.answers(found, wanted)
    problems = [answer for answer in answers if isinstance(answer, RefusedError)]
    if len(problems) == len(answers):
        raise problems[0]
    predictions = [_entry(upload.name, answer) for upload, answer in zip(found, answers, strict=True)]
    return PlainJson({"model": name_of(model), "predictions": predictions})


class Predict:
    """The same as an application of its own, without the layers of a framework."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what is refused is raised."""
        answer = await predict(Request(scope, receive))
        await answer(scope, receive, send)


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
