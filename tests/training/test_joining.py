"""Wrong use of several processes is one line that says what is wrong and what to do."""

import re
import subprocess
from pathlib import Path

import pytest
from forked import together

import effnet
from effnet.cli.group_flags import GroupFlags, of_one_process
from effnet.cli.main import main
from effnet.errors import UsageError
from effnet.training.group import ALONE, Group
from effnet.training.joining import check_restarts, is_member, joined

TINY = ["train", "digits", "--phi", "-8", "--resolution", "8"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--processes", "0"], "--processes 0: must be 1 or more"),
        (["--gpus", "0"], "--gpus 0: must be 1 or more"),
        (
            ["--gpus", "1000"],
            r"--gpus 1000: torch finds .* on this machine; --processes 1000 trains on the CPU",
        ),
        (["--gpus", "1", "--processes", "2"], "--gpus and --processes exclude each other"),
        (["--gpus", "2", "--device", "cpu"], "--gpus and --device cpu exclude each other"),
        (["--processes", "2", "--max-restarts", "-1"], "--max-restarts -1: must be 0 or more"),
        (["--device", "cpu", "--sync-bn"], "sync_bn = true and device cpu exclude each other"),
        (["--hang-minutes", "0"], r"hang_minutes = 0\.0"),
    ],
)
def test_flags_that_cannot_be(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, "--out", str(tmp_path / "out"), *flags]) == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


def test_a_part_of_an_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="has WORLD_SIZE and not RANK, MASTER_ADDR, MASTER_PORT"), joined():
        pass
    assert not is_member({})
    assert is_member({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "here", "MASTER_PORT": "1"})


def test_flags_and_torchrun_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError, match="--processes and torchrun exclude each other"):
        GroupFlags(processes=2).launch("auto")


def test_restarts_on_several_machines_need_a_store_of_their_own() -> None:
    shared = {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_MAX_RESTARTS": "3"}
    check_restarts({**shared, "GROUP_WORLD_SIZE": "1"})
    check_restarts({**shared, "GROUP_WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "False"})
    with pytest.raises(UsageError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        check_restarts({**shared, "GROUP_WORLD_SIZE": "2"})


def test_each_process_gets_the_command_without_what_starts_it() -> None:
    given = ["photos", "--processes", "2", "--out", "x", "--max-restarts=1"]
    assert of_one_process(given) == ["photos", "--out", "x", "--device", "cpu"]
    assert of_one_process(["photos", "--gpus=4", "--device", "auto"]) == ["photos", "--device", "auto"]
    assert of_one_process(["--resume", "x", "--processes", "2"]) == ["--resume", "x"]


def test_what_one_process_does_alone_is_refused_in_a_group(tmp_path: Path) -> None:
    def refused(group: Group) -> list[str]:
        messages = []
        for settings in ({"folds": 3}, {"max_latency_ms": 5}, {"batch_size": 1}, {"sync_bn": True}):
            with pytest.raises(UsageError) as found:
                effnet.train("digits", out=tmp_path / "out", device="cpu", **settings)
            messages.append(str(found.value))
        return messages

    for folds, limits, batch, sync in together(tmp_path, 2, refused):
        assert folds.startswith("--folds (train one with --data.fold 1/5, …) and several processes exclude")
        assert limits.startswith("--max-latency-ms (effnet budget finds the network) and several processes")
        assert batch.startswith("batch_size = 1 and 2 processes: each needs at least one image")
        assert sync.startswith("sync_bn = true and device cpu exclude each other")


def test_the_start_says_how_the_work_is_shared_out(tmp_path: Path) -> None:
    lines = together(tmp_path, 2, lambda group: [*group.words(64, 0.05), *group.words(7, 0.1)])
    assert lines[0] == [
        "2 processes, 32 images each, 64 a step, lr 0.05",
        "2 processes, 3 or 4 images each, 7 a step, lr 0.1",
    ]
    assert ALONE.words(64, 0.05) == ()


DOCUMENT = Path(__file__).parents[2] / "docs" / "cluster.md"


def listings(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_job_scripts_are_bash() -> None:
    scripts = listings("bash")
    assert len(scripts) == 2
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_kubernetes_job_tries_again_for_the_codes_of_signals_only() -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = listings("yaml")
    spec = yaml.safe_load(text)["spec"]
    codes = {
        rule["action"]: rule["onExitCodes"]["values"]
        for rule in spec["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }
    assert codes == {"Ignore": [138, 143], "FailJob": [1, 2]}
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # what a podFailurePolicy demands
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"][:2] == ["effnet", "train"]


@pytest.mark.parametrize("trap", ["USR1", "TERM"])
def test_the_job_script_waits_for_the_end_and_puts_the_job_back(trap: str, tmp_path: Path) -> None:
    """Run the listing with commands that stand for SLURM's and for a training that takes a moment to stop."""
    tools = {
        "effnet": "trap 'sleep 0.3; exit 138' USR1; trap 'sleep 0.3; exit 143' TERM; touch begun\n"
        "while true; do sleep 0.05; done",
        "scontrol": 'echo "$@" > asked',
    }
    for name, text in tools.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    starter = f"cd {tmp_path}; (while [ ! -e begun ]; do sleep 0.05; done; kill -{trap} $$) &\n"
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SCRATCH": str(tmp_path)}
    done = subprocess.run(["bash", "-c", starter + listings("bash")[0]], env=environ, check=False, timeout=60)
    assert done.returncode == {"USR1": 138, "TERM": 143}[trap]
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
