"""Coefficients of scaling in a file: what `effnet search` finds, and `effnet scale` takes."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from effnet.errors import UsageError
from effnet.files import read_marked, write_text
from effnet.spec.netspec import first_problem
from effnet.spec.scale import Coefficients

FORMAT_VERSION = 1
_NAMES = ("alpha", "beta", "gamma")
_ADAPTER = TypeAdapter(Coefficients)


def save(coefficients: Coefficients, path: Path, about: Mapping[str, Any]) -> None:
    """Write coefficients as a JSON file, whole or not at all.

    Args:
        coefficients: alpha, beta, gamma.
        path: the file.
        about: how they were found, in JSON values, for people; `load` does not read it.

    """
    content = {"effnet_coefficients": FORMAT_VERSION, **asdict(coefficients), "about": dict(about)}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def load(path: Path) -> Coefficients:
    """Read the coefficients that `save` wrote.

    Raises:
        UsageError: no such file, not JSON, not coefficients, or one of them below 1 or not a number.

    """
    mark = {"effnet_coefficients": FORMAT_VERSION}
    remedy = "`effnet search DATA --base NAME` writes one"
    data = read_marked(path, mark, kinds=("coefficients", "a file of coefficients"), remedy=remedy)
    missing = [name for name in _NAMES if name not in data]
    if missing:
        raise UsageError(f"{path}: {' and '.join(missing)} missing")
    try:
        values = json.dumps({name: data[name] for name in _NAMES})
        return _ADAPTER.validate_json(values, strict=True)
    except ValidationError as error:
        raise UsageError(f"{path}: {first_problem(error)}") from None
