"""Weights from a hub of models, by huggingface_hub: cached, resumed, with the user's token."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effnet.errors import EffnetError, UsageError
from effnet.importing.listener import Listener

if TYPE_CHECKING:
    from tqdm.auto import tqdm

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in a repository, the safest first."""
CONFIG = "config.json"
PREFIX = "hf-hub:"
"""timm's mark of a name on the hub."""


class HubError(EffnetError):
    """A repository, or a file of it, cannot be had from the hub."""


def is_hub_name(source: str) -> bool:
    """Tell whether a source is meant as the name of a repository: OWNER/NAME, and no file or folder."""
    name = source.removeprefix(PREFIX)
    is_file_name = name.endswith((".safetensors", ".pth", ".pt", ".bin", ".onnx"))
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is not None and not is_file_name


def fetch(source: str, revision: str | None, listener: Listener) -> Path:
    """Return the file of weights in a repository, with `config.json` beside it where there is one.

    Args:
        source: `OWNER/NAME`.
        revision: branch, tag or commit; the main branch when not given.
        listener: told of the bytes.

    Raises:
        HubError: no connection (says what to bring by hand), no permission, no such repository or revision.
        ModuleNotFoundError: the extra `hub` is not installed.

    """
    name = source.removeprefix(PREFIX)
    listener.message(f"asking {endpoint()} for {name}")
    with _quiet():
        _file(name, CONFIG, revision, listener)
        for candidate in WEIGHTS:
            path = _file(name, candidate, revision, listener)
            if path is not None:
                return path
    raise HubError(f"{name} on {endpoint()} has no {' and no '.join(WEIGHTS)}; see {_page(name, revision)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to one line what huggingface_hub says of each of its tries: the error tells the last one."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def endpoint() -> str:
    """Return the address of the hub: `$HF_ENDPOINT`, or Hugging Face's."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _page(name: str, revision: str | None) -> str:
    return f"{endpoint()}/{name}/tree/{revision or 'main'}"


def _file(name: str, file: str, revision: str | None, listener: Listener) -> Path | None:
    """Return a file of a repository, downloaded unless it is in the cache; None where there is none."""
    from huggingface_hub import errors, hf_hub_download

    try:
        path = hf_hub_download(
            name,
            file,
            revision=revision,
            cache_dir=os.environ.get("HF_HUB_CACHE"),
            endpoint=endpoint(),
            tqdm_class=_bar(listener),
        )
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(name, revision, error.__cause__ or error) from None
    except errors.EntryNotFoundError:
        return None
    except errors.GatedRepoError:
        raise HubError(
            f"{name}: its owner wants terms to be accepted first, at {endpoint()}/{name}; then set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise HubError(
            f"{endpoint()} has no {name}, or it is private; look it up there; for a private one set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{name} has no revision {revision!r}; see {endpoint()}/{name}/commits/main") from None
    except errors.HFValidationError as error:
        raise UsageError(f"{name}: {str(error).splitlines()[0]}") from None
    except (errors.HfHubHTTPError, OSError) as error:
        raise _unreachable(name, revision, error) from None
    return Path(path)


def _unreachable(name: str, revision: str | None, error: BaseException) -> HubError:
    reason = str(error).strip().split("\n")[0].rstrip(".")[:200] or type(error).__name__
    return HubError(
        f"cannot get {name} from {endpoint()} ({reason}); without a connection bring {WEIGHTS[0]} and "
        f"{CONFIG} from {_page(name, revision)} into one folder, and give that folder"
    )


def _bar(listener: Listener) -> "type[tqdm[Any]]":
    """Return a progress bar that shows nothing and tells the listener."""
    from tqdm.auto import tqdm

    class Told(tqdm):  # type: ignore[misc]
        """A bar that is drawn by somebody else."""

        def display(self, *_: Any, **__: Any) -> None:
            """Draw nothing."""

        def update(self, n: float | None = 1) -> bool | None:
            """Count bytes, and tell."""
            super().update(n)
            listener.downloading(int(self.n), None if self.total is None else int(self.total))
            return None

    return Told
