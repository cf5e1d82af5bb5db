"""A hub of models on this machine: repositories in memory, asked in the way of huggingface_hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler

from loopback_server import running

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What it has, and what it was asked for."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by the name of the repository."""
    revisions: tuple[str, ...] = ("main", "v1", COMMIT)
    private: dict[str, str] = field(default_factory=dict)
    """Tokens of repositories that want one."""
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    url: str = ""

    def problem(self, name: str, revision: str, file: str, token: str | None) -> tuple[int, str] | None:
        """Return status and code of the error that a request meets."""
        if name in self.gated:
            return 403, "GatedRepo"
        if name not in self.repositories or self.private.get(name) not in (None, token):
            return 401, "RepoNotFound"
        if revision not in self.revisions:
            return 404, "RevisionNotFound"
        return None if file in self.repositories[name] else (404, "EntryNotFound")


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the hub in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            owner, repository, _, revision, *rest = self.path.strip("/").split("/")
            name, file = f"{owner}/{repository}", "/".join(rest)
            token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
            problem = hub.problem(name, revision, file, token)
            content = b"" if problem else hub.repositories[name][file]
            self.send_response(problem[0] if problem else 200)
            if problem:
                self.send_header("X-Error-Code", problem[1])
            else:
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with running(Handler) as url:
        hub.url = url
        yield hub
