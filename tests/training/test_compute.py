"""How a training computes: chosen by configuration and machine, said, remembered by the state."""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import fit, tiny, trainer
from whole_runs import Listener, StopError

import effnet
from compiler import needs_kernels
from effnet.device import to_device
from effnet.network.model import ConvNet
from effnet.network.native import ops
from effnet.network.native.build import cpu_features, load_kernels
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from effnet.training import state as states
from effnet.training.compute import PLAIN, Compute, announce_compute, choose, use_kernels

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SETTINGS: dict[str, Any] = {"epochs": 2, "resolution": 8, "batch_size": 128, "seed": 3, "phi": -8.0}

INDUCTOR_WARNS = pytest.mark.filterwarnings(
    r"ignore:`torch\.jit\.script_method` is deprecated:DeprecationWarning"
)


def hide_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process without a C++ compiler; torch's own choice, made once at import, stays."""
    import_module("torch._inductor.config")
    monkeypatch.setenv("CXX", "/nonexistent")
    load_kernels.cache_clear()


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    hide_compiler(monkeypatch)
    yield
    load_kernels.cache_clear()


@needs_kernels
def test_a_cpu_uses_the_kernels_and_bfloat16_where_it_multiplies_it() -> None:
    compute = choose(tiny(), CPU)
    fast = any(name in cpu_features() for name in ("avx512_bf16", "amx_bf16", "bf16"))
    assert compute == Compute("cpu", torch.bfloat16 if fast else torch.float32, native=True)


@needs_kernels
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_that_was_asked_for_is_taken(precision: str) -> None:
    compute = choose(tiny(precision=precision), CPU)
    assert compute == Compute("cpu", getattr(torch, precision), native=True)
    assert compute.describe() == f"{precision} on cpu, own kernels"


def test_without_kernels_a_cpu_computes_in_float32() -> None:
    assert choose(tiny(native=False), CPU) == PLAIN
    assert PLAIN.describe() == "float32 on cpu"


def test_bfloat16_may_be_asked_for_without_kernels() -> None:
    assert choose(tiny(native=False, precision="bfloat16"), CPU) == Compute("cpu", torch.bfloat16)


def test_a_compiled_training_uses_no_kernels_and_so_no_bfloat16() -> None:
    """On a CPU bfloat16 is slower than float32 where torch computes."""
    compute = choose(tiny(compile="on"), CPU)
    assert compute == Compute("cpu", torch.float32, compiled=True)
    assert compute.describe() == "float32 on cpu, compiled"


def test_cuda_compiles_unless_that_is_off() -> None:
    assert choose(tiny(precision="float32"), CUDA) == Compute("cuda", torch.float32, compiled=True)
    assert choose(tiny(precision="bfloat16", compile="off"), CUDA) == Compute("cuda", torch.bfloat16)


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_torch_computes_and_the_reason_is_said() -> None:
    compute = choose(tiny(), CPU)
    assert (compute.native, compute.dtype) == (False, torch.float32)
    assert compute.describe() == (
        "float32 on cpu (without the faster kernels: "
        "the C++ compiler that $CXX names, /nonexistent, is not installed)"
    )


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_a_training_goes_on_and_says_why(tmp_path: Path) -> None:
    listener = Listener()
    result = effnet.train("digits", out=tmp_path, reporter=listener, **SETTINGS | {"epochs": 1})
    assert result.evaluation.num_images == 359
    assert any("/nonexistent, is not installed" in message for message in listener.messages)


def test_a_cache_that_cannot_be_written_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", "/dev/null/cache")
    load_kernels.cache_clear()
    assert "cannot write /dev/null/cache" in choose(tiny(), CPU).describe()
    load_kernels.cache_clear()


@needs_kernels
def test_a_resume_on_a_machine_without_a_compiler_says_that_the_bits_will_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StopError):
        effnet.train("digits", out=tmp_path, reporter=Listener(epochs=1), **SETTINGS, precision="float32")
    state, _ = states.load(tmp_path)
    assert state.info["compute"] == "float32 on cpu, own kernels"
    hide_compiler(monkeypatch)
    listener = Listener()
    effnet.resume(tmp_path, reporter=listener)
    load_kernels.cache_clear()
    assert (
        "warning: computed in float32 on cpu, own kernels before, in float32 on cpu from here; "
        "the results will not be bit for bit those of a run that never stopped"
    ) in listener.messages


@pytest.mark.parametrize("before", ["bfloat16 on cpu, own kernels", None], ids=["same", "unknown"])
def test_a_resume_on_the_same_machine_says_nothing_of_bits(before: str | None) -> None:
    listener = Listener()
    announce_compute(listener, Compute(dtype=torch.bfloat16, native=True), before)
    assert listener.messages == ["computing in bfloat16 on cpu, own kernels"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_matrix_products_are_in_the_format_and_sums_are_not(dtype: torch.dtype) -> None:
    with Compute(dtype=dtype).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
        assert torch.ones(2, 2).sum().dtype == torch.float32


def test_the_kernels_are_switched_on_and_off_in_every_block() -> None:
    network = ConvNet(scale(B0_CIFAR, -8), 10)
    blocks = [module for module in network.modules() if hasattr(module, "native")]
    for native in (True, False):
        use_kernels(network, native)
        assert {module.native for module in blocks} == {native}
    assert len(blocks) > 3 * network.spec.num_blocks


@INDUCTOR_WARNS
def test_a_compiled_step_keeps_what_it_compiled_in_our_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    network = torch.nn.Linear(2, 2)
    assert PLAIN.forward(network) is network
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    Compute(compiled=True).forward(network)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_training_with_kernels_learns_what_the_plain_one_does(dtype: torch.dtype) -> None:
    assert_learns_the_same(Compute(dtype=dtype, native=True))


@pytest.mark.slow
@INDUCTOR_WARNS
def test_a_compiled_training_learns_what_the_plain_one_does() -> None:
    assert_learns_the_same(Compute(compiled=True))


def assert_learns_the_same(compute: Compute) -> None:
    mine, plain = trainer(tiny()), trainer(tiny())
    to_device(mine.network, CPU)
    mine.compute_by(compute)
    images, _ = next(iter(mine.train.epoch(0)))
    assert ops.supports(mine.network.stem.conv(images))
    for each in (mine, plain):
        fit(each)
    assert mine.records[-1].train_loss == pytest.approx(plain.records[-1].train_loss, rel=0.05)
    assert mine.records[-1].val_top1 == pytest.approx(plain.records[-1].val_top1, abs=0.1)
