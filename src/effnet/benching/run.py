"""A benchmark: networks beside each other on this machine, in turns, ours and those of other libraries."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from effnet.benching import table4
from effnet.benching.contest import Contest, Entry, Listener, Rules
from effnet.benching.machine import cpu_name, versions
from effnet.benching.plan import Maker, Place, place_of
from effnet.benching.process import StoppedError
from effnet.benching.programs import Contender
from effnet.benching.results import Benchmark, Row
from effnet.benching.subjects import Subject, find
from effnet.benching.terms import Terms, read_terms
from effnet.device import environment
from effnet.exporting.listener import Quiet
from effnet.spec.netspec import NetSpec
from effnet.training.interrupt import Interrupts

MOST_TOGETHER = 12  # processes at once; with more, each network has a contest of its own
GPU_LIMIT = 3e-2  # of logits on a GPU, whose convolutions round to TF32


Model = str | Path | NetSpec


def bench(*models: Model, reporter: Listener | None = None, **settings: Any) -> Benchmark:
    """Measure networks on this machine: cost, memory, and the time of a prediction or a training step.

    Each contender has a process of its own, and they take turns. SIGINT and SIGTERM end it in order:
    `stopped` says so, and the rows what was known.

    Args:
        models: names, spec files (`.json`), specs, model files (`.safetensors`) or exported ones (`.onnx`);
            without any, B0 and its neighbours in MACs.
        reporter: told of the progress; without one nothing is printed.
        settings: fields of `effnet.benching.terms.Terms`, such as `against=["timm"]` or `train=True`.

    Raises:
        UsageError: unknown name or key, bad value, or what cannot be measured together or here.
        ModelFileError: a file that is missing, damaged, or not ours.
        MissingExtraError: a library or a runtime that is asked for is not installed.

    """
    terms = read_terms(settings)
    given: Sequence[Model] = models
    if terms.table4:
        terms, given = table4.ask(terms, len(models)), table4.MODELS
    subjects, place = find(given, terms), place_of(terms)
    rows: list[Row] = []
    listener = reporter or Quiet()
    with TemporaryDirectory() as folder, Interrupts() as interrupts:
        maker = Maker(terms, place, Path(folder), listener.message)
        try:
            for batch in terms.batches:
                measure(maker, subjects, batch, rows, (listener, interrupts))
        except StoppedError:
            pass  # the rows say what is known
        stopped = interrupts.received
    return Benchmark(terms.task, tuple(rows), conditions(terms, place), terms.table4, stopped)


def measure(
    maker: Maker, subjects: Sequence[Subject], batch: int, rows: list[Row], watch: tuple[Listener, Interrupts]
) -> None:
    """Measure networks with batches of one size, and add to the rows what is known, also when stopped.

    Raises:
        StoppedError: a wish to stop was heard.

    """
    listener, interrupts = watch
    listener.message(words(maker, batch))
    limit = GPU_LIMIT if maker.place.device.type == "cuda" else Rules.limit
    rules = Rules(maker.terms.rounds, maker.terms.seconds, limit)
    by_name = {subject.name: subject for subject in subjects}
    for contenders in groups([maker.contenders(subject, batch) for subject in subjects]):
        contest = Contest(contenders, rules, listener, lambda: interrupts.received is not None)
        try:
            contest.run()
        finally:
            rows += [row_of(by_name[entry.contender.network], entry, batch) for entry in contest.entries]


def groups(contenders: Sequence[tuple[Contender, ...]]) -> list[tuple[Contender, ...]]:
    """Return who takes turns with whom: all, or, of many, those on one network."""
    together = tuple(contender for of_network in contenders for contender in of_network)
    return [together] if len(together) <= MOST_TOGETHER else list(contenders)


def row_of(subject: Subject, entry: Entry, batch: int) -> Row:
    """Return what is known of a contender as a row; one that had no turn says why."""
    return Row(
        subject.name,
        subject.spec.resolution,
        subject.num_classes,
        subject.cost,
        entry.contender.program,
        batch,
        tuple(map(tuple, entry.turns)),
        entry.start_seconds,
        entry.peak_bytes,
        entry.difference,
        entry.failure,
    )


def words(maker: Maker, batch: int) -> str:
    """Say what is measured."""
    place, terms = maker.place, maker.terms
    threads = f" with {place.threads} thread{'s' * (place.threads > 1)}" if place.device.type == "cpu" else ""
    what = "training steps" if terms.train else "predictions"
    return (
        f"{what} of {batch} image{'s' * (batch > 1)} on {place.device.type}{threads}; "
        f"{terms.rounds} round{'s' * (terms.rounds > 1)}, turns of {terms.seconds:g} s"
    )


def conditions(terms: Terms, place: Place) -> dict[str, Any]:
    """Say under which conditions it was measured."""
    return {
        **environment(place.device),
        "cpu": cpu_name(),
        "threads": place.threads,
        "versions": versions(),
        "runtime": list(terms.runtime),
        "against": list(terms.against),
        "modes": list(place.modes) if terms.against else [],
        "rounds": terms.rounds,
        "seconds": terms.seconds,
    }
