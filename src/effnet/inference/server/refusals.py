"""Answers that are no predictions: a status, and a sentence for whoever asked (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse


class RefusedError(Exception):
    """A request, or one of its images, that gets no prediction."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"title": HTTPStatus(self.status).phrase, "status": self.status, "detail": self.detail}


class PlainJson(JSONResponse):
    """JSON in ASCII: names of classes come from folders, and need not be Unicode."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def response(refused: RefusedError) -> JSONResponse:
    """Return the HTTP answer."""
    return PlainJson(
        refused.to_dict(), refused.status, refused.headers, media_type="application/problem+json"
    )


def busy(detail: str, seconds: float) -> RefusedError:
    """Return the refusal of one request too many, with the time after which it is worth to come again."""
    wait = min(60, max(1, round(seconds + 0.5)))
    return RefusedError(503, f"{detail}; try again in {wait} s", {"retry-after": str(wait)})


def failure(number: str) -> RefusedError:
    """Return the answer of a server that failed; the reason stays in its log."""
    return RefusedError(500, f"the server failed; its log has the reason under {number}")
