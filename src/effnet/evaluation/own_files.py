"""Files of an earlier run in the same folder: they may be replaced, and nothing else may."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from effnet.errors import UsageError, some
from effnet.files import check_folder, read_marked, write_text

MARK = {"effnet_explain": 1}


class OwnFiles:
    """The files that a command writes into a folder, written down beside them in a record.

    Args:
        folder: made if it is missing.
        record: name of the JSON file that lists them.

    Raises:
        EffnetError: the folder cannot be written to.
        UsageError: there is a file of the record's name that is no such record.

    """

    def __init__(self, folder: Path, record: str) -> None:
        check_folder(folder)
        self.folder = folder
        self.record = folder / record
        self.earlier = self._read() if self.record.exists() else frozenset()

    def _read(self) -> frozenset[str]:
        remedy = "choose another folder"
        data = read_marked(self.record, MARK, kinds=("a record of maps", "a record of maps"), remedy=remedy)
        listed = data.get("files")
        names = listed if isinstance(listed, list) else []
        return frozenset(name for name in names if isinstance(name, str) and Path(name).name == name)

    def claim(self, names: Iterable[str]) -> None:
        """Write down the names of files before they are written, so that a run that is cut off is known.

        Raises:
            UsageError: one is there and was not written by an earlier run.

        """
        wanted = list(names)
        foreign = [name for name in wanted if name not in self.earlier and (self.folder / name).exists()]
        if foreign:
            raise UsageError(
                f"{some(foreign, limit=3)} in {self.folder}: would be overwritten, and no earlier run wrote "
                f"it; choose another folder"
            )
        self._write(self.earlier.union(wanted), {})

    def finish(self, names: Iterable[str], content: Mapping[str, Any]) -> None:
        """Remove what earlier runs wrote and this one did not, and write the record."""
        written = frozenset(names)
        for path in (self.folder / name for name in self.earlier - written):
            if path.is_file():
                path.unlink()
        self._write(written, content)

    def _write(self, names: frozenset[str], content: Mapping[str, Any]) -> None:
        data = {**MARK, "files": sorted(names), **content}
        write_text(self.record, json.dumps(data, indent=2) + "\n")
