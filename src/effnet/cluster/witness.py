"""A folder that the machines of a cluster must see, and how it shows that they do."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from effnet.errors import UsageError
from effnet.files import check_folder, write_text


@dataclass(frozen=True)
class Witness:
    """A file in the folder that holds a secret: who reads that sees the folder."""

    path: Path
    secret: str

    def check(self) -> None:
        """Look for the file; called on a machine of the cluster.

        Raises:
            UsageError: it is not there, or another one.

        """
        with suppress(OSError):
            if self.path.read_text(encoding="utf-8") == self.secret:
                return
        raise UsageError(
            f"{socket.gethostname()} does not see the folder {self.path.parent} of this machine; a cluster "
            f"needs one that all machines see under the same path, such as on NFS"
        )


@contextmanager
def witness_in(folder: Path) -> Iterator[Witness]:
    """Put a witness into a folder, for a while.

    Raises:
        EffnetError: the folder cannot be written to.

    """
    folder = folder.resolve()
    check_folder(folder)
    witness = Witness(folder / f".cluster-{os.urandom(8).hex()}", os.urandom(16).hex())
    write_text(witness.path, witness.secret)
    try:
        yield witness
    finally:
        witness.path.unlink(missing_ok=True)
