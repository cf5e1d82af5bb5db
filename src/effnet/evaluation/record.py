"""The record of a training beside its model file: one line of metrics per epoch."""

import json
from pathlib import Path
from typing import Any

from effnet.modelfile import ModelHeader

METRICS_FILE = "metrics.jsonl"


def read_record(header: ModelHeader, path: Path) -> list[dict[str, Any]]:
    """Read the epochs of the training that wrote a model file; none where its record is missing.

    A file that is not the record of this very model (replaced by a later run, or something else of that name)
    is passed over: the epoch kept must be in it, with the validation loss that the model file states.
    """
    try:
        text = (path.parent / METRICS_FILE).read_text(encoding="utf-8")
        records = [dict(json.loads(line)) for line in text.splitlines()]
    except (OSError, ValueError, TypeError):
        return []
    kept = header.metrics.get("chosen", header.metrics.get("val"))  # in files written before, under "val"
    return records if isinstance(kept, dict) and any(_is_epoch(record, kept) for record in records) else []


def _is_epoch(record: dict[str, Any], kept: dict[str, Any]) -> bool:
    losses = (record.get("val_loss"), record.get("ema_val_loss"))
    return record.get("epoch") == kept.get("epoch") and kept.get("loss") in losses
