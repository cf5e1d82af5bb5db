"""Where a study lives: a database that several workers reach, opened with errors that speak to the user."""

import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from effnet.errors import EffnetError, UsageError

GRACE_BEATS = 3  # a worker that missed so many heartbeats is taken for dead
SQLITE_SECONDS = 60  # to wait while another worker writes
TRIES = 3


def sqlite_url(path: Path) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path.resolve()}"


def open_storage(url: str, heartbeat: int) -> RDBStorage:
    """Open a database, and make the tables that it lacks.

    Args:
        url: as SQLAlchemy writes it, such as `sqlite:///file` or `postgresql://user:password@host/name`.
        heartbeat: seconds between two signs of life of a worker.

    Raises:
        UsageError: no such kind of URL, or its Python package is missing.
        EffnetError: it cannot be reached, or another version of Optuna made it.

    """
    name = readable(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with talking(name), deliberately():
            return _open(url, heartbeat, TRIES)
    except ImportError as error:
        cause = error.__cause__ or error
        raise UsageError(
            f"--storage {name}: {cause}; install the package for this kind of database"
        ) from None
    except RuntimeError as error:  # tables of another version
        raise EffnetError(f"--storage {name}: {error}") from None


def _open(url: str, heartbeat: int, tries: int) -> RDBStorage:
    """Open; workers that start at the same moment may all find no tables, and only one can make each."""
    engine = {"connect_args": {"timeout": SQLITE_SECONDS}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(url, engine, heartbeat_interval=heartbeat, grace_period=GRACE_BEATS * heartbeat)
    except (IntegrityError, ProgrammingError, OperationalError) as error:
        is_late = not isinstance(error, OperationalError) or "already exists" in str(error)
        if not is_late or tries == 1:
            raise
    time.sleep(1.0)
    return _open(url, heartbeat, tries - 1)


def turn_of(url: str) -> AbstractContextManager[object]:
    """Return what lets one worker at a time change a study; it may be entered again and again.

    A database server sees to that itself. SQLite does not lock what it has read, so that two workers would
    now and then begin the same trial: seen with four of them, in every second search.
    """
    address = make_url(url)
    is_file = address.get_backend_name() == "sqlite" and address.database not in (None, "", ":memory:")
    return FileLock(f"{address.database}.lock") if is_file else nullcontext()


def readable(url: str) -> str:
    """Return a URL without its password.

    Raises:
        UsageError: it is no URL of a database.

    """
    try:
        address = make_url(url)
        address.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise UsageError(
            f"--storage {url}: not the URL of a database; it looks like sqlite:///FILE or "
            f"postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    return address.render_as_string(hide_password=True)


@contextmanager
def talking(name: str) -> Iterator[None]:
    """Turn what goes wrong while talking to the storage of that name into one line."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        lines = str(getattr(error.__cause__ or error, "orig", None) or error).strip().splitlines()
        raise EffnetError(
            f"--storage {name} cannot be used: {lines[0] if lines else type(error).__name__}; nothing that "
            f"was found is lost, and the same command goes on when it can be reached"
        ) from error


@contextmanager
def deliberately() -> Iterator[None]:
    """Use heartbeats, which Optuna calls experimental, with ask and tell, where it knows no one who beats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used with Study.optimize")
        yield
