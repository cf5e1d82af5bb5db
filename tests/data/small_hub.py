"""A Hugging Face Hub on this machine with one data set, as far as its library asks for it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from loopback_server import running

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def hub(repo: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve a data set; yields the address of the hub."""

    def children(folder: str) -> list[dict[str, Any]]:
        inside = f"{folder}/" if folder else ""
        found = {}
        for path, content in files.items():
            if path.startswith(inside):
                first, deeper, _ = path.removeprefix(inside).partition("/")
                found[first] = (
                    {"type": "directory", "path": inside + first, "oid": COMMIT}
                    if deeper
                    else entry(path, content)
                )
        return list(found.values())

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"] or 0))
            paths = json.loads(asked)["paths"] if asked.startswith(b"{") else []
            self.answer([entry(path, files[path]) for path in paths if path in files])

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            api, resolve = f"/api/datasets/{repo}", f"/datasets/{repo}/resolve/"
            if path.startswith(f"{api}/tree/"):
                below = path.removeprefix(f"{api}/tree/").partition("/")[2]
                self.answer(children(below))
            elif path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                self.answer({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": p} for p in files]})
            elif path.startswith(f"{api}/revision/"):
                self.refuse("RevisionNotFound")
            elif path.startswith(resolve) and path.removeprefix(resolve).partition("/")[2] in files:
                self.send(files[path.removeprefix(resolve).partition("/")[2]])
            else:
                self.refuse("EntryNotFound" if path.startswith(resolve) else "RepoNotFound")

        def answer(self, data: Any) -> None:
            self.send(json.dumps(data).encode())

        def refuse(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send(self, content: bytes) -> None:
            part = (self.headers["Range"] or "").removeprefix("bytes=").split("-")
            start = int(part[0]) if part[0] else 0
            end = int(part[1]) + 1 if len(part) > 1 and part[1] else len(content)
            body = content[start:end]
            self.send_response(206 if self.headers["Range"] else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with running(Handler) as url:
        yield url
