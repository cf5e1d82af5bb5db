"""Forms that hold the settings of a training: a recipe gives the defaults, flags lie over it."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Protocol, TypeVar

from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.config import TrainConfig, load_recipe
from effnet.config import to_dict as config_dict
from effnet.data.datasets import DataSet, needs_download, open_dataset
from effnet.errors import UsageError
from effnet.sizing.study.design import ARM_NAMES
from effnet.training.order import defaults

LISTS = ("--input.mean", "--input.std", "--phis", "--arms")  # flags that take several values


class SettingsForm(Protocol):
    """A command's form: DATA, --recipe, and a training's settings as flags."""

    def __init__(self, *, config: TrainConfig) -> None: ...

    @property
    def config(self) -> TrainConfig:
        """Recipe and flags."""


F = TypeVar("F", bound=SettingsForm)


def of_a_recipe(dataset: DataSet, recipe: str | None) -> tuple[str, TrainConfig]:
    """Return name and values of --recipe, or of the recipe that fits the data."""
    return defaults(dataset, recipe, None)


def with_recipe(
    form: type[F],
    command: str,
    args: Sequence[str],
    *,
    adapt: Callable[[TrainConfig], TrainConfig] = lambda recipe: recipe,
    choose: Callable[[DataSet, str | None], tuple[str, TrainConfig]] = of_a_recipe,
) -> tuple[F, DataSet, str]:
    """Parse a form whose defaults are those of --recipe, or of the recipe that fits DATA.

    `choose` returns the name of a recipe and its values, for data and --recipe; `adapt` changes them.

    Returns:
        The form, the data set, and the name of the recipe.

    Raises:
        UsageError: no DATA, an unknown recipe or flag, a bad value.

    """
    data, recipe = peek(form, args)
    if data is not None and needs_download(data):
        parse(form, command, args)  # help and wrong flags come before many megabytes
    with TerminalReporter(quiet="--json" in args) as reporter:
        dataset = open_dataset(data, on_download=reporter.downloading) if data is not None else None
    if dataset is None:
        parse(form, command, args, form(config=adapt(load_recipe(recipe) if recipe else TrainConfig())))
        raise UsageError(f"missing DATA (see effnet {command} --help)")
    name, values = choose(dataset, recipe)
    return parse(form, command, args, form(config=adapt(values))), dataset, name


def peek(form: type[SettingsForm], args: Sequence[str]) -> tuple[str | None, str | None]:
    """Find DATA and --recipe before the flags can be parsed, since they decide the flags' defaults."""
    positional, recipe, flag = None, None, ""
    for arg in args:
        if arg.startswith("--recipe="):
            recipe = arg.removeprefix("--recipe=")
        elif flag == "--recipe":
            recipe = arg
        elif positional is None and not arg.startswith("-") and not takes(form, flag, arg):
            positional = arg
        if arg.startswith("--"):
            flag = arg
        elif flag not in LISTS:
            flag = ""
    return positional, recipe


def takes(form: type[SettingsForm], flag: str, arg: str) -> bool:
    """Tell whether an argument is a value of the flag before it; there may be none."""
    if flag in LISTS:
        return arg in ARM_NAMES if flag == "--arms" else is_number(arg)
    return flag.startswith("--") and "=" not in flag and flag.replace("_", "-") not in switches(form)


@cache
def switches(form: type[SettingsForm]) -> frozenset[str]:
    """Return the flags of a form that take no value: those of yes or no, and their opposites."""
    config = config_dict(TrainConfig())
    groups = {name: values for name, values in config.items() if isinstance(values, dict)}
    own: dict[str, Any] = {}
    for field in fields(form):  # type: ignore[arg-type]  # it is a dataclass
        if field.default_factory is MISSING:
            own[field.name] = field.default
        else:
            own |= vars(field.default_factory())
    flags: dict[str, dict[str, Any]] = {"--": {**config, **own}}
    flags |= {f"--{name}.": values for name, values in groups.items()}
    yes_or_no = [
        (group, name.replace("_", "-"))
        for group, values in flags.items()
        for name, value in values.items()
        if isinstance(value, bool)
    ]
    return frozenset(f"{group}{no}{name}" for group, name in yes_or_no for no in ("", "no-"))


def is_number(text: str) -> bool:
    """Tell whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
