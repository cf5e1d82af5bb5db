"""The paper's Table 4: latency on one core; what it prints, beside what is measured here."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from effnet.benching.terms import Terms
from effnet.errors import UsageError

if TYPE_CHECKING:
    from effnet.benching.results import Benchmark, Row

NUM_RUNS = 20  # of which the paper gives the mean


@dataclass(frozen=True)
class Published:
    """One half of the table: a network from elsewhere and the EfficientNet that is as accurate."""

    other: str
    """Its name here, if it is a network of ours; the paper's otherwise."""
    network: str
    other_seconds: float
    network_seconds: float
    factor: float
    """How many times as fast, as printed."""

    @property
    def quotient(self) -> float:
        """The factor, computed from the two numbers."""
        return self.other_seconds / self.network_seconds


# One image at a time on one core of an Intel Xeon E5-2690, mean of 20 runs.
TABLE_4 = (
    Published("resnet-152", "b1", 0.554, 0.098, 5.7),
    Published("GPipe", "b7", 19.0, 3.1, 6.1),
)
COLUMNS = ("", "network", "seconds", "EfficientNet", "seconds", "faster")
MODELS = ("resnet-152", "b1", "b7")


@dataclass(frozen=True)
class Claim:
    """A line of the table with one program's measurements; None is what cannot be measured here."""

    published: Published
    program: str
    other_seconds: float | None
    network_seconds: float | None
    factor: float | None
    """How many times as fast here, in turns."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def ask(terms: Terms, models: int) -> Terms:
    """Return the terms of the table: one image, one core; rounds of one run each unless given otherwise.

    Raises:
        UsageError: what cannot be asked for beside it.

    """
    if models:
        raise UsageError(f"--table4 measures {', '.join(MODELS)}; leave MODEL out")
    alike = {"--batch": terms.batch in (None, (1,)), "--threads": terms.threads in (None, 1)}
    for flag, is_alike in {"--train": not terms.train, **alike}.items():
        if not is_alike:
            raise UsageError(f"--table4 times one image on one core; leave {flag} out")
    if terms.device not in ("auto", "cpu"):
        raise UsageError(f"--table4 times a CPU; leave --device {terms.device} out")
    if (terms.rounds, terms.seconds) == (Terms.rounds, Terms.seconds):
        terms = replace(terms, rounds=NUM_RUNS, seconds=0.0)
    return replace(terms, device="cpu", batch=(1,), threads=1)


def compare(result: "Benchmark") -> list[Claim]:
    """Return each line of the table with what each program measured of it."""
    programs = dict.fromkeys(row.program for row in result.rows)
    return [_claim(result, line, program) for line in TABLE_4 for program in programs]


def _claim(result: "Benchmark", line: Published, program: str) -> Claim:
    rows = {row.network: row for row in result.rows if row.program == program}
    other, network = rows.get(line.other), rows.get(line.network)
    ratio = None if other is None or network is None else network.ratio(other)
    return Claim(line, program, mean(other), mean(network), None if ratio is None else ratio.median)


def mean(row: "Row | None") -> float | None:
    """Return the mean seconds of a run, which is what the paper gives."""
    runs = [] if row is None else [seconds for turn in row.turns for seconds in turn]
    return sum(runs) / len(runs) if runs else None


def lines(result: "Benchmark") -> list[tuple[str, ...]]:
    """Return the table in words: of each half what is published, then what each program measured.

    A line: where its numbers are from, network, seconds, EfficientNet, seconds, how many times as fast.
    """
    made = [_published(line) for line in TABLE_4]
    return made + [_measured(claim) for claim in compare(result)]


def _published(line: Published) -> tuple[str, ...]:
    first, second = f"{line.other_seconds:.3g}", f"{line.network_seconds:.3g}"
    return "published", line.other, first, line.network, second, f"{line.factor:.1f}×"


def _measured(claim: Claim) -> tuple[str, ...]:
    here = [
        "not here" if name == TABLE_4[1].other else "not measured" if seconds is None else f"{seconds:.3g}"
        for name, seconds in (
            (claim.published.other, claim.other_seconds),
            (claim.published.network, claim.network_seconds),
        )
    ]
    factor = "–" if claim.factor is None else f"{claim.factor:.1f}×"
    return (
        f"measured, {claim.program}",
        claim.published.other,
        here[0],
        claim.published.network,
        here[1],
        factor,
    )
