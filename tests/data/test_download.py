"""Downloads from a server on this machine: whole, broken and resumed, wrong, and not at all."""

import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Served, serve

from effnet.data import download
from effnet.data.download import downloads_folder, fetch, ignore
from effnet.errors import DataError, UsageError

CONTENT = np.random.default_rng(0).bytes(1_000_000)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def server() -> Iterator[Served]:
    with serve(Served(CONTENT)) as served:
        yield served


@pytest.fixture
def closed_url() -> str:
    """A URL on a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/data.bin"


def fetched(server: Served, path: Path, content: bytes = CONTENT) -> list[tuple[int, int | None]]:
    """Fetch what should be `content`; return the progress."""
    progress: list[tuple[int, int | None]] = []
    fetch(f"{server.url}/data.bin", path, md5(content), lambda done, total: progress.append((done, total)))
    assert path.read_bytes() == content
    return progress


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_file_arrives_under_its_name(server: Served, tmp_path: Path) -> None:
    fetched(server, tmp_path / "new" / "data.bin")
    assert files_in(tmp_path / "new") == {"data.bin"}
    assert server.asked == [None]


def test_progress_rises_to_the_end(server: Served, tmp_path: Path) -> None:
    progress = fetched(server, tmp_path / "data.bin")
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert (progress[0], progress[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert len(progress) > 3


def test_without_a_length_the_total_is_known_at_the_end_only(server: Served, tmp_path: Path) -> None:
    server.says_length = False
    progress = fetched(server, tmp_path / "data.bin")
    assert {total for _, total in progress[:-1]} == {None}
    assert progress[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_download_goes_on_where_it_broke(server: Served, tmp_path: Path) -> None:
    server.cuts = [300_000, 400_000]
    progress = fetched(server, tmp_path / "data.bin")
    assert server.asked == [None, "bytes=300000-", "bytes=700000-"]
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert {total for _, total in progress} == {len(CONTENT)}


def test_a_server_without_ranges_starts_again(server: Served, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [300_000]
    progress = fetched(server, tmp_path / "data.bin")
    assert server.num_requests == 2
    assert [done for done, _ in progress].count(0) == 2


def test_a_file_that_changes_meanwhile_is_fetched_from_its_start(server: Served, tmp_path: Path) -> None:
    new = CONTENT[::-1]

    def change(done: int, total: int | None) -> None:
        if done == 300_000:
            server.content, server.etag = new, '"2"'

    server.cuts = [300_000]
    fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(new), change)
    assert (tmp_path / "data.bin").read_bytes() == new
    assert server.num_requests == 2


def test_a_length_that_changes_meanwhile_starts_again(server: Served, tmp_path: Path) -> None:
    new = CONTENT[:900_000]

    def change(done: int, total: int | None) -> None:
        if done == 300_000:
            server.content = new

    server.etag, server.cuts = None, [300_000]
    fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(new), change)
    assert server.asked == [None, "bytes=300000-", None]


def test_the_part_of_an_earlier_run_is_used(server: Served, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:600_000])
    progress = fetched(server, tmp_path / "data.bin")
    assert server.asked == ["bytes=600000-"]
    assert progress[0] == (600_000, len(CONTENT))
    assert files_in(tmp_path) == {"data.bin"}


def test_a_part_that_is_complete_needs_no_request(server: Served, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    fetched(server, tmp_path / "data.bin")
    assert server.num_requests == 0


@pytest.mark.parametrize("size", [600_000, 1_000_000, 2_000_000])
def test_the_part_of_another_file_is_thrown_away(server: Served, tmp_path: Path, size: int) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * size)
    fetched(server, tmp_path / "data.bin")
    assert server.asked == [f"bytes={size}-", None]


def test_a_file_that_is_there_needs_no_network(server: Served, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(CONTENT)
    assert fetched(server, tmp_path / "data.bin") == []
    assert server.num_requests == 0
    assert files_in(tmp_path) == {"data.bin"}


def test_a_wrong_file_that_is_there_is_named_and_stays(server: Served, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"other")
    with pytest.raises(DataError, match=rf"{path} is damaged .* {md5(b'other')}, expected {md5(CONTENT)}"):
        fetch(f"{server.url}/data.bin", path, md5(CONTENT))
    assert (path.read_bytes(), server.num_requests) == (b"other", 0)


def test_a_wrong_md5_is_named_and_leaves_nothing(server: Served, tmp_path: Path) -> None:
    url, wanted = f"{server.url}/data.bin", md5(b"other")
    with pytest.raises(DataError, match=rf"{url} is damaged .* md5 is {md5(CONTENT)}, expected {wanted}"):
        fetch(url, tmp_path / "data.bin", wanted)
    assert files_in(tmp_path) == set()


def test_offline_says_what_to_put_where(closed_url: str, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    with pytest.raises(DataError) as raised:
        fetch(closed_url, path, md5(CONTENT))
    assert str(raised.value) == (
        f"cannot download {closed_url}: Connection refused; try again, or bring the file by hand: "
        f"put it at {path} (md5 {md5(CONTENT)})"
    )


def test_a_connection_that_always_breaks_is_given_up(server: Served, tmp_path: Path) -> None:
    server.cuts = [300_000] + [0] * 10
    with pytest.raises(DataError, match="the connection broke after 300,000 of 1,000,000 bytes; try again"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(CONTENT))
    assert server.num_requests == 1 + 1 + len(download.WAITS)
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:300_000]


def test_a_server_without_ranges_that_always_breaks_is_given_up(server: Served, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [300_000] * 100
    with pytest.raises(DataError, match="the connection broke after 300,000"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(CONTENT))
    assert server.num_requests == 1 + 1 + len(download.WAITS)


def test_a_busy_server_is_asked_again(server: Served, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    fetched(server, tmp_path / "data.bin")
    assert server.num_requests == 3


def test_a_missing_file_is_not_asked_for_again(server: Served, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(DataError, match=r"the server answers 404 Not Found; .* put it at"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(CONTENT))
    assert server.num_requests == 1


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_without_end_is_refused(
    server: Served, tmp_path: Path, says_length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 500_000)
    server.says_length = says_length
    with pytest.raises(DataError, match="is larger than 500,000 bytes"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(CONTENT))
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("url", ["http://example.org/data.bin", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_only_https_leaves_the_machine(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(f"cannot download {url}: it is not https")):
        fetch(url, tmp_path / "data.bin", md5(CONTENT))


def test_a_redirect_to_http_is_not_followed(server: Served, tmp_path: Path) -> None:
    server.location = "http://example.org/data.bin"
    with pytest.raises(DataError, match="the server answers 302"):
        fetch(f"{server.url}/data.bin", tmp_path / "data.bin", md5(CONTENT))


def test_a_folder_that_cannot_be_written_to_is_named(server: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "data.bin"
    with pytest.raises(DataError, match=rf"cannot write {path}: "):
        fetch(f"{server.url}/data.bin", path, md5(CONTENT), ignore)


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"EFFNET_DATA": "/data", "XDG_CACHE_HOME": "/cache"}, Path("/data")),
        ({"XDG_CACHE_HOME": "/cache"}, Path("/cache/effnet")),
        ({}, Path.home() / ".cache" / "effnet"),
    ],
)
def test_the_cache_folder_follows_the_environment(
    variables: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EFFNET_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert downloads_folder() == folder
