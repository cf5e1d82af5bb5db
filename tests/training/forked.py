"""Several processes as one group in a test: forked, so that nothing is imported again."""

import os
import pickle
import tempfile
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import distributed as dist

from effnet.data.share import Share
from effnet.training.group import Group
from effnet.training.processes import Processes

T = TypeVar("T")


def together(folder: Path, size: int, work: Callable[[Group], T]) -> list[T]:
    """Do something in so many processes that form a group; return what each of them returns.

    One that the group dismisses returns nothing.
    """
    place = Path(tempfile.mkdtemp(dir=folder))
    pids = [fork(place, Share(rank, size), work) for rank in range(size)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * size, [path.read_text() for path in sorted(place.glob("*.error"))]
    results = [place / f"{rank}.result" for rank in range(size)]
    found = [pickle.loads(result.read_bytes()) if result.exists() else None for result in results]
    return cast(list[T], found)


def fork(place: Path, share: Share, work: Callable[[Group], object]) -> int:
    """Start a process that leaves its result in the folder; return its number."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads of the tests hold no lock that is needed
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
        store = dist.FileStore(str(place / "store"), share.size)  # type: ignore[attr-defined]
        dist.init_process_group(
            "gloo", store=store, rank=share.rank, world_size=share.size, timeout=timedelta(seconds=60)
        )
        result = work(Processes(share))
        (place / f"{share.rank}.result").write_bytes(pickle.dumps(result))
        code = 0
    except BaseException as error:
        (place / f"{share.rank}.error").write_text("".join(traceback.format_exception(error)))
    finally:
        os._exit(code)
