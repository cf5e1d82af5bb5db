"""Where weights come from, and what is said of them beside their file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import floor
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from effnet.errors import ModelFileError, UsageError, bad_value
from effnet.files import digest_of
from effnet.imaging.preprocess import Preprocess
from effnet.importing import hub
from effnet.importing.class_names import checked
from effnet.importing.listener import Listener
from effnet.shipped.catalogue import located


@dataclass(frozen=True)
class Origin:
    """A file of weights that is here."""

    source: str
    """As the user called it."""
    path: Path
    card: Mapping[str, Any]
    """timm's `config.json` beside the file, empty where there is none."""

    @property
    def is_of_hub(self) -> bool:
        """Whether it is a repository of the hub."""
        return hub.is_hub_name(self.source) and not Path(self.source).exists()

    @property
    def name(self) -> str:
        """What may be told to others: the repository, or the file without the folders of this machine."""
        return self.source if self.is_of_hub else self.path.name

    @property
    def revision(self) -> str | None:
        """The commit of a repository, after which the hub's cache names its folder."""
        return self.path.parent.name if self.is_of_hub else None

    @cached_property
    def sha256(self) -> str:
        """Hash of the file, in hexadecimal."""
        return digest_of(self.path)

    @property
    def architecture(self) -> str | None:
        """timm's name of the network, if it is known."""
        return self.card.get("architecture")

    @property
    def facts(self) -> Mapping[str, Any]:
        """What timm says of the weights: `pretrained_cfg`, in its words."""
        facts: Mapping[str, Any] = self.card.get("pretrained_cfg", {})
        return facts

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the outputs, if they are told."""
        names = self.card.get("label_names")
        return checked(tuple(map(str, names)), f"{self.source}: config.json") if names else None

    def preprocess(self) -> Preprocess | None:
        """Return how an image becomes the input, if it is told.

        Raises:
            ModelFileError: it is told in a way that is none.

        """
        facts = self.facts
        if not {"input_size", "crop_pct", "interpolation", "mean", "std"} <= facts.keys():
            return None
        try:
            side = int(facts["input_size"][-1])
            crop = side / floor(side / facts["crop_pct"])  # timm rounds down before it cuts
            return Preprocess(side, crop, facts["interpolation"], tuple(facts["mean"]), tuple(facts["std"]))
        except ValidationError as error:
            reason = bad_value(error.errors()[0])
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            reason = str(error)
        raise ModelFileError(f"{self.path.parent / hub.CONFIG}: pretrained_cfg: {reason}")


def locate(source: str | Path, revision: str | None, listener: Listener) -> Origin:
    """Find the file of weights that a source means; one on the hub is brought here.

    Args:
        source: a file, a folder with `model.safetensors` in it, or `OWNER/NAME` on the hub.
        revision: of what is on the hub.
        listener: told of the download.

    Raises:
        UsageError: it is none of these.
        HubError: it cannot be had from the hub.

    """
    text, path = str(source), located(Path(source))
    if path.is_dir():
        path = _in_folder(path)
    elif not path.exists() and hub.is_hub_name(text):
        path = hub.fetch(text, revision, listener)
    elif not path.exists():
        raise UsageError(
            f"{text}: no such file, and no name on the hub, which has the form OWNER/NAME, such as "
            f"timm/efficientnet_b0.ra_in1k"
        )
    elif revision is not None:
        raise UsageError(f"--revision {revision}: {text} is a file; revisions are of names on the hub")
    return Origin(text, path, _card(path.with_name(hub.CONFIG)))


def _in_folder(folder: Path) -> Path:
    found = next((folder / name for name in hub.WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise UsageError(f"{folder}: there is no {' and no '.join(hub.WEIGHTS)} in this folder")
    return found


def _card(path: Path) -> Mapping[str, Any]:
    """Read timm's description beside the weights; a file of that name from elsewhere says nothing."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    is_timm_s = isinstance(data, dict) and isinstance(data.get("architecture"), str)
    if not is_timm_s or not isinstance(data.get("pretrained_cfg", {}), dict):
        return {}
    return data
