"""Files of weights: nothing in them is executed, and what is wrong with one is said in a line."""

import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from small_weights import pickled, safetensors, state, written
from torch import Tensor

from effnet.errors import ModelFileError
from effnet.importing.run import import_model
from effnet.importing.weights import read


class Hostile:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return state()


def zipped(content: object) -> bytes:
    return pickled(content)


def legacy(content: object) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.mark.parametrize("saved", [zipped, legacy, pickle.dumps])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
def test_a_hostile_pickle_executes_nothing(
    saved: Callable[[object], bytes], suffix: str, tmp_path: Path
) -> None:
    target = tmp_path / "executed"
    source = written(tmp_path, f"weights{suffix}", saved({"state_dict": Hostile(target)}))
    with pytest.raises(ModelFileError, match=r"not only weights: loading it would execute code"):
        import_model(source, variant="tf")
    assert not target.exists()


def test_the_hostile_pickle_does_execute_elsewhere(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    pickle.loads(pickle.dumps(Hostile(target)))
    assert target.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_part_of_a_file_is_told(
    name: str, share: float, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    whole = safetensors(weights) if name.endswith(".safetensors") else pickled(weights)
    source = written(tmp_path, name, whole[: int(share * len(whole))])
    with pytest.raises(ModelFileError, match=rf"{name}: damaged or cut off, or no .* bring it again"):
        import_model(source)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_something_else_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="damaged or cut off, or no"):
        read(written(tmp_path, name, b"<html>404</html>"))


@pytest.mark.parametrize("part", ["state_dict", "model", "state_dict_ema"])
def test_weights_are_found_in_a_checkpoint(part: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    found = read(written(tmp_path, "a.pth", pickled({"epoch": 3, part: weights})))
    assert found.arrays.keys() == weights.keys()
    assert found.notes == (f"taken from its part {part!r}",)


def test_the_average_goes_before_the_last_weights(weights: dict[str, Tensor], tmp_path: Path) -> None:
    doubled = {name: 2 * tensor for name, tensor in weights.items()}
    source = written(tmp_path, "a.pth", pickled({"state_dict": weights, "state_dict_ema": doubled}))
    assert torch.equal(torch.from_numpy(read(source).arrays["bn1.weight"]), doubled["bn1.weight"])


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_what_wrappers_put_before_names_is_taken_off(
    prefix: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    wrapped = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    assert read(written(tmp_path, "a.pth", pickled(wrapped))).arrays.keys() == weights.keys()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("saved", [pickled, safetensors])
def test_other_kinds_of_numbers_become_float32(
    kind: torch.dtype, saved: Callable[[Any], bytes], tmp_path: Path
) -> None:
    name = "a.safetensors" if saved is safetensors else "a.pth"
    source = written(tmp_path, name, saved({"weight": torch.tensor([0.5, 0.25], dtype=kind)}))
    array = read(source).arrays["weight"]
    assert (str(array.dtype), array.tolist()) == ("float32", [0.5, 0.25])


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"state_dict": {}}], ids=str)
def test_a_file_without_weights_is_told(content: object, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="there are no weights in it"):
        read(written(tmp_path, "a.pth", pickled(content)))


def test_numbers_that_are_none_are_told(weights: dict[str, Tensor], tmp_path: Path) -> None:
    broken = weights | {"bn1.weight": torch.full((32,), float("nan"))}
    with pytest.raises(ModelFileError, match=r"not finite numbers: bn1\.weight"):
        read(written(tmp_path, "a.pth", pickled(broken)))


@pytest.mark.parametrize(
    "strange", [torch.eye(3).to_sparse(), torch.zeros(2, dtype=torch.complex64)], ids=str
)
def test_weights_of_strange_kinds_are_told(strange: Tensor, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no plain numbers: odd"):
        read(written(tmp_path, "a.pth", pickled({"odd": strange})))


def test_whole_numbers_as_weights_are_told(weights: dict[str, Tensor], tmp_path: Path) -> None:
    quantised = weights | {"bn1.weight": torch.ones(32, dtype=torch.int8)}
    with pytest.raises(ModelFileError, match=r"no real numbers, such as int8: stem\.norm\.weight"):
        import_model(written(tmp_path, "a.pth", pickled(quantised)), variant="tf")


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        read(tmp_path / "a.pth")
    with pytest.raises(ModelFileError, match="not a regular file"):
        read(tmp_path)
