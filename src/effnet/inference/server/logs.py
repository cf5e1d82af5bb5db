"""The log: one JSON object a line, for people and machines; never what was sent."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOG = logging.getLogger("effnet.serve")
TALKATIVE = ("PIL", "python_multipart")  # they warn of what is then refused anyway


class JsonLines(logging.Formatter):
    """Writes a record as one line; whatever stands in a request cannot break out of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write a line with an event and its fields."""
    LOG.log(level, event, extra={"fields": fields})


def bug(event: str, error: BaseException, **fields: Any) -> None:
    """Write a line about an exception that nobody expected, with its trace, which stays in the log."""
    LOG.error(event, exc_info=error, extra={"fields": fields})


def write_logs() -> None:
    """Send all logs and warnings of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)
