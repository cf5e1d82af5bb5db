"""`effnet check`: what is wrong with a data set, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from effnet.cli.output import console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.doctor.findings import KINDS
from effnet.doctor.result import TABLE_FILE, CheckResult
from effnet.doctor.run import check
from effnet.doctor.words import trust
from effnet.errors import DataError


@dataclass(frozen=True)
class CheckForm:
    """Look for what is wrong with a data set: broken files, copies, wrong labels, unequal classes.

    Nothing in the data is changed. The page shows the pictures concerned and says what to do; a table lists
    all findings. The exit code is 0 also with findings, unless --strict is given.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A name (digits, cifar10, food101, …), a folder, a .csv, .tar or .parquet file, hf:NAME, or a URL."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for page and lists; runs/NAME-check when not given. Those of an earlier check are replaced."""
    model: Annotated[Path | None, tyro.conf.arg(metavar="MODEL")] = None
    """A model file whose network looks at the images, to judge their labels: it sees more than patches."""
    labels: bool = True
    """Judge the labels, which takes longest."""
    strict: bool = False
    """Exit with 1 if there is any problem; hints, such as doubtful labels and unequal classes, are none."""
    json: bool = False
    """Print one JSON object instead of progress and tables."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(CheckForm, "check", args)
    with TerminalReporter(quiet=form.json) as reporter:
        result = check(form.data, form.out, model=form.model, labels=form.labels, reporter=reporter)
    if form.json:
        print_json(result.to_dict())
    else:
        show(result)
    number = sum(result.problems.values())
    if form.strict and number:
        raise DataError(
            f"{number:,} {'problem' if number == 1 else 'problems'} in {result.data}: {listed(result)}"
        )


def listed(result: CheckResult) -> str:
    """Name the problems on one line."""
    return ", ".join(f"{KINDS[name].title.lower()}: {number:,}" for name, number in result.problems.items())


def show(result: CheckResult) -> None:
    """Print the summary for a person."""
    out = console()
    if result.findings:
        made = table("", ["", "found", "what to do"], left=1)
        made.columns[-1].justify = "left"
        for name, number in result.counts.items():
            made.add_row(KINDS[name].title, f"{number:,}", KINDS[name].advice)
        out.print(made)
    else:
        out.print("Nothing found.")
    for sentence in trust(result.labels, result.num_readable):
        out.print(sentence, markup=False)
    out.print(f"\n  {result.page}  the pictures concerned, and what to do about each", markup=False)
    out.print(f"  {result.folder / TABLE_FILE}  all findings, one a line", markup=False)
