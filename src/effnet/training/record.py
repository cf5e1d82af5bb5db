"""What a run writes down: metrics of each epoch."""

import json
from collections.abc import Sequence
from pathlib import Path

from effnet.errors import EffnetError
from effnet.evaluation.record import METRICS_FILE
from effnet.files import write_text
from effnet.training.reporter import EpochRecord


class MetricsLog:
    """Appends one JSON line per epoch to `metrics.jsonl`; a line is on disk before the next epoch starts."""

    def __init__(self, folder: Path, records: Sequence[EpochRecord]) -> None:
        """Start the file with the epochs that are done already."""
        self.path = folder / METRICS_FILE
        write_text(self.path, "".join(map(_line, records)))

    def append(self, record: EpochRecord) -> None:
        """Add the result of an epoch."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise EffnetError(f"cannot write {self.path}: {error.strerror}") from error


class NoLog:
    """The log of a process that does not write: the first one of its group does."""

    def append(self, record: EpochRecord) -> None:
        """Drop the record."""


NO_LOG = NoLog()


def _line(record: EpochRecord) -> str:
    return json.dumps(record.to_dict()) + "\n"
