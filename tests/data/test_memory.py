"""Free memory, as Linux states it and as the limits of containers narrow it."""

from pathlib import Path

import pytest
import torch

from effnet.data.memory import free_memory, free_on_machine

MEMINFO = "MemTotal:       1000000 kB\nMemFree:          10000 kB\nMemAvailable:    800000 kB\n"
V1 = "5:cpu,cpuacct:/box\n4:memory:/box\n"
V2 = "0::/box/inner\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    return tmp_path / "proc"


def limit(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_caches_of_files_count_as_free(proc: Path, tmp_path: Path) -> None:
    assert free_on_machine(proc, tmp_path) == 800_000 * 1024


def test_a_limit_of_a_container_holds(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text(V2)
    limit(
        tmp_path / "box" / "inner",
        memory__max=500_000_000,
        memory__current=200_000_000,
        memory__stat="anon 1\ninactive_file 50000000",
    )
    assert free_on_machine(proc, tmp_path) == 350_000_000


def test_a_limit_of_the_older_kind_holds(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text(V1)
    limit(
        tmp_path / "memory" / "box",
        memory__limit_in_bytes=500_000_000,
        memory__usage_in_bytes=200_000_000,
        memory__stat="total_inactive_file 40000000",
    )
    assert free_on_machine(proc, tmp_path) == 340_000_000


def test_a_limit_further_up_holds_and_no_limit_is_none(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text(V2)
    limit(tmp_path / "box" / "inner", memory__max="max", memory__current=5, memory__stat="anon 1")
    assert free_on_machine(proc, tmp_path) == 800_000 * 1024
    limit(tmp_path / "box", memory__max=9_000, memory__current=2_000, memory__stat="anon 1")
    assert free_on_machine(proc, tmp_path) == 7_000


def test_a_container_that_has_used_up_its_limit_has_nothing_free(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text(V2)
    limit(tmp_path / "box", memory__max=9_000, memory__current=10_000, memory__stat="anon 1")
    assert free_on_machine(proc, tmp_path) == 0


def test_without_linux_all_memory_is_taken_for_free(tmp_path: Path) -> None:
    assert free_on_machine(tmp_path / "gone", tmp_path / "gone") > 1e8


def test_this_machine_has_memory() -> None:
    assert 1e8 < free_memory(torch.device("cpu")) <= free_on_machine(Path("/gone"), Path("/gone"))
