"""A study before it runs: its networks, its trials and their order, and what is in its folder already."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.data.datasets import DataSet
from effnet.errors import EffnetError, UsageError, some
from effnet.evaluation.page import flatten
from effnet.sizing.pace import Load, forecast_seconds, load_of, time_network
from effnet.sizing.study.arms import Network, networks
from effnet.sizing.study.design import StudyConfig
from effnet.sizing.study.work import Trial, is_done
from effnet.sizing.trial import NOT_IN_KEY, OUTCOME_FILE, completed, key_of, load
from effnet.spec import netspec
from effnet.spec.netspec import NetSpec
from effnet.spec.scale import PAPER
from effnet.spec.solve import shape
from effnet.training.folder import run_folder
from effnet.training.parts import assemble
from effnet.training.reporter import Reporter
from effnet.training.setup import build_spec

STUDY_FILE = "study.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Assignment:
    """One trial of a study: a network with a seed."""

    network: Network
    seed: int
    trial: Trial
    load: Load


@dataclass(frozen=True)
class Study:
    """A study, ready to run."""

    dataset: DataSet
    question: StudyConfig
    config: TrainConfig
    """Recipe and settings, the same for all networks; `model` is the base."""
    folder: Path
    command: str = ""
    """The command line, if there was one: to be repeated to go on, and for the page."""

    @cached_property
    def base(self) -> NetSpec:
        """The network that is scaled: what `effnet train` would train with the same settings.

        Where the settings have a φ, it is scaled by the paper's coefficients: those of the settings are the
        compound arm's.
        """
        return build_spec(replace(self.config, coefficients=PAPER))

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """All networks, in the order of Table 7: φ by φ, arm by arm."""
        num_classes = len(self.dataset.class_names)
        return networks(self.base, self.question, self.config.coefficients, num_classes)

    @property
    def seeds(self) -> range:
        """The seeds of each network."""
        return range(self.config.seed, self.config.seed + self.question.seeds)

    @property
    def store(self) -> Path:
        """Where the trials are kept."""
        return self.folder / "trials"

    def file_of(self, network: Network) -> Path:
        """Return the file that holds a network, for `effnet train --model FILE`."""
        return self.folder / "networks" / f"{network.arm}-phi{network.phi:g}.json"

    def is_fitted(self, network: Network) -> bool:
        """Tell whether the forecast is made from a network; without a forecast, all count as such."""
        last = self.question.forecast_from
        return last is None or network.phi <= last

    def is_off(self, network: Network) -> bool:
        """Tell whether rounding left a network too far from what was asked for."""
        return abs(network.deviation) > self.question.tolerance

    @cached_property
    def rounds(self) -> tuple[tuple[Assignment, ...], ...]:
        """All trials in the order of work: seed by seed, and the cheap networks of a seed first.

        With a forecast, all seeds of the networks it is made from come before the first of the others: what
        is foreseen is written down before it is known.
        """
        cheap_first = sorted(self.networks, key=lambda network: network.cost.macs)
        phases = ([n for n in cheap_first if self.is_fitted(n) is fitted] for fitted in (True, False))
        made = (self._round(phase, seed) for phase in phases if phase for seed in self.seeds)
        return tuple(made)

    def _round(self, phase: Sequence[Network], seed: int) -> tuple[Assignment, ...]:
        return tuple(self._assign(network, seed) for network in phase)

    def _assign(self, network: Network, seed: int) -> Assignment:
        """Give a network to a trial, by its file: so that the trial's configuration says all of it."""
        unset = dict.fromkeys(("resolution", "dropout", "drop_path", "bn_momentum"))
        own: dict[str, Any] = {"phi": 0.0, "coefficients": PAPER, "seed": seed, **unset}
        config = replace(self.config, model=str(self.file_of(network)), **own)
        parts = assemble(self.dataset, config, network.spec)
        label = f"{network.label}, seed {seed}"
        return Assignment(network, seed, Trial(key_of(parts), label, config), load_of(parts))

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """All trials, in the order of work."""
        return tuple(assignment for made in self.rounds for assignment in made)

    @property
    def keys(self) -> set[str]:
        """The keys of all trials; where rounding made one network of two arms, they share its trials."""
        return {each.trial.key for each in self.assignments}

    def pending(self) -> tuple[Assignment, ...]:
        """Return the trials that are not finished, each once."""
        distinct = {each.trial.key: each for each in reversed(self.assignments)}
        todo = {key for key, each in distinct.items() if not is_done(each.trial, self.store)}
        return tuple(each for key, each in reversed(distinct.items()) if key in todo)

    def twins(self) -> list[tuple[Network, Network]]:
        """Return pairs of networks that rounding made one of."""
        first: dict[NetSpec, Network] = {}
        pairs = [(first.setdefault(shape(n.spec), n), n) for n in self.networks]
        return [(one, other) for one, other in pairs if one is not other]


def with_base(config: TrainConfig, base: str | None, *, has_phi: bool) -> TrainConfig:
    """Put the base into the settings in the place of the recipe's network, whose φ goes with it.

    `has_phi` says that φ was given on purpose: the base scaled by it is what the study starts from.
    """
    if base is None:
        return config
    return replace(config, model=base, phi=config.phi if has_phi else 0.0)


def prepare(dataset: DataSet, question: StudyConfig, config: TrainConfig, out: str | Path | None) -> Study:
    """Build a study and check that its folder holds no other one. Nothing is written.

    Raises:
        UsageError: unknown base, networks that cannot be, or another study in the folder.
        EffnetError: the folder's study cannot be read.

    """
    place = Path("runs") / f"{dataset.name}-study" if out is None else Path(out)
    folder = run_folder(dataset, place, overwrite=True)  # nothing is: trials are kept by their key
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: is a file; it takes a folder")
    study = Study(dataset, question, config, folder)
    _check_folder(study)
    return study


def identity(study: Study) -> dict[str, Any]:
    """Return what all trials of a folder have in common, as JSON values."""
    config = configuration.to_dict(study.config)
    return {
        "format_version": FORMAT_VERSION,
        "data": study.dataset.name,
        "fingerprint": study.dataset.fingerprint(),
        "base": netspec.to_dict(study.base),
        "coefficients": config["coefficients"],
        "settings": {k: v for k, v in config.items() if k not in NOT_IN_KEY and k != "seed"},
    }


def _check_folder(study: Study) -> None:
    path = study.folder / STUDY_FILE
    if not path.exists():
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))["identity"]
        settings = completed(there["settings"], origin=str(path))
        differences = _differences({**there, "settings": settings}, identity(study))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EffnetError(f"{path}: cannot be read ({error!r}); choose another --out, or remove it") from None
    if differences:
        raise UsageError(
            f"{study.folder} holds a study with {some(differences, limit=3)}; choose another --out"
        )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Say what another study has that this one has not."""
    old, new = dict(flatten(there)), dict(flatten(here))
    changed = [key for key in new if old.get(key) != new[key]]
    found = {}
    for key in changed:
        name = key.removeprefix("settings.")
        if key == "fingerprint":
            found[key] = "other images or labels"
        elif key.startswith("base."):
            found["base"] = f"base {old['base.name']} instead of {new['base.name']}"
        else:
            found[key] = f"{name} = {old.get(key, '–')} instead of {new[key]}"
    return list(found.values())


def forecast(study: Study, reporter: Reporter) -> float:
    """Return the seconds that the trials still to do will take.

    A network that was trained once takes as long again; the others are judged by timed steps of the cheapest
    and the dearest.
    """
    pending = study.pending()
    todo = {each.trial.key for each in pending}
    took: dict[Network, list[float]] = {}
    for each in study.assignments:
        if each.trial.key not in todo:
            outcome = load(study.store / each.trial.key / OUTCOME_FILE)
            took.setdefault(each.network, []).append(outcome.seconds)
    seconds = sum(fmean(took[each.network]) for each in pending if each.network in took)
    new = sorted((e for e in pending if e.network not in took), key=lambda each: each.load.macs)
    if not new:
        return seconds
    ends = {end.network: end.trial.config for end in (new[0], new[-1])}
    paces = [time_network(study.dataset, config, end.spec, reporter) for end, config in ends.items()]
    return seconds + forecast_seconds([each.load for each in new], paces)
