"""Limits of a budget: their names and units, how their values are read, and what breaks them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import fields
from math import isfinite
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from effnet.errors import UsageError

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = re.compile(r"\s*(?P<number>[-+]?(\d[\d_]*\.?\d*|\.\d+)(e[-+]?\d+)?)\s*(?P<unit>[kMG]?)\s*")


def read_number(value: object) -> object:
    """Turn a text such as `5M`, `5e6` or `5000000` into a number; what is no text stays as it is.

    Raises:
        ValueError: the text is none of these.

    """
    if not isinstance(value, str):
        return value
    found = _NUMBER.fullmatch(value)
    if found is None:
        raise ValueError("must be a number such as 5000000, 5e6 or 5M; units are k, M and G")
    return float(found["number"]) * UNITS[found["unit"]]


Amount = Annotated[float, BeforeValidator(read_number), Field(gt=0.0, allow_inf_nan=False)]


@plain_dataclass(frozen=True)
class Kind:
    """Something that a budget can limit."""

    cost: str
    """Name of what is limited, with its unit; the limit is `max_` and this."""
    words: str
    form: str
    """How a value is written, for `str.format`."""
    measured: bool = True
    """Whether it has to be measured; else it is counted."""

    @property
    def limit(self) -> str:
        """Name of the limit."""
        return f"max_{self.cost}"

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return f"--{self.limit.replace('_', '-')}"

    def write(self, value: float) -> str:
        """Return a value with its unit; an infinite one is that of a network that cannot run."""
        return self.form.format(value) if isfinite(value) else "more memory than there is"


KINDS = (
    Kind("params", "parameters", "{:,.0f} parameters", measured=False),
    Kind("macs", "MACs", "{:,.0f} MACs", measured=False),
    Kind("activations", "activations", "{:,.0f} activations", measured=False),
    Kind("latency_ms", "latency", "{:.4g} ms a batch"),
    Kind("memory_mb", "memory", "{:,.0f} MB of memory"),
    Kind("train_minutes", "training time", "{:.4g} minutes of training"),
)
LATENCY, MEMORY, MINUTES = MEASURED = tuple(kind for kind in KINDS if kind.measured)

Costs = Mapping[str, float | None]
"""What a network costs, by the names of the kinds; None where that was not measured."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Limits:
    """What a network may cost at most. Numbers may be given as texts with a unit: `5M`, `1.5G`."""

    max_params: Amount | None = None
    """Most parameters."""
    max_macs: Amount | None = None
    """Most multiply-adds of one image (the paper's FLOPS)."""
    max_activations: Amount | None = None
    """Most elements that convolutions and linear layers write for one image."""
    max_latency_ms: Amount | None = None
    """Longest time of a prediction of one batch, the median, in milliseconds."""
    max_memory_mb: Amount | None = None
    """Most memory of a process that predicts one batch, its libraries included, in MB of 1,000,000 bytes."""
    max_train_minutes: Amount | None = None
    """Longest training by the recipe, in minutes."""

    def of(self, kind: Kind) -> float | None:
        """Return the limit of a kind."""
        value: float | None = getattr(self, kind.limit)
        return value

    @property
    def given(self) -> tuple[Kind, ...]:
        """What is limited: first what is counted, then what is measured."""
        return tuple(kind for kind in KINDS if self.of(kind) is not None)

    def broken_by(self, costs: Costs) -> tuple[Kind, ...]:
        """Return the limits that these costs exceed."""
        return tuple(kind for kind in self.given if exceeds(costs[kind.cost], self.of(kind)))

    def to_dict(self) -> dict[str, float]:
        """Return the limits that are given, by name."""
        return {kind.limit: value for kind in self.given if (value := self.of(kind)) is not None}

    def words(self) -> str:
        """Say them in the words of the command line."""
        return ", ".join(f"{kind.flag} {self.of(kind):g}" for kind in self.given)


def exceeds(cost: float | None, limit: float | None) -> bool:
    """Tell whether a cost is known, limited, and too high."""
    return cost is not None and limit is not None and cost > limit


LIMIT_NAMES = tuple(field.name for field in fields(Limits))
_ADAPTER = TypeAdapter(Limits)


def read_limits(values: Mapping[str, Any]) -> Limits:
    """Check limits by name.

    Raises:
        UsageError: a limit that is no number or not above 0.

    """
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        raise UsageError(explain(error)) from None


def explain(error: ValidationError) -> str:
    """Say the first problem in one line, by the flag."""
    problem = error.errors()[0]
    flag = f"--{problem['loc'][0]}".replace("_", "-")
    if problem["type"] == "value_error":
        return f"{flag} {problem['input']}: {problem['ctx']['error']}"
    if problem["type"] == "float_type":
        return f"{flag} {problem['input']}: must be a number"
    return f"{flag} {problem['input']}: must be a finite number above 0"


def at_least_one(limits: Limits) -> Limits:
    """Return the limits.

    Raises:
        UsageError: there is none.

    """
    if not limits.given:
        raise UsageError(f"a budget needs at least one limit: {', '.join(_flags())}")
    return limits


def _flags() -> Iterator[str]:
    return (kind.flag for kind in KINDS)
