"""The model file of a source: what other commands take weights from, by file or by name on the hub."""

import hashlib
from pathlib import Path

from effnet import __version__, modelfile
from effnet.files import cache_folder
from effnet.importing.listener import Listener, Quiet
from effnet.importing.origin import locate
from effnet.importing.run import Wish, is_ours, opened


def model_file(source: str, *, revision: str | None = None, listener: Listener | None = None) -> Path:
    """Return the path of an effnet model file for a source.

    A model file is itself. Anything else that `effnet import` takes is imported as it is, once, into the
    cache (`$EFFNET_CACHE`), by the hash of its content and of what is said beside it. Outputs whose names
    nobody tells are called by number.

    Args:
        source: a file, a folder with one, or `OWNER/NAME` on the hub.
        revision: branch, tag or commit on the hub.
        listener: told of the progress.

    Raises:
        EffnetError: as `import_model`; what the file does not say is asked for, and given to `effnet import`.

    """
    told = listener or Quiet()
    origin = locate(source, revision, told)
    if is_ours(origin.path):
        return origin.path
    said = repr((__version__, origin.sha256, origin.path.stem, sorted(origin.card.items())))
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    path = cache_folder() / "imported" / f"{origin.path.stem}-{key}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft, notes = opened(origin, Wish())
        modelfile.save(path, draft.header, draft.arrays)
        for note in notes:
            told.message(f"{source}: {note}")
    return path
