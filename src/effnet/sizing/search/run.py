"""The search for coefficients (paper §3.3, step 1): what `effnet search` does."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from effnet import config as configuration
from effnet.cluster.machines import Cluster
from effnet.data.datasets import open_dataset
from effnet.errors import UsageError
from effnet.sizing.search.optuna_study import open_queue
from effnet.sizing.search.placed import PlacedWorker
from effnet.sizing.search.plan import Plan, SearchConfig, adapted, prepare, search_config
from effnet.sizing.search.progress import SearchReporter, SilentSearch
from effnet.sizing.search.ranking import rank
from effnet.sizing.search.results import SearchResult, finished, write_results
from effnet.sizing.search.worker import Worker
from effnet.training.interrupt import Interrupts
from effnet.training.setup import default_recipe

TAKEN = {"model": "base", "coefficients": "step"}
"""Settings of a training that a search decides, and which of its own decide them."""


def search(
    data: str | Path,
    /,
    *,
    out: str | Path | None = None,
    recipe: str | Path | None = None,
    reporter: SearchReporter | None = None,
    cluster: Cluster | None = None,
    **settings: Any,
) -> SearchResult:
    """Search alpha, beta and gamma for a base network on a data set; go on with a search that was stopped.

    Args:
        data: a name (`digits`, `cifar10`, `cifar100`) or a folder of images.
        out: folder for the results; `runs/search-<name of the data>` when not given.
        recipe: name or `.toml` path of the recipe of all trainings; chosen by the data when not given.
        reporter: told of the progress; without one nothing is printed.
        cluster: has the trials, several at a time; this machine alone when not given.
        settings: fields of `SearchConfig` (`base`, `seeds`, `step` …) and of the recipe (`phi`, `epochs`,
            `data={"max_train": 5000}` …); `phi` is 1 when not given, `seed` the first seed.

    Raises:
        UsageError: unknown name or key, bad value, or a grid with fewer than two candidates.
        DataError: the data cannot be used.
        InterruptedSearchError: stopped by a signal; the same call goes on.
        EffnetError: the storage cannot be reached, or holds another search under this name.

    """
    listener = reporter or SilentSearch()
    names = {field.name for field in fields(SearchConfig)}
    own = {name: value for name, value in settings.items() if name in names}
    of_recipe = {name: value for name, value in settings.items() if name not in names}
    refuse(of_recipe)
    dataset = open_dataset(data, on_download=listener.downloading)
    chosen = adapted(configuration.load_recipe(recipe or default_recipe(dataset)))
    config = configuration.override(chosen, of_recipe)
    plan = prepare(dataset, config, search_config(own), Path(out) if out is not None else None)
    return run(plan, listener, cluster=cluster)


def refuse(settings: dict[str, Any]) -> None:
    """Refuse settings of a training that a search decides itself.

    Raises:
        UsageError: names the setting and what to take instead.

    """
    for name, instead in TAKEN.items():
        if name in settings:
            raise UsageError(f"a search decides {name} itself; take --{instead}")


def run(
    plan: Plan, reporter: SearchReporter, *, command: str = "", cluster: Cluster | None = None
) -> SearchResult:
    """Work on a search until nothing is left to do, then rank and write the results.

    Other workers may be at the same search. A trial that another one does not finish is done here.
    """
    check_placing(plan.search, cluster)
    plan.write_base()
    queue = open_queue(plan)
    with Interrupts() as interrupts:
        if cluster is None:
            worker = Worker(plan, queue, reporter, interrupts)
        else:
            worker = PlacedWorker(plan, queue, reporter, interrupts, cluster=cluster)
        ledger = worker.run()
    result = finished(plan, rank(plan, ledger), command)
    write_results(result)
    return result


def check_placing(search: SearchConfig, cluster: Cluster | None) -> None:
    """Refuse what the machines of a cluster cannot do.

    Raises:
        UsageError: names it, and what to do instead.

    """
    if cluster is not None and search.halving:
        raise UsageError(
            "--halving asks the storage after every epoch, which the machines of a --cluster do not reach; "
            "leave one out, or start the command on each machine with the same --storage"
        )
