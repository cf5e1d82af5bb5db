"""What a benchmark is asked for, beside the networks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from effnet.benching.modes import Library, ModeName
from effnet.errors import UsageError, bad_value, key_of, unknown_name

RuntimeName = Literal["torch", "onnxruntime"]
Batch = Annotated[int, Field(ge=1, le=65_536)]

INFER_BATCHES, TRAIN_BATCHES = (1, 16), (32,)
TRAIN, INFER = "train", "infer"


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Terms:
    """How to measure."""

    against: tuple[Library, ...] = ()
    """Libraries whose same network is measured beside ours."""
    train: bool = False
    """Whether whole training steps are timed, not predictions."""
    runtime: tuple[RuntimeName, ...] = ("torch",)
    """What predicts with our networks."""
    modes: tuple[ModeName, ...] | None = None
    """How other libraries' networks are run; by default all ways that this machine has."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps."""
    batch: tuple[Batch, ...] | None = None
    """Images at once, each number a measurement; 1 and 16 for predictions, 32 for steps, when not given."""
    resolution: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Side of the images; each network's own when not given."""
    classes: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Outputs of the classifier; 1000, or 10 for networks of small images, when not given."""
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 5
    """How often each has its turn."""
    seconds: Annotated[float, Field(ge=0.0, le=3600.0)] = 0.5
    """Least time of a turn, which has one run at least."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of a CPU that compute; torch's choice when not given."""
    table4: bool = False
    """Whether the paper's Table 4 is measured: one image on one core."""

    @field_validator("against", "runtime", "modes", "batch")
    @classmethod
    def _are_several(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None if values is None else tuple(dict.fromkeys(values))

    @property
    def batches(self) -> tuple[int, ...]:
        """How many images at once, one measurement each."""
        return self.batch or (TRAIN_BATCHES if self.train else INFER_BATCHES)

    @property
    def task(self) -> str:
        """What is timed."""
        return TRAIN if self.train else INFER


_ADAPTER = TypeAdapter(Terms)


def read_terms(values: Mapping[str, Any]) -> Terms:
    """Check how to measure.

    Raises:
        UsageError: unknown key, bad value, or terms that exclude each other.

    """
    try:
        terms = _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "unexpected_keyword_argument":
            raise unknown_name(
                "setting of a benchmark", key_of(problem), Terms.__dataclass_fields__
            ) from None
        raise UsageError(bad_value(problem)) from None
    return _checked(terms)


def _checked(terms: Terms) -> Terms:
    """Refuse what excludes each other; an empty list of runtimes leaves torch."""
    if terms.train and terms.runtime not in ((), ("torch",)):
        raise UsageError("--runtime onnxruntime predicts only; leave it out, or leave --train out")
    if terms.modes is not None and not terms.against:
        raise UsageError("--modes are those of other libraries; add --against timm or --against torchvision")
    return terms if terms.runtime else replace(terms, runtime=("torch",))
