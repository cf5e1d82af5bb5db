"""The log: one JSON object a line on standard error, for people and machines; never what was sent."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from time import time
from typing import Any

TALKATIVE = ("PIL", "python_multipart")  # they warn of what is then refused anyway


def log(event: str, level: str = "info", **fields: Any) -> None:
    """Write a line with an event and its fields; nothing in them can break out of it."""
    moment = datetime.fromtimestamp(time(), UTC).isoformat(timespec="milliseconds")
    line = {"time": moment, "level": level, "event": event, **fields}
    sys.stderr.write(json.dumps(line, default=str) + "\n")  # which standard error passes on line by line


def bug(event: str, error: BaseException, **fields: Any) -> None:
    """Write a line about an exception that nobody expected, with its trace, which stays in the log."""
    log(event, "error", **fields, trace="".join(traceback.format_exception(error)))


class LibraryLog(logging.Handler):
    """Writes what libraries log in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        trace = {"trace": logging.Formatter().formatException(record.exc_info)} if record.exc_info else {}
        log(record.getMessage(), record.levelname.lower(), origin=record.name, **trace)


def take_over_logs() -> None:
    """Let all libraries of this process, and its warnings, write to this log."""
    root = logging.getLogger()
    root.handlers = [LibraryLog()]
    root.setLevel(logging.WARNING)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)
