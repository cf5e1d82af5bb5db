"""What the API answers, as types: they make its description, and are its documentation."""

from typing import Any

from pydantic import BaseModel, Field


class ClassAnswer(BaseModel):
    """One class of one image."""

    name: str
    probability: float
    map: list[list[float]] | str | None = Field(
        None,
        description="With maps=grid what each place of the region adds to this class, row by row; with "
        "maps=png a data URI of a square PNG to lay over the region.",
    )


class ProblemAnswer(BaseModel):
    """Why there is no prediction (RFC 9457)."""

    title: str
    status: int
    detail: str


class ImageAnswer(BaseModel):
    """One image: its classes, the most probable first, or a problem."""

    image: str = Field(description="Its name in the form, or image.")
    classes: list[ClassAnswer] | None = None
    region: tuple[float, float, float, float] | None = Field(
        None,
        description="With maps: left, top, right, bottom of what the network saw, as shares of the picture.",
    )
    problem: ProblemAnswer | None = None


class ModelName(BaseModel):
    """Which model answered."""

    network: str
    version: str = Field(description="SHA-256 of the model file.")


class PredictAnswer(BaseModel):
    """The answer to all images of a request, in their order."""

    model: ModelName
    predictions: list[ImageAnswer]


class LimitsAnswer(BaseModel):
    """How much the server takes."""

    body_bytes: int
    images: int
    pixels: int
    formats: list[str]


class ModelAnswer(ModelName):
    """What the model file says of itself."""

    loaded: str
    class_names: list[str]
    preprocess: dict[str, Any]
    spec: dict[str, Any]
    temperature: float
    metrics: dict[str, Any] = Field(description="What was measured after the training.")
    export: dict[str, Any] = Field(
        description="How the file was made, and how well it agrees with its origin."
    )
    effnet_version: str
    limits: LimitsAnswer


class ReadyAnswer(BaseModel):
    """Whether requests are taken."""

    status: str = Field(description="ready or draining.")
    model: ModelName
    problem: str | None = Field(None, description="Why the model file as it is now is not in use.")
