"""Progress of a search in the terminal: a bar for all trials, and those of the running training below."""

from rich.progress import Task, TimeRemainingColumn
from rich.text import Text

from effnet.cli.progress import TerminalReporter
from effnet.sizing.search.progress import Progress
from effnet.training.forecast import duration
from effnet.training.reporter import EpochRecord

TRIALS = "trials"


class LeftColumn(TimeRemainingColumn):
    """Time left: of the trials what the search says, else by the speed of the bar."""

    def render(self, task: Task) -> Text:
        """Return the text of a bar's time left."""
        if task.description != TRIALS:
            return super().render(task)
        left = task.fields.get("left")
        return Text("" if left is None else f"{duration(left)} left", style="progress.remaining")


class SearchTerminal(TerminalReporter):
    """Reports a search on standard error, where each trial leaves one line."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.progress.columns = (*self.progress.columns[:-1], LeftColumn(compact=True))

    def __enter__(self) -> "SearchTerminal":
        return self

    def trials(self, progress: Progress) -> None:
        """Follow the trials."""
        elsewhere = f", {progress.others} at other workers" if progress.others else ""
        self._show(TRIALS, progress.done, progress.total, f"{progress.now}{elsewhere}")
        if TRIALS in self.tasks:
            self.progress.update(self.tasks[TRIALS], left=progress.seconds_left)

    def epoch(self, record: EpochRecord) -> None:
        """Leave no line: the bar of the training shows it."""
