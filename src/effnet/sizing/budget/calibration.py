"""Calibration of the latency model on this machine: done once, kept in the cache."""

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from effnet.device import environment, to_device
from effnet.errors import EffnetError
from effnet.evaluation.metrics import predict_probs
from effnet.files import cache_folder, write_text
from effnet.network.model import ConvNet
from effnet.sizing.budget.latency import Conditions
from effnet.sizing.budget.latency_model import CALIBRATION, NUM_CLASSES, LatencyModel, Profile, learn
from effnet.sizing.budget.timing import Clock, summarise, times, warm_up
from effnet.spec.netspec import NetSpec

FORMAT_VERSION = 2
RUN_SECONDS = 0.3  # for each network, with clocks and without
MOST_SECONDS = 20.0  # for all: slow devices and large batches learn from fewer networks
LEAST_NETWORKS = 4

Say = Callable[[str], None]
Teacher = Callable[[Conditions], LatencyModel]


def calibrated(given: Conditions, say: Say, learn_now: Teacher | None = None) -> LatencyModel:
    """Return the latency model of these conditions: from the cache, or learned now, by `calibrate`."""
    path = cache_folder() / "latency" / f"{key_of(given)}.json"
    found = load(path)
    if found is not None:
        return found
    say(f"learning how fast layers are here: {given.words()} (once; kept in {path.parent})")
    model = (learn_now or calibrate)(given)
    try:
        write_text(path, json.dumps({**about(given), "model": asdict(model)}, indent=1) + "\n")
    except EffnetError as error:
        say(f"warning: {error}; this will be learned again next time")
    return model


def calibrate(given: Conditions) -> LatencyModel:
    """Learn the model from networks that are run here and now."""
    networks, profiles = run_all(given)
    return learn(networks, profiles, given.batch)


def run_all(
    given: Conditions,
    networks: Sequence[NetSpec] = CALIBRATION,
    *,
    most_seconds: float = MOST_SECONDS,
    clock: Clock = perf_counter,
) -> tuple[Sequence[NetSpec], Sequence[Profile]]:
    """Run the calibration networks, the cheap ones first, as many as the time allows."""
    started = perf_counter()
    profiles: list[Profile] = []
    for spec in networks:
        if len(profiles) >= LEAST_NETWORKS and perf_counter() - started > most_seconds:
            break
        profiles.append(profile(spec, given, clock))
    return networks[: len(profiles)], profiles


def profile(spec: NetSpec, given: Conditions, clock: Clock) -> Profile:
    """Run a network, with a clock at every layer, and without."""
    network = to_device(ConvNet(spec, NUM_CLASSES), given.device).eval()
    images = torch.rand(given.batch, spec.in_channels, spec.resolution, spec.resolution)

    def run() -> object:
        return predict_probs(network, images, given.device)

    warm_up(run, clock)
    whole = summarise(times(run, RUN_SECONDS, clock)).median
    ticks: list[float] = []
    runs: list[list[float]] = []

    def tick(*_: object) -> None:
        wait_for(given.device)
        ticks.append(clock())

    def clocked() -> None:
        ticks.clear()
        run()
        tick()
        runs.append([later - earlier for earlier, later in pairwise(ticks)])

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(tick)
    times(clocked, RUN_SECONDS, clock)
    return Profile(tuple(np.median(runs, axis=0).tolist()), whole)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def about(given: Conditions) -> dict[str, Any]:
    """Say what the model depends on: machine, versions, conditions."""
    return {
        "format_version": FORMAT_VERSION,
        "machine": platform.node(),
        **environment(given.device),
        "runtime": given.runtime,
        "precision": "float32",
        "batch": given.batch,
    }


def key_of(given: Conditions) -> str:
    """Return a name for these conditions on this machine."""
    return hashlib.sha256(json.dumps(about(given), sort_keys=True).encode()).hexdigest()[:20]


def load(path: Path) -> LatencyModel | None:
    """Read a model that was kept; None where there is none, or it is damaged: it can be learned again."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["model"]
        rates = {kind: tuple(map(float, rate)) for kind, rate in kept.pop("rates").items()}
        return LatencyModel(rates, **kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
