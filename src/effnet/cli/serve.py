"""`effnet serve`: a model file behind HTTP, with a page."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from effnet.cli.output import console
from effnet.cli.parse import parse
from effnet.errors import UsageError
from effnet.inference.server.settings import ServeSettings

TOKEN = "EFFNET_TOKEN"
MIN_TOKEN = 16


@dataclass(frozen=True)
class ServeForm:
    """Answer images over HTTP: POST /v1/predict, and a page at /."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The ONNX file that `effnet export` wrote; a file of `effnet train`, or cifar10-small, which comes with
    effnet, is exported first."""
    token_file: Path | None = None
    """File with the token that requests must bear; else $EFFNET_TOKEN, if it is set."""
    settings: tyro.conf.UseAppendAction[tyro.conf.OmitArgPrefixes[ServeSettings]] = field(
        default_factory=ServeSettings
    )


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(ServeForm, "serve", args)
    token = read_token(form.token_file)
    from effnet.inference.server.guard import is_loopback
    from effnet.inference.server.run import serve

    if token is None and not is_loopback(form.settings.host):
        console(stderr=True).print(
            f"warning: {form.settings.host} is reached from other machines, and without a token anybody may "
            f"ask: set ${TOKEN} or give --token-file",
            style="yellow",
        )
    serve(form.model, form.settings, token=token, on_ready=say_ready)


def say_ready(url: str) -> None:
    """Tell a person where to look; a supervisor has the log."""
    if sys.stderr.isatty():
        console(stderr=True).print(f"{url} answers; Ctrl-C stops it", style="bold")


def read_token(path: Path | None) -> str | None:
    """Return the token, None if there is none.

    Raises:
        UsageError: it cannot be read, or is too short to be one.

    """
    try:
        token = os.environ.get(TOKEN) if path is None else path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"--token-file {path}: {reason}") from None
    if token is None:
        return None
    origin = f"${TOKEN}" if path is None else f"--token-file {path}"
    if len(token) < MIN_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(
            f"{origin}: a token has at least {MIN_TOKEN} letters, digits or signs and no space; "
            f"openssl rand -hex 32 makes one"
        )
    return token
