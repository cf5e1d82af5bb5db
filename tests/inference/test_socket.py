"""The server on a real socket: who sends too much, too slowly, or never reads, hurts nobody else."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest
from served import make_site, photo, post, running, talk

from effnet.errors import UsageError
from effnet.inference.server.run import listen, url_of
from effnet.inference.server.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("socket"), max_body_mb=0.5, timeout=0.5)


@pytest.fixture(scope="module")
def port(site: Site) -> Iterator[int]:
    with running(site) as given:
        yield given


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def detail(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["detail"])


def test_an_image_is_answered(port: int) -> None:
    answer = talk(port, post(photo("JPEG", (120, 90)), path="/v1/predict?top=1"))
    assert status(answer) == 200
    assert b'"probability":' in answer


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_connection_serves_one_request_after_the_other(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(HEALTH)
            assert connection.recv(65_536).endswith(b"\r\n\r\nok\n")


def test_a_request_before_the_answer_to_the_last_ends_the_connection_with_it(port: int) -> None:
    answer = talk(port, post(photo()).replace(b"Connection: close", b"X: y") + HEALTH)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'"probability":' in answer


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(port: int) -> None:
    request = post(bytes(600_000), "Expect: 100-continue")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request[:-600_000])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_of_a_chunked_body_no_more_is_read_than_the_limit(port: int, site: Site) -> None:
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + 7 * chunk)
        connection.sendall(chunk)  # 524 kB: over the limit, and no end of the body in sight
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert site.held.bytes == 0


def test_who_sends_too_much_all_the_same_still_reads_the_answer(port: int) -> None:
    assert status(talk(port, post(bytes(3_000_000)))) == 413


def test_a_client_that_says_nothing_is_cut_off(port: int) -> None:
    assert status(talk(port)) == 408


def test_a_client_that_never_ends_its_head_is_cut_off(port: int) -> None:
    started = monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.settimeout(0.1)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        answer = b""
        while not answer and monotonic() - started < 10:
            connection.sendall(b"X-More: 1\r\n")
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
    assert status(answer) == 408


def test_a_client_that_never_ends_its_body_is_told_so(port: int, site: Site) -> None:
    answer = talk(port, post(photo())[:-100])
    assert status(answer) == 408
    assert detail(answer) == "the request did not arrive within 0.5 s"
    assert site.held.bytes == 0


def test_a_client_that_never_reads_is_cut_off(tmp_path: Path) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(make_site(tmp_path, timeout=0.3), send_buffer=4096) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request)
        with pytest.raises(OSError, match=r"reset|pipe|aborted"):
            send_forever(connection, b"G", pause=0.05)


def test_a_client_that_asks_and_asks_and_never_reads_is_cut_off(port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
        pytest.raises(OSError, match=r"reset|pipe|aborted"),
    ):
        send_forever(connection, 100 * HEALTH)


def send_forever(connection: socket.socket, data: bytes, pause: float = 0.0) -> None:
    while True:
        connection.sendall(data)
        sleep(pause)


def test_an_endless_head_is_refused(port: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 33_000
    assert status(talk(port, head)) == 400


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\0" * 50])
def test_what_is_no_http_is_400(port: int, garbage: bytes) -> None:
    assert status(talk(port, garbage + b"\r\n\r\n")) == 400


def test_slow_clients_do_not_keep_others_waiting(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(post(photo())[:-100])
        assert status(talk(port, post(photo()))) == 200
    finally:
        for connection in slow:
            connection.close()


def test_many_clients_at_once_are_all_answered(port: int) -> None:
    answers: list[int] = []

    def ask() -> None:
        answers.append(status(talk(port, post(photo()))))

    threads = [Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 24


def test_work_for_a_client_that_left_is_given_up(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site) as port:
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(post(photo()))
        assert status(talk(port, post(photo()))) == 200
    assert (site.held.bytes, site.service.num_in_hand) == (0, 0)


def test_too_many_connections_are_503(tmp_path: Path) -> None:
    with running(make_site(tmp_path, connections=3)) as port:
        idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        answer = talk(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for connection in idle:
            connection.close()
    assert status(answer) == 503


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"cannot listen on 127\.0\.0\.1, port {port}: Address already in use"
        ):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_of_this_machine_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on no\.such\.host\.invalid, port 0"):
        listen("no.such.host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_the_address_to_type_is_one_of_this_machine(host: str, url: str) -> None:
    assert url_of(host, 80) == url
