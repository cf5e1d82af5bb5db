"""`effnet search`: what will be tried and how long it takes, a question, the search, its ranking."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from effnet.cli.cluster_flags import TrialsOnCluster
from effnet.cli.confirm import check_terminal, confirm
from effnet.cli.output import big, bounds, console, print_json, table
from effnet.cli.search_progress import SearchTerminal
from effnet.cli.settings import with_recipe
from effnet.config import TrainConfig
from effnet.errors import UsageError
from effnet.sizing.search.optuna_study import remaining
from effnet.sizing.search.outlook import Outlook, trial_seconds
from effnet.sizing.search.page import follow_up
from effnet.sizing.search.plan import Plan, SearchConfig, adapted, prepare
from effnet.sizing.search.ranking import FEW_SEEDS, Ranking, interval, signed
from effnet.sizing.search.results import RANKING_FILE, SearchResult
from effnet.sizing.search.run import TAKEN, check_placing
from effnet.sizing.search.run import run as run_search
from effnet.training.forecast import duration


@dataclass(frozen=True)
class SearchForm:
    """Search alpha, beta and gamma for a base network: all candidates of about 2^phi times its cost, ranked.

    Each candidate is trained with the same recipe and seeds and judged on the validation part. The same
    command goes on with a search that was stopped; started elsewhere too, with the same --storage, it shares
    the work.
    """

    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """A name (digits, cifar10, food101, …), a folder, a .csv, .tar or .parquet file, hf:NAME, or a URL."""
    search: Annotated[SearchConfig, tyro.conf.arg(name="")] = field(default_factory=SearchConfig)
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for trials, coefficients and page; runs/search-NAME when not given."""
    recipe: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Recipe of all trainings; chosen by the data when not given. Its network does not count."""
    yes: bool = False
    """Start without a question."""
    json: bool = False
    """Print one JSON object instead of progress and tables."""
    placing: Annotated[TrialsOnCluster, tyro.conf.arg(name="")] = field(default_factory=TrialsOnCluster)
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(args: Sequence[str]) -> None:
    """Run the command."""
    refuse(args)
    form, dataset, recipe = with_recipe(SearchForm, "search", args, adapt=adapted)
    cluster = form.placing.chosen(form.config.device)
    check_placing(form.search, cluster)
    plan = prepare(dataset, form.config, form.search, form.out)
    with SearchTerminal(quiet=form.json) as reporter:
        announce(plan, recipe, reporter)
    consent(plan, form)
    with SearchTerminal(quiet=form.json) as reporter:
        result = run_search(plan, reporter, command=shlex.join(["effnet", "search", *args]), cluster=cluster)
    if form.json:
        print_json(result.to_dict())
    else:
        print_result(result)


def refuse(args: Sequence[str]) -> None:
    """Refuse flags of a training that the search decides itself."""
    for arg in args:
        name = arg.partition("=")[0].removeprefix("--").partition(".")[0]
        if arg.startswith("--") and name in TAKEN:
            raise UsageError(f"a search decides {name} itself; take --{TAKEN[name]}")


def announce(plan: Plan, recipe: str, reporter: SearchTerminal) -> None:
    """Say what will be tried."""
    space, search, count = plan.space, plan.search, len(plan.candidates)
    reporter.message(f"recipe {recipe}, device {plan.config.device}; results go to {plan.folder}")
    picked = (
        f"{count} candidates" if search.sampler == "grid" else f"{search.trials} draws of {count} candidates"
    )
    macs = [candidate.macs for candidate in plan.candidates]
    seeds = f"{search.seeds} seed{'s' if search.seeds > 1 else ''}"
    reporter.message(
        f"{space.base.name} at {space.base.resolution}×{space.base.resolution} pixels, phi {space.phi:g}: "
        f"{picked} with {big(min(macs))} to {big(max(macs))} MACs (target {big(space.target)}), "
        f"{seeds} each: {len(plan.agenda.jobs)} trials"
    )
    if search.seeds < FEW_SEEDS:
        reporter.message(
            f"warning: with {seeds} {'no' if search.seeds == 1 else 'hardly any'} claim is possible; "
            f"--seeds {FEW_SEEDS} can be added later, the same command then goes on"
        )


def consent(plan: Plan, form: SearchForm) -> None:
    """Say how long it takes and ask whether to start.

    Raises:
        UsageError: there is no terminal to ask on.
        EffnetError: the answer is no.

    """
    trials, others = remaining(plan)
    with SearchTerminal(quiet=form.json) as reporter:  # its bars end before a question is asked
        if not trials:
            reporter.message("all trials are done")
            return
        check_terminal(f"{trials} trials are to be done", form.yes)
        outlook = Outlook(trials, others, trial_seconds(plan, reporter))
        one, together = duration(outlook.trial_seconds), duration(outlook.seconds)
        shared = f" with {others} other workers at it" if others else "; more workers divide that"
        text = f"about {one} a trial, {together} for {trials} trials{shared}"
        if form.yes:
            reporter.message(text)
    confirm(text, form.yes)


def print_result(result: SearchResult) -> None:
    """Print the ranking, how sure one may be of it, and where to look."""
    out, ranking, plan = console(), result.ranking, result.plan
    out.print(ranking_table(ranking, plan))
    for row in ranking.others:
        out.print(f"not ranked: {row.candidate.label}: {row.note}", markup=False)
    best = result.coefficients
    out.print(f"\n[bold]best: alpha {best.alpha:g}, beta {best.beta:g}, gamma {best.gamma:g}[/]")
    out.print(f"{ranking.verdict}\n{ranking.caution}\n", markup=False)
    for path, what in (
        (result.page_path, "the ranking with pictures, one page that needs nothing else"),
        (result.coefficients_path, "the best coefficients"),
        (plan.folder / RANKING_FILE, "all numbers"),
    ):
        out.print(f"  {path}  {what}", markup=False)
    out.print(f"\nTry: {follow_up(plan)}", markup=False)


def ranking_table(ranking: Ranking, plan: Plan) -> Table:
    """Lay out the ranked candidates."""
    is_tradeoff = plan.search.objective == "tradeoff"
    factors = ["alpha", "beta", "gamma", "blocks", "pixels", "MACs"]
    found = ["accuracy", "±", "95 % interval", *(["score"] if is_tradeoff else []), "best ahead by (points)"]
    made = table("", [*factors, *found], left=0)
    for row in ranking.ranked:
        by, spec, behind = row.candidate.coefficients, row.candidate.spec, row.behind
        made.add_row(
            f"{by.alpha:g}", f"{by.beta:g}", f"{by.gamma:g}",
            str(spec.num_blocks), str(spec.resolution), big(row.candidate.macs),
            f"{row.mean:.2%}",
            "" if row.spread is None else f"{row.spread:.2%}",
            bounds(row.interval),
            *([f"{row.score:.4f}"] if is_tradeoff else []),
            "" if behind is None else f"{signed(behind.difference)} ({interval(behind.seed_interval)})",
        )  # fmt: skip
    return made
