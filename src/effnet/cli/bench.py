"""`effnet bench`: networks beside each other on this machine, also against other libraries."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from effnet.benching.modes import Library, ModeName
from effnet.benching.terms import RuntimeName
from effnet.cli.output import big, console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.errors import EffnetError, UsageError, some
from effnet.files import check_folder

if TYPE_CHECKING:  # they load torch
    from effnet.benching.results import Benchmark, Row


@dataclass(frozen=True)
class BenchForm:
    """Measure networks on this machine: parameters, MACs, activations, memory, latency, throughput.

    Each contender has a process of its own, and they take turns: what disturbs the machine disturbs all.
    Two programs with one network are checked to give the same logits. Ctrl-C shows what is known so far.
    """

    models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL …]")] = ()
    """Names from `effnet show`, .json specs, .safetensors model files or .onnx networks of `effnet export`;
    b0 and the networks nearest to it in MACs when not given."""
    against: Annotated[tuple[Library, ...], tyro.conf.arg(metavar="LIBRARY …")] = ()
    """Measure the same network of timm or torchvision, or both, too, with the same weights."""
    train: bool = False
    """Time whole training steps: forward, loss, backward, optimizer, moving average."""
    infer: bool = False
    """Time predictions, which is what happens without --train."""
    runtime: Annotated[tuple[RuntimeName, ...], tyro.conf.arg(metavar="RUNTIME …")] = ("torch",)
    """What predicts with our networks: torch, onnxruntime, or both."""
    modes: Annotated[
        tuple[ModeName, ...] | None,
        tyro.conf.arg(metavar="MODE …"),
    ] = None
    """How other libraries' networks are run: eager, channels_last, compiled; bf16, compiled-bf16. All that
    this machine computes when not given; compiling takes a minute or more."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, mps."""
    batch: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="N …")] = None
    """Images at once, each number measured; 1 and 16, or 32 with --train, when not given."""
    resolution: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side of the images; each network's own when not given."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of classes: 1000, or 10 for networks of small images, when not given."""
    rounds: int = 5
    """How often each contender has its turn."""
    seconds: float = 0.5
    """Least time of a turn; one run at least."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of a CPU that compute; torch's choice when not given."""
    table4: bool = False
    """Measure the paper's Table 4: ResNet-152, b1 and b7, one image on one core; takes minutes."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for a page (bench.html), its charts and all numbers (bench.json)."""
    json: bool = False
    """Print one JSON object instead of progress and tables."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(BenchForm, "bench", args)
    if form.train and form.infer:
        raise UsageError("--train and --infer exclude each other; run effnet bench once for each")
    if form.out is not None:
        check_folder(form.out)
    from effnet.benching.run import bench

    with TerminalReporter(quiet=form.json) as reporter:
        result = bench(*form.models, reporter=reporter, **settings(form))
    if form.out is not None and any(row.turns for row in result.rows):
        from effnet.benching.page import write_bench

        write_bench(result, form.out, command=shlex.join(["effnet", "bench", *args]))
    show(result, form)
    check(result)


def settings(form: BenchForm) -> dict[str, Any]:
    """Return what the Python API is given, under the same names."""
    left_out = ("models", "infer", "out", "json")
    return {name: value for name, value in vars(form).items() if name not in left_out}


class StoppedBenchError(EffnetError):
    """A signal ended the benchmark; the exit code is 128 + the signal."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped early: above is what was measured by then")
        self.exit_code = 128 + number


def check(result: "Benchmark") -> None:
    """Turn what went wrong into the command's failure.

    Raises:
        EffnetError: it was stopped, or a contender has no result.

    """
    if result.stopped is not None:
        raise StoppedBenchError(result.stopped)
    if result.failures:
        raise EffnetError(f"without a result: {some(result.failures, limit=3)}")


def show(result: "Benchmark", form: BenchForm) -> None:
    """Print the result for a program or a person."""
    if form.json:
        print_json(result.to_dict())
        return
    out = console()
    for batch in result.batches:
        out.print(rows(result, batch), "")
    if result.table4:
        show_table4(result, out)
    if result.rows:
        out.print(legend(result), style="dim")
    if form.out is not None and any(row.turns for row in result.rows):
        out.print(f"  {form.out / 'bench.html'}  the page; bench.json and charts are beside it", markup=False)


def rows(result: "Benchmark", batch: int) -> Table:
    """Lay out the rows of batches of one size."""
    place = result.conditions
    threads = f" with {place['threads']} thread{'s' * (place['threads'] > 1)}"
    device = place["accelerator"] or f"{place['cpu'] or place['device']}{threads}"
    what = "training step" if result.task == "train" else "prediction"
    title = f"{what} of {batch} image{'s' * (batch > 1)} on {device}"
    columns = [
        "network", "program", "pixels", "params", "MACs", "activations", "MB",
        "ms, median", "quartiles", "images/s", "speed", "range",
    ]  # fmt: skip
    made = table(title, columns, left=2)
    for row in result.of_batch(batch):
        made.add_row(*cells(row, result))
    return made


def cells(row: "Row", result: "Benchmark") -> list[str]:
    """Return a row of the table; times in milliseconds."""
    counts = [str(row.resolution), *(big(x) for x in (row.cost.params, row.cost.macs, row.cost.activations))]
    memory = "–" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:,.0f}"
    first = [escape(row.network), row.program, *counts, memory]
    latency, speed = row.latency, row.images_per_second()
    if row.failure or latency is None or speed is None:
        return [*first, escape(row.failure) or "not measured"]
    ratio = row.ratio(result.reference(row))
    compared = ["–", ""] if ratio is None else [f"× {ratio.median:.2f}", f"{ratio.low:.2f}–{ratio.high:.2f}"]
    quartiles = f"{1e3 * latency.low:.4g}–{1e3 * latency.high:.4g}"
    return [*first, f"{1e3 * latency.median:.4g}", quartiles, f"{speed:,.4g}", *compared]


def legend(result: "Benchmark") -> str:
    """Say what the columns mean, and how sure one may be that programs compute the same."""
    beside = "the first program on the same network" if result.has_peers(result.rows) else "the first row"
    memory = (
        "of the GPU" if result.conditions["device"] == "cuda" else "of the process, its libraries included"
    )
    found = result.largest_difference
    equal = ""
    if found is not None:
        equal = f"\nLogits of one network differ by at most {found:.0e} of what other images change."
    return (
        f"MB: most memory {memory}. Quartiles: half of the runs lie between.\n"
        f"Speed: beside {beside}, in turns; range over the rounds.{equal}"
    )


def show_table4(result: "Benchmark", out: Console) -> None:
    """Print the paper's Table 4 with what it publishes and what was measured."""
    from effnet.benching.table4 import COLUMNS, lines

    made = table("Table 4: seconds of one image on one core, mean", COLUMNS)
    for line in lines(result):
        made.add_row(*line)
    out.print(made, "")
