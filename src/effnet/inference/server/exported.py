"""The ONNX file of a model file: the file itself, or what `effnet export` makes of it, kept in the cache."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from effnet import __version__
from effnet.errors import EffnetError
from effnet.files import cache_folder
from effnet.inference.server.live import digest_of

KEPT = 8


def ready_file(path: Path) -> Path:
    """Return an ONNX file of a model file; a torch model is exported by another process, so none comes here.

    Raises:
        EffnetError: it cannot be exported; the message is that of `effnet export`.

    """
    if path.suffix != ".safetensors":
        return path
    key = sha256(f"{digest_of(path)} {__version__}".encode()).hexdigest()
    target = cache_folder() / "exported" / f"{key}.onnx"
    if not target.is_file():
        _export(path, target)
        _forget_old(target.parent)
    return target


def _export(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "effnet", "export", str(path), "--out", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 or not target.is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("effnet: ")]
        reason = (
            lines[-1].removeprefix("effnet: ") if lines else f"effnet export ended with {done.returncode}"
        )
        raise EffnetError(f"{path} cannot be exported for serving: {reason}")


def _forget_old(folder: Path) -> None:
    """Keep the files that were made last."""
    made = sorted(folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in made[KEPT:]:
        path.unlink(missing_ok=True)
