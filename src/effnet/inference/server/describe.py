"""How OpenAPI describes a request for predictions, and what may come instead of an answer."""

from typing import Any

from effnet.inference.server.maps import MAP_KINDS
from effnet.inference.server.schema import ProblemAnswer

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
REQUEST: dict[str, Any] = {
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
