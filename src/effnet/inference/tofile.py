"""Predictions of any number of images as a file, in constant memory, that goes on where it was stopped."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypedDict, TypeVar, Unpack

from effnet.errors import DataError, UsageError
from effnet.files import digest_of, write_bytes
from effnet.inference.answers import Model, batches, predict_batch
from effnet.inference.journal import open_journal
from effnet.inference.places import Place, count, listed, place_of
from effnet.inference.prediction import check_top
from effnet.inference.rows import Row, answer_row, columns, error_row, writer_of
from effnet.inference.runtime import num_cores
from effnet.inference.urls import Url

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # batches for each thread that are under way or wait to be written


class FileModel(Model, Protocol):
    """A network that came from a file."""

    @property
    def path(self) -> Path | None:
        """The file."""


class Compute(Protocol):
    """Gives the rows of images, with these columns, some at a time, in the order of the images."""

    def __call__(
        self, model: FileModel, names: tuple[str, ...], places: Iterable[Place]
    ) -> Generator[list[Row], None, None]:
        """Yield rows."""


class Options(TypedDict, total=False):
    """How predictions are written, as keyword arguments."""

    top: int
    """Number of classes to name, 5 when not given, at most all."""
    overwrite: bool
    """Replace a file that is there, and forget an interrupted run."""
    on_progress: Callable[[int, int], None]
    """Told how many images have a row, of how many."""
    compute: "Compute"
    """Gives the rows of images, some at a time, in their order; computed here when not given."""


@dataclass(frozen=True)
class Written:
    """What `predict_to` has done."""

    out: Path
    num_rows: int
    """Rows of the file."""
    num_errors: int
    """Rows of images that cannot be read."""
    num_kept: int
    """Rows that were there from an interrupted run."""
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Speed of this run."""
        return (self.num_rows - self.num_kept) / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        speed = {"images_per_second": self.images_per_second}
        return {**asdict(self), "out": str(self.out), **speed}


def predict_to(
    out: str | Path, model: FileModel, images: Sequence[str | Path], **options: Unpack[Options]
) -> Written:
    """Classify images and write a row for each into a file, folder by folder in the order of their names.

    The columns are `image`, `class`, `probability`, then `class2`, `probability2` and so on for the classes
    asked for, and `error`, which says why an image cannot be read and is empty for all others. Until all rows
    are there they stand in a file beside it, called as `out` with `.partial` behind. The same call goes on
    after an interruption; it also takes images that have come into the folder since. Memory does not grow
    with the number of images, but for 16 bytes a row that is there already.

    Args:
        out: the file: `.csv`, `.jsonl` or `.parquet`.
        model: from a file. An exported network is best loaded with `num_threads=1`, because the images are
            shared among as many threads as there are cores.
        images: files and folders, of which all images are taken, at any depth; or URLs of such.
        options: see `Options`.

    Raises:
        DataError: there is no such file or folder, or a folder holds no images.
        EffnetError: the file cannot be written; rows that are there are kept.
        MissingExtraError: the format needs a package that is not installed.
        UsageError: `out` is there already, its suffix is not known, or the rows there are of another run.

    """
    began, out, places = perf_counter(), Path(out), [place_of(image) for image in images]
    overwrite, top = options.get("overwrite", False), options.get("top", 5)
    check_top(top)
    write, names = writer_of(out), columns(min(top, model.header.num_classes))
    _check_free(out, overwrite)
    total, run = count(places), _run(model, top, places)
    with open_journal(out.with_name(f"{out.name}.partial"), run, anew=overwrite) as journal:
        _check_free(out, overwrite)  # nobody else has finished meanwhile
        num_kept = journal.num_rows
        new = (place for place in listed(places) if str(place) not in journal)
        with closing(options.get("compute", new_rows)(model, names, new)) as some_rows:
            for rows in some_rows:
                journal.add(rows)
                options.get("on_progress", ignore)(journal.num_rows, max(total, journal.num_rows))
        write_bytes(out, lambda temporary: write(journal.lines(), names, temporary))
        journal.remove()
    return Written(out, journal.num_rows, journal.num_errors, num_kept, perf_counter() - began)


def new_rows(
    model: Model, names: tuple[str, ...], places: Iterable[Place]
) -> Generator[list[Row], None, None]:
    """Yield rows with these columns, some at a time, for each image."""
    with model.computing():
        yield from in_order(partial(answer, model, names), batches(places, model.batch_size), num_cores())


def ignore(done: int, total: int) -> None:
    """Follow nothing."""


def _check_free(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise UsageError(f"{out} is there already; choose another --out, or --overwrite to replace it")


def _run(model: FileModel, top: int, places: Sequence[Place]) -> dict[str, Any]:
    """Say what may not change while a file is being made; names of images depend on the folder we are in."""
    assert model.path is not None  # a condition of `predict_to`
    is_fixed = all(isinstance(place, Url) or place.is_absolute() for place in places)
    here = "" if is_fixed else str(Path.cwd())
    return {"model": digest_of(model.path), "top": top, "images": list(map(str, places)), "folder": here}


def answer(model: Model, names: tuple[str, ...], batch: Sequence[Place]) -> list[Row]:
    """Return the rows of a few images, with these columns."""
    broken: list[DataError] = []
    num_top = len(names) // 2 - 1
    named = [(str(place), place) for place in batch]
    answers = {
        prediction.image: prediction.classes
        for prediction in predict_batch(model, named, top=num_top, on_broken=broken.append)
    }
    reasons = iter(broken)  # in the order of the images
    return [
        answer_row(name, answers[name], names)
        if name in answers
        else error_row(name, str(next(reasons)).removeprefix(f"{name}: "), names)
        for name, _ in named
    ]


def in_order(task: Callable[[T], R], items: Iterable[T], num_threads: int) -> Iterator[R]:
    """Yield what a task makes of each item, in their order; threads work some items ahead, not more."""
    with ThreadPoolExecutor(num_threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(task, item))
                if len(waiting) > _AHEAD * num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
