"""Who may ask, what every answer carries, what is logged, and what never leaves the process."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from served import client, make_site, photo

from effnet.inference.server.logs import take_over_logs

TOKEN = "a-token-of-some-length"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize("path", ["/", "/page.js", "/healthz", "/v1/model", "/nothing"])
def test_every_answer_carries_what_protects_a_browser(tmp_path: Path, path: str) -> None:
    with client(make_site(tmp_path)) as api:
        headers = api.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_is_in_no_frame_and_tells_nobody_where_its_links_come_from(tmp_path: Path) -> None:
    with client(make_site(tmp_path)) as api:
        headers = api.get("/").headers
    assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "no-referrer")


def test_the_page_asks_nothing_from_elsewhere(tmp_path: Path) -> None:
    with client(make_site(tmp_path)) as api:
        texts = [api.get(path).text for path in ("/", "/page.css", "/page.js")]
    assert not [text for text in texts if "//" in text.replace("// ", "").replace("https?://", "")]
    assert "<style" not in texts[0]
    assert "style=" not in texts[0]


def test_an_unchanged_page_is_not_sent_again(tmp_path: Path) -> None:
    with client(make_site(tmp_path)) as api:
        tag = api.get("/page.js").headers["etag"]
        again = api.get("/page.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/", "/page.css", "/page.js", "/icon.svg", "/healthz", "/readyz", "/openapi.json"]
)
def test_page_and_health_are_open_to_everybody(tmp_path: Path, path: str) -> None:
    with client(make_site(tmp_path, token=TOKEN)) as api:
        assert api.get(path).status_code == 200


@pytest.mark.parametrize(
    "given", ["", TOKEN, "Bearer", "Bearer x", f"Bearer {TOKEN}x", "Bearer ÿ", f"bearer {TOKEN}"]
)
def test_without_the_right_token_nothing_else_is(tmp_path: Path, given: str) -> None:
    with client(make_site(tmp_path, token=TOKEN)) as api:
        for path in ("/v1/model", "/metrics", "/nothing"):
            answer = api.get(path, headers={b"authorization": given.encode()})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="effnet"'
        answer = api.post("/v1/predict", content=photo(), headers={b"authorization": given.encode()})
        assert answer.json()["detail"] == "this server asks for a token"


def test_with_the_token_all_is_answered(tmp_path: Path) -> None:
    with client(make_site(tmp_path, token=TOKEN)) as api:
        api.headers["authorization"] = f"Bearer {TOKEN}"
        assert api.post("/v1/predict", content=photo()).status_code == 200
        assert api.get("/metrics").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]:8000"])
def test_on_loopback_a_foreign_name_is_refused(tmp_path: Path, host: str) -> None:
    with client(make_site(tmp_path)) as api:
        assert api.get("/healthz", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "pictures.example"]
)
def test_names_of_this_machine_and_allowed_ones_are_answered(tmp_path: Path, host: str) -> None:
    with client(make_site(tmp_path, allow_host=("pictures.example",))) as api:
        assert api.get("/healthz", headers={"host": host}).status_code == 200


def test_bound_to_all_addresses_every_name_is_answered(tmp_path: Path) -> None:
    with client(make_site(tmp_path, host="0.0.0.0")) as api:
        assert api.get("/healthz", headers={"host": "pictures.example"}).status_code == 200


def test_a_request_is_one_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with client(make_site(tmp_path)) as api:
        answer = api.post("/v1/predict?top=1&secret=1", content=photo())
    (line,) = [line for line in lines(capsys) if line["event"] == "request"]
    assert line.items() >= {
        "id": answer.headers["x-request-id"], "method": "POST", "path": "/v1/predict", "status": 200,
        "bytes": len(photo()), "images": 1, "client": "testclient", "level": "info",
    }.items()  # fmt: skip
    assert line["ms"] > 0


def test_what_stands_in_a_request_cannot_break_out_of_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with client(make_site(tmp_path)) as api:
        api.get("/%0a%1b[31m\u2028")
    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert written[:-1].isprintable()
    assert json.loads(written)["path"] == "/\n\x1b[31m\u2028"


def test_a_bug_is_500_and_its_trace_stays_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site(tmp_path)
    site.live.current = None  # type: ignore[assignment] # what no code of ours does
    with client(site) as api:
        answer = api.get("/v1/model")
    number = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert answer.json()["detail"] == f"the server failed; its log has the reason under {number}"
    (line,) = [line for line in lines(capsys) if line["event"] == "request failed"]
    assert line["id"] == number
    assert line["trace"].startswith("Traceback")


def test_what_libraries_say_is_a_line_like_any_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    take_over_logs()
    try:
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request\nreceived.")
        logging.getLogger("python_multipart").warning("what strangers can cause")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a warning", stacklevel=1)
    finally:
        logging.captureWarnings(False)
    first, second = lines(capsys)
    assert (first["event"], first["origin"]) == ("Invalid HTTP request\nreceived.", "uvicorn.error")
    assert "a warning" in second["event"]
