"""A question before long work starts."""

import sys

from effnet.errors import EffnetError, UsageError


def check_terminal(text: str, yes: bool) -> None:
    """Make sure that there is someone to ask; good to know before anything is measured.

    Raises:
        UsageError: there is no terminal to ask on, and `yes` was not said.

    """
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"{text}; there is no terminal to ask on: add --yes to start")


def confirm(text: str, yes: bool) -> None:
    """Ask whether to start, unless `yes` says so already.

    Raises:
        UsageError: there is no terminal to ask on.
        EffnetError: the answer is no.

    """
    check_terminal(text, yes)
    if yes:
        return
    sys.stderr.write(f"{text}. Start? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise EffnetError("not started; nothing was changed")
