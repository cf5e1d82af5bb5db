"""The flags that say how scaling shares out its cost: three numbers, or the file of a search."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import ValidationError

from effnet.errors import UsageError
from effnet.spec import coefficients as coefficient_files
from effnet.spec.netspec import first_problem
from effnet.spec.scale import PAPER, Coefficients


@dataclass(frozen=True)
class CoefficientFlags:
    """alpha, beta, gamma; the paper's when not given."""

    alpha: float = PAPER.alpha
    """Depth factor per unit of phi, at least 1."""
    beta: float = PAPER.beta
    """Width factor per unit of phi, at least 1."""
    gamma: float = PAPER.gamma
    """Resolution factor per unit of phi, at least 1."""
    coefficients: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Take alpha, beta and gamma from the .json file that `effnet search` wrote."""

    def read(self) -> Coefficients:
        """Return the coefficients of the file, or the three numbers.

        Raises:
            UsageError: both are given, a number is below 1, or the file cannot be used.

        """
        if self.coefficients is not None:
            if self != CoefficientFlags(coefficients=self.coefficients):
                raise UsageError(
                    "--coefficients brings alpha, beta and gamma; leave --alpha, --beta, --gamma out"
                )
            return coefficient_files.load(self.coefficients)
        try:
            return Coefficients(alpha=self.alpha, beta=self.beta, gamma=self.gamma)
        except ValidationError as error:
            raise UsageError(first_problem(error)) from None
