"""The study of a search: opened, or made, and only if it asks the same question."""

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner

from effnet.errors import UsageError, some
from effnet.files import check_folder
from effnet.sizing.search.plan import STORAGE_FILE, Plan, asked_of, differences
from effnet.sizing.search.queue import Queue
from effnet.sizing.search.storage import deliberately, open_storage, readable, sqlite_url, talking
from effnet.sizing.trial import completed

QUESTION = "question"
REDUCTION = 3  # of the trainings that reach a rung, one in so many goes on


def open_queue(plan: Plan) -> Queue:
    """Join the study of a search; the first worker makes it.

    Raises:
        UsageError: the study is that of another search; says where they differ.
        EffnetError: the storage cannot be reached, or the folder not be written to.

    """
    check_folder(plan.folder)
    url = plan.search.storage or sqlite_url(plan.folder / STORAGE_FILE)
    storage, name = open_storage(url, plan.search.heartbeat), readable(url)
    with talking(name), deliberately():
        study = optuna.create_study(
            storage=storage,
            study_name=plan.study_name,
            direction="maximize",
            pruner=pruner(plan),
            load_if_exists=True,
        )
        agree(study, plan)
    return Queue(study, storage, url, seed=plan.config.seed if plan.search.sampler == "tpe" else None)


def agree(study: optuna.Study, plan: Plan) -> None:
    """Compare what the study asks with what the search does; before the first trial, write it down.

    Raises:
        UsageError: it asks something else.

    """
    if not study.get_trials(deepcopy=False):
        study.set_user_attr(QUESTION, plan.question())
    elif QUESTION not in study.user_attrs:
        raise UsageError(f"study {study.study_name!r} is not a search of effnet; take another --study")
    held = study.user_attrs[QUESTION]
    recipe = asked_of(completed(held["recipe"], origin=f"study {study.study_name!r}"))
    found = differences(plan.question(), {**held, "recipe": recipe})
    if found:
        raise UsageError(
            f"study {study.study_name!r} asks another question than this command: {some(found, limit=5)}; "
            f"take another --out or --study, or the settings of that one"
        )


def pruner(plan: Plan) -> BasePruner:
    """Return what ends trainings early: after a ninth and a third of the epochs one in three goes on."""
    if not plan.search.halving:
        return NopPruner()
    return SuccessiveHalvingPruner(
        min_resource=max(1, plan.config.epochs // REDUCTION**2), reduction_factor=REDUCTION
    )


def remaining(plan: Plan) -> tuple[int, int]:
    """Return how many trials are left to do, and how many other workers are at it now.

    Raises:
        EffnetError: as `open_queue`.

    """
    ledger = open_queue(plan).ledger()
    return ledger.count(plan.agenda, "open", "running"), ledger.count(plan.agenda, "running")
