"""Processes that share streams know of each other's unreadable images: they are named and counted once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from forked import together
from tiny_training import tiny
from whole_runs import Listener, digits_as_files

from effnet.data.datasets import open_dataset
from effnet.errors import DataError
from effnet.training.group import ALONE, Group
from effnet.training.loop import Trainer
from effnet.training.parts import assemble, build_trainer
from effnet.training.results import describe

Known = tuple[list[str], tuple[str, ...], tuple[str, ...], dict[str, int]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return 200 digits in parts: the validation images are those of every fifth number."""
    root = tmp_path / "split"
    for path in sorted(digits_as_files(tmp_path / "data").rglob("*.png")):
        target = root / ("val" if int(path.stem) % 5 == 0 else "train") / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return root


def damage(folder: Path, part: str, *places: int) -> list[str]:
    """Empty the images at these places of a part; return what is said of each."""
    victims = [sorted((folder / part).rglob("*.png"))[place] for place in places]
    for victim in victims:
        victim.write_bytes(b"")
    return [f"{victim}: empty file" for victim in victims]


def build(folder: Path, group: Group, **data: Any) -> tuple[Trainer, Listener, Any]:
    config = tiny(epochs=1, data={"storage": "stream", "workers": 0, **data})
    parts = replace(assemble(open_dataset(folder), config), group=group)
    listener = Listener()
    return build_trainer(parts, listener), listener, parts


def trained(folder: Path, group: Group, max_broken: float) -> Known:
    trainer, listener, parts = build(folder, group, max_broken=max_broken)
    trainer.fit(lambda record: None, lambda record: None)
    skipped = [line for line in listener.messages if line.startswith("skipped: ")]
    counts = describe(parts, trainer).training["num_images"]
    return skipped, trainer.train.pixels.broken, trainer.val.pixels.broken, counts


def test_all_processes_name_and_count_what_any_of_them_could_not_read(folder: Path, tmp_path: Path) -> None:
    in_train, in_val = damage(folder, "train", 3, 90, 150), damage(folder, "val", 2, 30, 38)
    for skipped, *broken, counts in together(tmp_path, 2, lambda group: trained(folder, group, 0.1)):
        assert sorted(skipped) == sorted(f"skipped: {problem}" for problem in in_train + in_val)
        assert broken == [tuple(in_train), tuple(in_val)]
        assert counts == {"train": 157, "val": 37}


def refused(folder: Path, group: Group, max_broken: float) -> tuple[str, bool]:
    trainer, _, _ = build(folder, group, max_broken=max_broken)
    with pytest.raises(DataError) as caught:
        trainer._validate(trainer.network, 0, averaged=False)
    return str(caught.value), caught.value.is_common


@pytest.mark.parametrize("places", [(2, 30), (30, 31, 38), range(40)], ids=["one-each", "of-one", "all"])
def test_the_limit_is_for_all_processes_together_and_ends_all_alike(
    places: Any, folder: Path, tmp_path: Path
) -> None:
    problems = damage(folder, "val", *places)
    listed = "; ".join(problems[:5])
    for message, is_common in together(tmp_path, 2, lambda group: refused(folder, group, 0.03)):
        assert message.startswith(f"{len(problems)} of 40 images cannot be read, more than the 3.0%")
        assert listed in message
        assert is_common


def test_processes_of_a_group_share_the_room_of_their_machine(folder: Path, tmp_path: Path) -> None:
    def num_here(group: Group) -> int:
        return build(folder, group)[0].train.pixels.reading.num_here  # type: ignore[attr-defined, no-any-return]

    assert together(tmp_path, 2, num_here) == [2, 2]
    assert num_here(ALONE) == 1
