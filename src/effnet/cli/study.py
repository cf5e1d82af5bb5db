"""`effnet study`: one base scaled in several ways to equal cost, trained, compared and foreseen."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from effnet.cli.cluster_flags import TrialsOnCluster
from effnet.cli.confirm import check_terminal, confirm
from effnet.cli.output import big, bounds, console, print_json, table
from effnet.cli.parse import is_given
from effnet.cli.progress import TerminalReporter
from effnet.cli.settings import with_recipe
from effnet.config import TrainConfig
from effnet.errors import EffnetError, UsageError, some
from effnet.sizing.study.design import StudyConfig, check
from effnet.sizing.study.findings import Findings
from effnet.sizing.study.run import StudyResult
from effnet.sizing.study.run import run as run_study
from effnet.sizing.study.setup import Study, forecast, prepare, with_base
from effnet.spec.coefficients import load
from effnet.spec.scale import PAPER
from effnet.training.forecast import duration


@dataclass(frozen=True)
class StudyForm:
    """Scale one network by depth, width, resolution, and all three, to equal cost; train and compare them.

    The paper's Figures 3 and 8 and Table 7 for your own data. Trials are kept: the same command again goes
    on, and several processes with the same --out share the work. The test part is not read.
    """

    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """A name (digits, cifar10, food101, …), a folder, a .csv, .tar or .parquet file, hf:NAME, or a URL."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for trials, page and pictures; runs/NAME-study when not given."""
    recipe: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Recipe to start from; chosen by the data when not given."""
    coefficients: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Take those of the compound arm from the .json file that `effnet search` wrote."""
    yes: bool = False
    """Start without asking."""
    stop_after: Annotated[float | None, tyro.conf.arg(metavar="MINUTES")] = None
    """Stop in order after so many minutes, in the middle of a training too; run again to go on."""
    json: bool = False
    """Print one JSON object instead of progress and tables."""
    question: Annotated[StudyConfig, tyro.conf.arg(name="")] = field(default_factory=StudyConfig)
    placing: Annotated[TrialsOnCluster, tyro.conf.arg(name="")] = field(default_factory=TrialsOnCluster)
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(args: Sequence[str]) -> None:
    """Run the command."""
    if is_given("--model", args):
        raise UsageError("a study scales its base: give --base NAME, not --model")
    form, dataset, recipe = with_recipe(StudyForm, "study", args)
    check(form.question)
    cluster = form.placing.chosen(form.config.device)
    if form.stop_after is not None and form.stop_after <= 0:
        raise UsageError(f"--stop-after {form.stop_after:g}: must be above 0 minutes")
    config = with_base(compound(form), form.question.base, has_phi=is_given("--phi", args))
    study = prepare(dataset, form.question, config, form.out)
    study = replace(study, command=shlex.join(["effnet", "study", *args]))
    if not form.json:
        out = console(stderr=True)
        out.print(f"recipe {recipe}, device {form.config.device}; results go to {study.folder}", markup=False)
        show_plan(study, out)
    if study.pending():
        confirm(work_left(study, form), form.yes)
    with TerminalReporter(quiet=form.json) as reporter:
        result = run_study(study, reporter, stop_after=form.stop_after, cluster=cluster)
    show_result(result, form.json)
    if result.failures:
        raise EffnetError(f"without a result: {some(result.failures, limit=3)}; the page says why")


def compound(form: StudyForm) -> TrainConfig:
    """Return the settings with the coefficients of the compound arm."""
    if form.coefficients is None:
        return form.config
    if form.config.coefficients != PAPER:
        raise UsageError("--coefficients brings alpha, beta and gamma; leave --coefficients.alpha … out")
    return replace(form.config, coefficients=load(form.coefficients))


def show_plan(study: Study, out: Console) -> None:
    """Print the networks that will be trained, on standard error."""
    columns = ["network", "pixels", "blocks", "params", "MACs", "asked for", "off by"]
    made = table(f"{study.base.name} in {len(study.question.arms)} ways", columns)
    for network in study.networks:
        mark = " [yellow]![/]" if study.is_off(network) else ""
        made.add_row(
            network.label,
            str(network.spec.resolution),
            str(network.spec.num_blocks),
            big(network.cost.params),
            big(network.cost.macs),
            big(network.target),
            f"{network.deviation:+.1%}{mark}",
        )
    out.print(made)
    for warning in warnings(study):
        out.print(f"warning: {warning}", style="yellow")


def warnings(study: Study) -> list[str]:
    """Return what makes the comparison another one than that of equal cost."""
    found = []
    off = [network.label for network in study.networks if study.is_off(network)]
    if off:
        tolerance = f"{study.question.tolerance:.0%}"
        found.append(f"rounding leaves {some(off)} more than {tolerance} off the MACs asked for")
    found += [f"{one.label} and {other.label} are one network after rounding" for one, other in study.twins()]
    if study.config.max_minutes is not None:
        found.append(
            f"each training has {study.config.max_minutes:g} minutes: what is slow gets fewer epochs; for "
            f"equal epochs add --max-minutes None --epochs N"
        )
    return found


def work_left(study: Study, form: StudyForm) -> str:
    """Say how much there is to do and how long it will take."""
    total, left, seeds = len(study.keys), len(study.pending()), study.question.seeds
    trials = f"{total // seeds} networks × {seeds} {'seed' if seeds == 1 else 'seeds'} = {total} trials"
    done = f", {total - left} of them done already" if left < total else ""
    check_terminal(f"{trials}{done}", form.yes)
    with TerminalReporter(quiet=form.json) as reporter:  # its bars end before a question is asked
        reporter.message("timing a few steps, to foresee how long it takes")
        seconds = forecast(study, reporter)
    text = f"{trials}{done}; about {duration(seconds)} on this machine, one trial after the other"
    if form.placing.cluster is not None:
        text += "; the cluster has several at a time"
    if form.yes:
        reporter.message(text)
    return text


def show_result(result: StudyResult, as_json: bool) -> None:
    """Print the result for a program or a person."""
    if as_json:
        print_json(result.to_dict())
        return
    out, findings = console(), result.findings
    out.print(accuracy_table(result), "")
    if findings.law is not None:
        out.print(forecast_table(findings))
        known = len(findings.known_cases)
        out.print(f"{findings.num_inside} of {known} outcomes lie in their 95 % interval\n")
    if not result.is_complete:
        out.print(f"{result.done} of {result.total} trials done; the same command again goes on\n")
    out.print(
        f"  {result.page}  the page: figure, tables, learning curves, and how it was made", markup=False
    )
    out.print(f"  {result.study.folder / 'study.json'}  all results", markup=False)


def accuracy_table(result: StudyResult) -> Table:
    """Lay out accuracies and differences as the paper's Table 7 does."""
    reference = result.study.question.arms[-1]
    contrasts = {contrast.second: contrast for contrast in result.findings.contrasts}
    columns = ["scaled by", "MACs", "accuracy", "95 % interval", f"{reference} − it", "p (Holm)", "claim"]
    made = table("validation accuracy at equal cost, mean ± standard deviation over the seeds", columns)
    made.columns[-1].justify, made.columns[-1].no_wrap = "left", False
    for row in result.findings.rows:
        contrast = contrasts.get(row.network)
        comparison = None if contrast is None else contrast.comparison
        spread = "" if row.spread is None else f" ± {row.spread:.2%}"
        made.add_row(
            row.network.label,
            big(row.network.cost.macs) + (" !" if result.study.is_off(row.network) else ""),
            "–" if row.mean is None else f"{row.mean:.2%}{spread}",
            "" if row.interval is None else bounds(row.interval),
            "" if comparison is None else f"{100 * comparison.difference:+.2f} points",
            "" if contrast is None or contrast.p_value is None else f"{contrast.p_value:.3f}",
            "" if contrast is None else escape(contrast.verdict),
        )
    return made


def forecast_table(findings: Findings) -> Table:
    """Lay out what was foreseen beside what came."""
    made = table(
        "validation error, foreseen from the smaller networks",
        ["network", "foreseen", "95 % interval", "found", ""],
    )
    for case in findings.cases:
        foreseen = case.prediction
        made.add_row(
            case.network.label,
            f"{foreseen.error:.2%}",
            f"{foreseen.low:.2%} to {foreseen.high:.2%}",
            "–" if case.outcome is None else f"{case.outcome:.2%}",
            {None: "", True: "inside", False: "outside"}[case.is_inside],
        )
    return made
