"""Joining a cluster: what its address may be, and what is said when nobody answers there."""

import os
import socket
import subprocess
import sys

import pytest

from effnet.cli.main import main
from effnet.cluster import connection
from effnet.cluster.connection import check_address, joined
from effnet.cluster.machines import Cluster
from effnet.errors import EffnetError, MissingExtraError, UsageError


@pytest.mark.parametrize(
    "address", ["", "here", "host", "host:", ":6379", "host:99999", "http://host:1", "ray://host"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="not an address; known: local, auto, HOST:PORT, ray://HOST:PORT"):
        check_address(address)


@pytest.mark.parametrize("address", ["local", "auto", "host:6379", "[::1]:6379"])
def test_addresses_are_taken(address: str) -> None:
    check_address(address)


def test_without_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["study", "digits", "--cluster", "local"]) == 1
    assert "install it with: pip install 'effnet[cluster]'" in capsys.readouterr().err


def test_without_grpc_the_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(MissingExtraError, match=r"ray:// needs grpcio; .*'ray\[client\]'"):
        check_address("ray://host:10001")


def alone(script: str) -> str:
    """Run a script in a process that is in no cluster; return what it prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


JOIN = """
import ray
from effnet.cluster import connection
from effnet.errors import EffnetError
{change}
try:
    with connection.joined({address!r}):
        print("joined")
except EffnetError as error:
    print(error)
"""


def test_a_port_where_nobody_listens_is_an_error_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        said = alone(JOIN.format(address=address, change=""))
    assert said == (
        f"--cluster {address}: nothing answers there (Connection refused); `ray status` on a machine of the "
        f"cluster shows whether it runs"
    )


def test_what_is_no_cluster_is_an_error_within_a_stated_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        said = alone(JOIN.format(address=address, change="connection.JOIN_SECONDS = 2.0"))
    assert said == (f"--cluster {address}: what is there does not answer as a Ray cluster within 2 seconds")


def test_a_cluster_that_is_here_is_joined_and_left_as_it_is(cluster: Cluster) -> None:
    with joined("local") as first, joined("auto") as second:
        assert first is second
    with joined("local") as ray:
        assert ray.is_initialized()


def test_a_cluster_of_another_version_is_an_error(cluster: Cluster) -> None:
    with joined("local") as ray:
        address = ray.get_runtime_context().gcs_address
    said = alone(JOIN.format(address=address, change="ray.__version__ = '0.1'"))
    assert said.startswith(
        f"--cluster {address}: cannot be joined: Version mismatch: The cluster was started with"
    )


def test_a_secret_that_is_lacking_is_asked_for(cluster: Cluster) -> None:
    with joined("local") as ray:
        address = ray.get_runtime_context().gcs_address
    script = JOIN.format(address=address, change="")
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=given, check=False
    )
    assert f"--cluster {address}: wants its secret: set RAY_AUTH_MODE=token" in done.stdout


def test_a_process_in_a_cluster_prints_nothing_of_it(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EffnetError), joined("local"):
        raise EffnetError("stopped")
    assert capfd.readouterr() == ("", "")


def test_times_are_those_of_the_docs() -> None:
    assert (connection.CONNECT_SECONDS, connection.JOIN_SECONDS) == (5.0, 30.0)
