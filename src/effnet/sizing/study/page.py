"""The page of a study: one HTML file that needs nothing else, its pictures beside it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import exp
from pathlib import Path
from typing import Any

from effnet import config as configuration
from effnet.evaluation.page import Picture, flatten, machine, picture, write_page
from effnet.sizing.study.arms import Network
from effnet.sizing.study.contrasts import Contrast
from effnet.sizing.study.findings import Findings
from effnet.sizing.study.law import Law
from effnet.sizing.study.plots import draw_accuracy, draw_forecast, draw_learning
from effnet.sizing.study.rows import Row
from effnet.sizing.study.setup import Study
from effnet.sizing.trial import NOT_IN_KEY
from effnet.training.forecast import duration

PAGE_FILE = "study.html"
ENOUGH_CASES = 6  # fewer say little of how often intervals hold


def write_study_page(study: Study, findings: Findings, *, done: int, failures: Mapping[str, str]) -> Path:
    """Write page and pictures from what is there; return the path of the page.

    Raises:
        EffnetError: the folder cannot be written to.

    """
    content = {
        "study": study,
        "question": study.question,
        "reference": study.question.arms[-1],
        "findings": findings,
        "done": done,
        "total": len(study.keys),
        "failures": failures,
        "headline": headline(study, findings),
        "groups": groups(study, findings),
        "num_val": sorted({len(o.correct) for row in findings.rows for o in row.outcomes}),
        "charts": _draw(study, findings),
        "law": None if findings.law is None else law_words(findings.law),
        "enough_cases": ENOUGH_CASES,
        "facts": _facts(study, findings),
        "settings": _settings(study),
        "is_off": study.is_off,
        "num_off": sum(study.is_off(network) for network in study.networks),
    }
    path = study.folder / PAGE_FILE
    write_page(path, PAGE_FILE, content, package="effnet.sizing.study")
    return path


def headline(study: Study, findings: Findings) -> str:
    """Say the answer at the largest size at which all arms have been trained."""
    reference = study.question.arms[-1]
    for group in reversed(groups(study, findings)):
        measured = [(row.mean, row.network.arm) for row, _ in group["rows"] if row.mean is not None]
        if group["phi"] == 0 or len(measured) < max(2, len(group["rows"])):
            continue
        ours = next(mean for mean, arm in measured if arm == reference)
        other, arm = max((mean, arm) for mean, arm in measured if arm != reference)
        contrast = next(c for row, c in group["rows"] if row.network.arm == arm and c is not None)
        return (
            f"At {2 ** group['phi']:.3g} times the multiply-adds of the base (φ = {group['phi']:g}), "
            f"{reference} reaches {ours:.2%} and the best other way, {arm}, {other:.2%}: {contrast.verdict}."
        )
    return ""


def groups(study: Study, findings: Findings) -> list[dict[str, Any]]:
    """Return the rows of Table 7 by φ, each with its contrast if it has one."""
    contrasts: dict[Network, Contrast] = {contrast.second: contrast for contrast in findings.contrasts}
    found: dict[float, list[tuple[Row, Contrast | None]]] = {}
    for row in findings.rows:
        found.setdefault(row.network.phi, []).append((row, contrasts.get(row.network)))
    return [
        {"phi": phi, "target": rows[0][0].network.target, "rows": rows} for phi, rows in sorted(found.items())
    ]


def law_words(law: Law) -> list[str]:
    """Say the law in words."""
    falls = ", ".join(f"{arm} {slope:.2f}" for arm, slope in law.slopes.items())
    offset = f" above a rest of {law.offset:.2%} that no size removes" if law.has_offset else ""
    return [
        f"The error falls as a power of the multiply-adds{offset}; the powers (below 0 it rises): {falls}.",
        f"Why {'with' if law.has_offset else 'without'} an offset: {law.reason}.",
        f"Beyond the luck of counting wrong answers, errors spread about the law by a factor of "
        f"{exp(law.spread):.2f} ({law.freedom} degrees of freedom).",
    ]


def _draw(study: Study, findings: Findings) -> dict[str, Picture]:
    """Draw each picture twice, wide and narrow, as far as there is something to show."""
    arms, folder = study.question.arms, study.folder
    made: list[str] = []
    for narrow, end in ((False, ""), (True, "-narrow")):
        if any(row.outcomes for row in findings.rows):
            draw_accuracy(findings, arms, folder / f"accuracy{end}.png", narrow=narrow)
            made.append(f"accuracy{end}")
        if all(findings.line(arm) for arm in arms):
            draw_learning(findings, arms, folder / f"learning{end}.png", narrow=narrow)
            made.append(f"learning{end}")
        if findings.law is not None:
            draw_forecast(findings, findings.law, folder / f"forecast{end}.png", narrow=narrow)
            made.append(f"forecast{end}")
    return {name: picture(folder / f"{name}.png") for name in made}


def _facts(study: Study, findings: Findings) -> list[tuple[str, str]]:
    """Say how the numbers came about: term and value."""
    outcomes = [outcome for row in findings.rows for outcome in row.outcomes]
    machines = dict.fromkeys(machine(outcome.environment) for outcome in outcomes)
    now, config = datetime.now().astimezone(), study.config
    by = config.coefficients
    facts = [
        ("Written", f"{now:%Y-%m-%d %H:%M %Z}"),
        ("Command", study.command),
        ("Trained on", "; ".join(machines)),
        (
            "Time",
            f"{duration(sum(o.seconds for o in outcomes))} for {len(outcomes)} trials" if outcomes else "",
        ),
        ("Data", f"{study.dataset.name}, {len(study.dataset.class_names)} classes; no test image was read"),
        ("Base", _base_words(study)),
        ("Compound", f"α = {by.alpha:g}, β = {by.beta:g}, γ = {by.gamma:g}"),
        ("Seeds", _seed_words(study.seeds)),
        (
            "Epochs",
            f"{config.epochs} each"
            + (f", at most {config.max_minutes:g} minutes" if config.max_minutes else ""),
        ),
    ]
    return [(term, value) for term, value in facts if value]


def _base_words(study: Study) -> str:
    base, side = study.base, study.base.resolution
    return f"{base.name}, {base.in_channels}×{side}×{side} pixels, {base.num_blocks} blocks"


def _seed_words(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}; a seed also draws the split"


def _settings(study: Study) -> list[tuple[str, str]]:
    config = configuration.to_dict(study.config)
    return flatten({key: value for key, value in config.items() if key not in NOT_IN_KEY})
