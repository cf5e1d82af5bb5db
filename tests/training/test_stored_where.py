"""A resumed training finds its images where they were, and is refused what cannot be learned from."""

from pathlib import Path
from typing import Any

import pytest
from whole_runs import Listener, StopError, assert_same_run

import effnet
from effnet.errors import UsageError
from effnet.training import state as states

SETTINGS: dict[str, Any] = {"epochs": 2, "phi": -10, "resolution": 8, "batch_size": 256, "device": "cpu"}


def test_a_resume_streams_what_was_streamed_whatever_memory_is_free(tmp_path: Path) -> None:
    stored: dict[str, Any] = {"data": {"storage": "stream", "workers": 0}}
    effnet.train("digits", out=tmp_path / "whole", **SETTINGS, **stored)
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path / "broken", reporter=Listener(epochs=1), **SETTINGS, **stored)
    state, _ = states.load(tmp_path / "broken")
    assert state.info["storage"] == {"train": "stream", "val": "stream"}
    as_if_chosen = {
        **state.info,
        "config": {**state.info["config"], "data": {"storage": "auto", "workers": 0}},
    }
    states.save(tmp_path / "broken", states.State(as_if_chosen, state.arrays))
    listener = Listener()
    effnet.resume(tmp_path / "broken", reporter=listener)
    assert any("streaming them" in message for message in listener.messages)
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


def test_a_piece_of_one_image_with_one_cell_is_refused(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "resolution": 4, "batch_size": 3, "optim": {"accumulate": 2}}
    with pytest.raises(
        UsageError, match=r"batch_size = 3 and optim\.accumulate = 2 leave a piece of one image"
    ):
        effnet.train("digits", out=tmp_path, **settings)
