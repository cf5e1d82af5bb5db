"""The plan of a search: what is tried, on which data, by which recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.errors import UsageError, bad_value
from effnet.sizing.search.candidates import Candidate, Space, candidates
from effnet.sizing.search.ledger import Agenda, Job
from effnet.spec import netspec
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import Coefficients
from effnet.training.folder import outside_data

BASE_FILE = "base.json"
TRIALS_FOLDER = "trials"
STORAGE_FILE = "search.sqlite"
STEPS = {"grid": 0.05, "tpe": 0.02}
MIN_HALVING_EPOCHS = 3
PAPER_WEIGHT = -0.07  # paper §4: ACC · (FLOPS / T)^w

# What is no part of the question that a study answers: the candidates, the seeds, what changes no result.
NOT_ASKED = ("model", "coefficients", "resolution", "seed", "save_minutes")
WAYS_TO_READ = ("storage", "workers")

ObjectiveName = Literal["accuracy", "tradeoff"]
SamplerName = Literal["grid", "tpe"]


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class SearchConfig:
    """What decides a search, beside the recipe that all of its trainings follow."""

    base: str = ""
    """Network to scale: a name from `effnet show`, or a .json file."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """Trainings of each candidate, with the seeds from --seed on; one allows no claim."""
    step: Annotated[float, Field(ge=0.01, le=1.0)] | None = None
    """Distance of two values of a coefficient on the grid; 0.05, or 0.02 for tpe, when not given."""
    tolerance: Annotated[float, Field(gt=0.0, le=0.5)] = 0.2
    """How far alpha·beta²·gamma² may be from 2, as a share of it."""
    cost_tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """How far the MACs of the rounded network may be from 2^phi times the base's, as a share of that."""
    objective: ObjectiveName = "accuracy"
    """What ranks: validation accuracy, or tradeoff, the paper's accuracy · (MACs / target)^-0.07."""
    sampler: SamplerName = "grid"
    """grid tries every candidate; tpe picks --trials of many, guided by what it has seen."""
    trials: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """tpe: how many networks to pick."""
    halving: bool = False
    """End trainings of the first seed early if others do better (successive halving)."""
    storage: str | None = None
    """URL of a database that several workers share; a file in --out when not given."""
    study: str | None = None
    """Name of the study in it; the name of --out when not given."""
    heartbeat: Annotated[int, Field(ge=1, le=3600)] = 20
    """Seconds between two signs of life of a worker; after three without one its trial goes to another."""


@dataclass(frozen=True)
class Plan:
    """A search, decided."""

    dataset: DataSet
    config: TrainConfig
    """The recipe; `model`, `phi` and `resolution` of it are those of the search."""
    search: SearchConfig
    space: Space
    candidates: tuple[Candidate, ...]
    folder: Path

    @property
    def seeds(self) -> range:
        """The seeds of each candidate's trainings."""
        return range(self.config.seed, self.config.seed + self.search.seeds)

    @property
    def study_name(self) -> str:
        """Name of the study in its storage."""
        return self.search.study or self.folder.resolve().name

    @property
    def trials_folder(self) -> Path:
        """Where the trainings are kept."""
        return self.folder / TRIALS_FOLDER

    @cached_property
    def by_name(self) -> dict[str, Candidate]:
        """The candidates by their names."""
        return {candidate.name: candidate for candidate in self.candidates}

    @cached_property
    def agenda(self) -> Agenda:
        """What there is to do.

        On a grid all candidates get their first seed, then all their second, so that a search that ends early
        compares like with like. A sampler needs the first seed of a candidate before the others, since it
        chooses the candidate then; halving ends first seeds only, so that whoever remains has all seeds.
        """
        first, names = self.config.seed, self._names()
        if self.search.sampler == "tpe":
            jobs = [Job(name, seed) for name in names for seed in self.seeds]
        else:
            jobs = [Job(name, seed) for seed in self.seeds for name in names]
        return Agenda(tuple(jobs), first, is_gated=self.search.sampler == "tpe" or self.search.halving)

    def _names(self) -> list[str]:
        if self.search.sampler == "tpe":
            return [f"sample {number + 1}" for number in range(self.search.trials or 0)]
        return [candidate.name for candidate in self.candidates]

    def trial_config(self, coefficients: Coefficients, seed: int) -> TrainConfig:
        """Return the configuration of one training."""
        return replace(self.config, coefficients=coefficients, seed=seed)

    def write_base(self) -> None:
        """Write the network that trials scale to where their configuration says it is."""
        netspec.save(self.space.base, self.folder / BASE_FILE)

    def question(self) -> dict[str, Any]:
        """Return what all trials of a study must have in common, in JSON values."""
        return {
            "base": netspec.to_dict(replace(self.space.base, name="base")),
            "recipe": asked_of(configuration.to_dict(self.config)),
            "data": self.dataset.fingerprint(),
            "search": {name: getattr(self.search, name) for name in ("sampler", "halving", "objective")},
        }

    def objective(self, val_top1: float, macs: int) -> float:
        """Return what ranks a network."""
        if self.search.objective == "accuracy":
            return val_top1
        return float(val_top1 * (macs / self.space.target) ** PAPER_WEIGHT)


def asked_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that belong to the question of a search."""
    data = {name: value for name, value in settings["data"].items() if name not in WAYS_TO_READ}
    return {name: value for name, value in settings.items() if name not in NOT_ASKED} | {"data": data}


def adapted(recipe: TrainConfig) -> TrainConfig:
    """Return a recipe for a search, which scales another network than the recipe's, and by one unit of φ."""
    return replace(recipe, phi=1.0, coefficients=Coefficients())


def prepare(dataset: DataSet, config: TrainConfig, search: SearchConfig, out: Path | None) -> Plan:
    """Decide a search.

    Args:
        dataset: what to train on; its test part is not read.
        config: recipe, with φ and the first seed; its model and coefficients do not count.
        search: the search's own settings.
        out: folder for the results; `runs/search-<name of the data>` when not given.

    Raises:
        UsageError: no base, settings that exclude each other, or a grid with fewer than two candidates.

    """
    check(config, search)
    folder = outside_data(dataset, out or Path("runs") / f"search-{dataset.name}")
    base = base_of(config, search.base)
    space = Space(
        base=base,
        phi=config.phi,
        num_classes=len(dataset.class_names),
        step=search.step or STEPS[search.sampler],
        tolerance=search.tolerance,
        cost_tolerance=search.cost_tolerance,
    )
    asked = replace(config, model=str(folder / BASE_FILE), resolution=None)
    return Plan(dataset, asked, search, space, candidates(space), folder)


def base_of(config: TrainConfig, name: str) -> NetSpec:
    """Return the network to scale, with the recipe's input."""
    changes: dict[str, int] = {"in_channels": config.input.channels}
    if config.resolution is not None:
        changes["resolution"] = config.resolution
    return get_spec(name, **changes)


def check(config: TrainConfig, search: SearchConfig) -> None:
    """Refuse settings that each are right and together are not.

    Raises:
        UsageError: names them.

    """
    if not search.base:
        raise UsageError(
            "missing --base NAME, the network to scale, such as quick-cifar; effnet show lists them"
        )
    if search.sampler == "tpe" and search.trials is None:
        raise UsageError("--sampler tpe needs --trials N, how many networks to pick")
    if search.sampler == "grid" and search.trials is not None:
        raise UsageError("--trials is for --sampler tpe; a grid tries every candidate")
    if search.halving and config.epochs < MIN_HALVING_EPOCHS:
        raise UsageError(
            f"--halving needs --epochs {MIN_HALVING_EPOCHS} or more to end one early, not {config.epochs}"
        )


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Say where two questions differ: `recipe.epochs 10, there 12`."""
    found: list[str] = []
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{prefix}{key}.")
        elif one != other:
            is_short = prefix and not isinstance(one, list | Mapping)
            found.append(f"{prefix}{key} {one}, there {other}" if is_short else f"another {prefix}{key}")
    return found


def search_config(values: Mapping[str, Any]) -> SearchConfig:
    """Check the settings of a search.

    Raises:
        UsageError: wrong type or value out of range; the message names the key.

    """
    try:
        return SearchConfig(**values)
    except ValidationError as error:
        raise UsageError(f"search: {bad_value(error.errors()[0])}") from None
