"""What a run writes down: metrics of each epoch, and where and with what it was made."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from effnet import __version__
from effnet.errors import EffnetError
from effnet.files import write_text
from effnet.training.reporter import EpochRecord

METRICS_FILE = "metrics.jsonl"


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


def _line(record: EpochRecord) -> str:
    return json.dumps(record.to_dict()) + "\n"


def environment(device: torch.device) -> dict[str, Any]:
    """Say what machine and versions a result was made with."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "effnet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "accelerator": accelerator,
        "threads": torch.get_num_threads(),
    }
