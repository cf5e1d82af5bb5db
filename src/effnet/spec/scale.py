"""Compound scaling (paper §3.3, equation 3): one number φ sets depth, width and resolution together."""

from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from effnet.errors import UsageError
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec, first_problem
from effnet.spec.resize import Multipliers, resize

MAX_DROPOUT = 0.5
DROPOUT_PER_PHI = 0.3 / 7  # paper §5.2: from 0.2 for B0 linearly to 0.5 for B7, which sits at φ = 7
MAX_PHI = 12.0

Coefficient = Annotated[float, Field(ge=1.0, le=4.0, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Coefficients:
    """How one unit of φ is shared out: depth × alpha, width × beta, resolution × gamma.

    The defaults are the paper's, found for B0 by a grid search under alpha·beta²·gamma² ≈ 2.
    """

    alpha: Coefficient = 1.2
    """Depth factor per unit of phi, at least 1."""
    beta: Coefficient = 1.1
    """Width factor per unit of phi, at least 1."""
    gamma: Coefficient = 1.15
    """Resolution factor per unit of phi, at least 1."""

    @property
    def cost_factor(self) -> float:
        """alpha·beta²·gamma²: what one unit of φ multiplies the MACs by, before rounding."""
        return self.alpha * self.beta**2 * self.gamma**2


PAPER = Coefficients()


def multipliers(phi: float, coefficients: Coefficients = PAPER) -> Multipliers:
    """Return depth = alpha^φ, width = beta^φ, resolution = gamma^φ (equation 3)."""
    return Multipliers(coefficients.alpha**phi, coefficients.beta**phi, coefficients.gamma**phi)


def scale(network: str | NetSpec, phi: float, coefficients: Coefficients = PAPER) -> NetSpec:
    """Scale a network, given by name or as a spec, by the compound coefficient φ, any real number.

    Negative φ makes it smaller. Repeats round up, so that any φ above 0 adds a block to every stage.

    Dropout follows the paper: + 0.3 · φ/7, within [0, 0.5]. Drop-path stays the base's, as in the official
    networks, and shrinks in proportion to dropout for φ < 0: a smaller network needs less of both.

    Raises:
        UsageError: unknown network, φ is not a number between -12 and 12, or the result is out of all bounds.

    """
    spec = get_spec(network)
    if not -MAX_PHI <= phi <= MAX_PHI:
        raise UsageError(f"phi = {phi}: must be a number between {-MAX_PHI:g} and {MAX_PHI:g}")
    if phi == 0:
        return spec
    try:
        scaled = resize(spec, multipliers(phi, coefficients))
    except ValidationError as error:
        raise UsageError(f"{spec.name} at phi = {phi:g}: {first_problem(error)}") from None
    dropout = scaled_dropout(spec.dropout, phi)
    shrink = min(1.0, dropout / spec.dropout) if spec.dropout else 1.0
    return replace(
        scaled,
        name=f"{spec.name}-phi{phi:g}",
        dropout=dropout,
        drop_path=round(spec.drop_path * shrink, 6),
    )


def scaled_dropout(dropout: float, phi: float) -> float:
    """Linear in φ, never below 0, never above the paper's 0.5 (or the base's own, if that is more)."""
    if dropout == 0:
        return 0.0
    return round(min(max(MAX_DROPOUT, dropout), max(0.0, dropout + DROPOUT_PER_PHI * phi)), 6)
