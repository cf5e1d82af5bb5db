"""Progress of a training in the terminal: bars while it works, one line per epoch to keep."""

from types import TracebackType

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from effnet.cli.output import SafeConsole
from effnet.training.reporter import EpochRecord, StepRecord

DOWNLOAD = "bringing the data"


class AmountColumn(ProgressColumn):
    """How much is done: bytes of a download, else a count."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.count = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        """Return the text of a bar's amount."""
        return self.bytes.render(task) if task.description == DOWNLOAD else self.count.render(task)


class TerminalReporter:
    """Reports on standard error, so that standard output holds results only."""

    def __init__(self, *, quiet: bool) -> None:
        self.console = SafeConsole(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            AmountColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,  # elsewhere all that is left of bars is an empty line
        )
        self.tasks: dict[str, TaskID] = {}
        self.has_header = False

    def __enter__(self) -> "TerminalReporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.progress.live.is_started:
            self.progress.stop()

    def _show(self, key: str, done: int, total: int | None, status: str = "") -> None:
        """Move the bar of a task; it is made when first needed and removed when full."""
        self.progress.start()
        if key not in self.tasks:
            self.tasks[key] = self.progress.add_task(key, total=total, completed=done, status=status)
        self.progress.update(self.tasks[key], completed=done, total=total, status=status)
        if total is not None and done >= total:
            self.progress.remove_task(self.tasks.pop(key))

    def message(self, text: str) -> None:
        """Print a line above the bars; a warning stands out."""
        self.console.print(Text(text, style="yellow" if text.startswith(("warning", "skipped")) else ""))

    def downloading(self, done: int, total: int | None) -> None:
        """Follow a download, or the first look into large files."""
        self._show(DOWNLOAD, done, total)

    def reading(self, split: str, done: int, total: int) -> None:
        """Follow the decoding of images."""
        self._show(f"reading {split}", done, total)

    def measuring(self, done: int, total: int) -> None:
        """Follow a network over the images that it is measured on."""
        self._show("measuring", done, total)

    def condition(self, title: str, done: int, total: int) -> None:
        """Follow a network over its images in several conditions; `title` is the one it is in now."""
        self._show("measuring", done, total, title)

    def drawing(self, done: int, total: int) -> None:
        """Follow the drawing of figures."""
        self._show("drawing", done, total)

    def working(self, what: str, done: int, total: int) -> None:
        """Follow a piece of work."""
        self._show(what, done, total)

    def predicting(self, done: int, total: int, speed: str) -> None:
        """Follow the prediction of images."""
        self._show("predicting", done, total, speed)

    def step(self, record: StepRecord) -> None:
        """Follow the optimizer over the whole training, so that the time left is that of all epochs."""
        status = (
            f"epoch {record.epoch + 1}/{record.epochs}  loss {record.loss:.3f}  acc {record.top1:.1%}  "
            f"lr {record.lr:.2g}  {record.images_per_second:,.0f} img/s"
        )
        self._show("training", record.step, record.total_steps, status)

    def epoch(self, record: EpochRecord) -> None:
        """Print the line of an epoch."""
        if not self.has_header:
            self.has_header = True
            self.console.print(
                "epoch   train loss    acc   val loss    acc   EMA loss    acc     img/s", style="bold"
            )
        average = "       –      –"
        if record.ema_val_loss is not None and record.ema_val_top1 is not None:
            average = f"{record.ema_val_loss:8.3f}  {record.ema_val_top1:5.1%}"
        self.console.print(
            f"{record.epoch + 1:5d}  {record.train_loss:11.3f}  {record.train_top1:5.1%}  "
            f"{record.val_loss:9.3f}  {record.val_top1:5.1%}  {average:>17}  {record.images_per_second:8,.0f}"
        )
