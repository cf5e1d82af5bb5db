"""What an export leaves behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effnet.exporting.comparison import Comparison
from effnet.exporting.parity import Parity
from effnet.inference.onnxfile import InputKind


@dataclass(frozen=True)
class Exported:
    """Files that were written, and what is known of them."""

    path: Path
    """The float32 file."""
    int8_path: Path | None
    """The int8 file, if there is one."""
    input: InputKind
    """What they take: `normalised` images or `pixels`."""
    shape: tuple[int, int, int]
    """Of one image, as they take it."""
    num_bytes: int
    """Size of the float32 file."""
    parity: Parity
    """That the float32 file computes what torch computes."""
    comparison: Comparison | None
    """Of both files, if there are two."""

    @property
    def recommended(self) -> Path:
        """The file that answers faster here: int8 only if it does."""
        if self.int8_path is None or self.comparison is None or not self.comparison.is_int8_faster:
            return self.path
        return self.int8_path

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "float32": str(self.path),
            "int8": None if self.int8_path is None else str(self.int8_path),
            "input": self.input,
            "shape": list(self.shape),
            "num_bytes": self.num_bytes,
            "parity": self.parity.to_dict(),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "recommended": str(self.recommended),
        }
