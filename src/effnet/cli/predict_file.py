"""`effnet predict --out`: any number of images into a file."""

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from rich.markup import escape

from effnet.cli.output import console, print_json
from effnet.cli.progress import TerminalReporter
from effnet.errors import DataError, EffnetError
from effnet.inference.onnxfile import is_onnx_file
from effnet.inference.placed import OnCluster
from effnet.inference.rows import writer_of
from effnet.inference.tofile import Options, Written, predict_to
from effnet.loading import load

if TYPE_CHECKING:
    from pathlib import Path

    from effnet.cli.predict import PredictForm


class StoppedError(EffnetError):
    """Ctrl-C; the rows so far are kept."""

    exit_code = 130

    def __init__(self, out: "Path") -> None:
        super().__init__(
            f"stopped; the rows so far are in {out}.partial; the same command goes on after them"
        )


class Follower:
    """Shows how many images have a row, and the speed since the first time that it is told."""

    def __init__(self, reporter: TerminalReporter) -> None:
        self.reporter = reporter
        self.began: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show the progress."""
        now = perf_counter()
        if self.began is None:
            self.began = now, done
        seconds, before = now - self.began[0], self.began[1]
        speed = f"{(done - before) / seconds:,.0f} images/s" if seconds > 0 else ""
        self.reporter.predicting(done, total, speed)


class Listener:
    """Tells of a cluster what the bar of the images does not."""

    def __init__(self, reporter: TerminalReporter) -> None:
        self.message = reporter.message

    def at_work(self, done: int, running: int) -> None:
        """Follow nothing: rows are counted as they are written."""

    def heed(self) -> None:
        """Go on: Ctrl-C raises where it comes."""


def write_predictions(form: "PredictForm", out: "Path") -> None:
    """Write a file of predictions; say at the end what is in it.

    Raises:
        EffnetError: as `predict_to` does; and if no image at all can be read.

    """
    writer_of(out)  # a wrong suffix is told before a network is loaded
    cluster = form.placing.chosen("cpu" if is_onnx_file(form.model) else form.device)
    with TerminalReporter(quiet=form.json) as reporter:
        open_model = partial(load, device=form.device, num_threads=1)
        options: Options = {"top": form.top, "overwrite": form.overwrite, "on_progress": Follower(reporter)}
        if cluster is not None:
            options["compute"] = OnCluster(cluster, open_model, Listener(reporter))
        model = open_model(form.model)
        try:
            written = predict_to(out, model, form.images, **options)
        except KeyboardInterrupt:
            raise StoppedError(out) from None
    show_written(written, form.json)
    if written.num_errors == written.num_rows:
        raise DataError(
            f"none of the {written.num_rows:,} images can be read; {out} says why, image by image"
        )
    if written.num_errors:  # no failure: of thousands of files some are always broken
        console(stderr=True).print(
            f"warning: {written.num_errors:,} of {written.num_rows:,} images cannot be read; "
            f"their rows in {out} say why, in the column error",
            markup=False,
        )


def show_written(written: Written, as_json: bool) -> None:
    """Say what is in the file, for a program or a person."""
    if as_json:
        print_json(written.to_dict())
        return
    kept = f", {written.num_kept:,} of them from before" if written.num_kept else ""
    errors = f"; {written.num_errors:,} cannot be read: see the column error" if written.num_errors else ""
    console().print(
        f"{escape(str(written.out))}: {written.num_rows:,} images{kept}{errors}; "
        f"{written.seconds:.1f} s, {written.images_per_second:,.1f} images/s"
    )
