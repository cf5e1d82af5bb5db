"""`effnet serve` as an operator runs it: it starts, answers, drains, and says in one line what is wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from served import photo, post, rest, talk

from effnet.cli.main import COMMANDS, main
from effnet.errors import EffnetError
from effnet.inference.server.exported import ready_file
from onnx_models import write_onnx_model, write_torch_model

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("command") / "model.onnx")


@contextmanager
def started(model: Path, *flags: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the command in a process; give it with its port when it is ready."""
    command = [sys.executable, "-m", "effnet", "serve", str(model), "--port", "0", *flags]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            first = json.loads(process.stderr.readline())
            assert first["event"] == "ready"
            yield process, int(first["url"].rpartition(":")[2])
        finally:
            process.kill()


def events(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert process.stderr is not None
    return [json.loads(line) for line in process.stderr.read().splitlines()]


def readiness(port: int) -> bytes:
    return talk(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


def test_told_to_stop_it_says_so_and_finishes_what_was_taken(model: Path) -> None:
    request = post(photo())
    with (
        started(model, "--drain-seconds", "2") as (process, port),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        connection.sendall(request[:-100])
        assert readiness(port).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        draining = until_draining(port)
        assert b'"status":"draining"' in draining
        assert talk(port, request).startswith(b"HTTP/1.1 200 ")  # who does not know yet is still served
        closed_within(port, 10)
        connection.sendall(request[-100:])
        assert rest(connection).startswith(b"HTTP/1.1 200 ")
        assert process.wait(20) == 0
        assert [line["event"] for line in events(process) if line["event"] != "request"] == [
            "draining",
            "stopped",
        ]


def until_draining(port: int) -> bytes:
    started_at = monotonic()
    while (answer := readiness(port)).startswith(b"HTTP/1.1 200 "):
        assert monotonic() - started_at < 10
    return answer


def closed_within(port: int, seconds: float) -> None:
    started_at, pause = monotonic(), Event()
    while monotonic() - started_at < seconds:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except ConnectionRefusedError:
            return
        pause.wait(0.05)
    raise AssertionError("it still takes connections")


def test_ctrl_c_stops_it_at_once(model: Path) -> None:
    with started(model, "--drain-seconds", "60") as (process, port):
        assert readiness(port).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_second_signal_waits_for_nobody(model: Path) -> None:
    with (
        started(model, "--drain-seconds", "60") as (process, port),
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
    ):
        connection.sendall(post(photo())[:-100])
        process.send_signal(signal.SIGTERM)
        until_draining(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_the_token_comes_from_the_environment_or_a_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    for flags, variables in ((["--token-file", str(tmp_path / "token")], {}), ([], {"EFFNET_TOKEN": TOKEN})):
        with started(model, *flags, **variables) as (_, port):
            assert talk(port, post(photo())).startswith(b"HTTP/1.1 401 ")
            assert talk(port, post(photo(), f"Authorization: Bearer {TOKEN}")).startswith(b"HTTP/1.1 200 ")


def test_it_loads_no_torch(model: Path) -> None:
    with started(model) as (process, port):
        talk(port, post(photo(), path="/v1/predict?maps=png"))
        mapped = Path(f"/proc/{process.pid}/maps")
        if not mapped.exists():
            pytest.skip("only Linux tells what a process has loaded")
        assert "onnxruntime" in mapped.read_text()
        assert "libtorch" not in mapped.read_text()


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["serve", *arguments])
    return code, capsys.readouterr().err


def test_a_port_in_use_is_wrong_use(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert failure(capsys, str(model), "--port", port) == (
            2,
            f"effnet: cannot listen on 127.0.0.1, port {port}: Address already in use; "
            f"choose others: --host, --port\n",
        )


def test_a_missing_model_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "none.onnx")
    assert failure(capsys, path, "--port", "0") == (1, f"effnet: {path}: no such file\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port", "70000"], "port = 70000: input should be less than or equal to 65535"),
        (["--queue", "0"], "queue = 0: input should be greater than or equal to 1"),
        (["--prot", "1"], "unrecognized options: --prot, 1; perhaps you meant --port"),
    ],
)
def test_a_wrong_flag_is_named(
    model: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = failure(capsys, str(model), *flags)
    assert (code, said) == (2, f"effnet: {message} (see effnet serve --help)\n")


@pytest.mark.parametrize("token", ["", "short", "with a space in between", "ключ-ключ-ключ-ключ"])
def test_what_is_no_token_is_refused(
    model: Path,
    token: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "token").write_text(token, encoding="utf-8")
    code, said = failure(capsys, str(model), "--token-file", str(tmp_path / "token"))
    assert (code, "a token has at least 16 letters, digits or signs" in said) == (2, True)
    monkeypatch.setenv("EFFNET_TOKEN", token)
    assert failure(capsys, str(model))[1].startswith("effnet: $EFFNET_TOKEN: a token has")


def test_a_token_file_that_is_missing_is_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "none")
    assert failure(capsys, str(model), "--token-file", path) == (
        2,
        f"effnet: --token-file {path}: No such file or directory\n",
    )


def test_bound_wider_without_a_token_it_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = failure(capsys, str(tmp_path / "none.onnx"), "--host", "0.0.0.0", "--port", "0")
    assert said.startswith(
        "warning: 0.0.0.0 is reached from other machines, and without a token anybody may ask"
    )


def test_a_model_that_cannot_be_exported_is_refused_in_the_words_of_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"hello")
    with pytest.raises(EffnetError, match=r"model\.safetensors cannot be exported for serving: "):
        ready_file(path)


@pytest.mark.skipif("export" not in COMMANDS, reason="there is no `effnet export` yet")
def test_a_model_of_training_is_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "cache"))
    path = write_torch_model(tmp_path / "model.safetensors")
    first = ready_file(path)
    made = first.stat().st_mtime_ns
    assert ready_file(path) == first
    assert first.stat().st_mtime_ns == made
    assert "export" in COMMANDS
