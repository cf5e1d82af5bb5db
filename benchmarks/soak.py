"""Ask a server for minutes, with some broken requests among the good ones; watch its answers and its memory.

    python benchmarks/soak.py MODEL.onnx FOLDER --minutes 10

Every good image must be answered with 200 and the same class each time. Memory is flat when the median of the
last tenth of the time is at most 5 % above that of the second tenth: the first tenth fills caches.
"""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

import recording
from effnet.benching.machine import cpu_name
from mutations import Case, cases, send
from serve import read_bodies
from serving import Serving, answer_of, request, serving

FLAT = 0.05
LOOK_SECONDS = 1.0


@dataclass
class Soak:
    """What was seen."""

    end: float
    good: Counter[int] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    """Good images whose class was another one than before."""
    classes: dict[int, str] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return perf_counter() >= self.end


def main() -> None:
    arguments = parser().parse_args()
    requests = [request(body, "?top=1") for body in read_bodies(arguments.images)]
    with serving(arguments.model, "--timeout", "10", *arguments.flag) as server:
        soak = Soak(perf_counter() + 60 * arguments.minutes)
        asyncio.run(ask(server, requests, soak, arguments))
        failures = len(server.events("request failed")) + len(server.events("image failed"))
    row = summary(soak, arguments, failures)
    print(json.dumps(row, indent=1))
    if arguments.record:
        recording.append("soak", row, arguments.results)
    raise SystemExit(0 if row["passed"] else 1)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("model", type=Path)
    made.add_argument("images", type=Path, help="folder of images")
    made.add_argument("--minutes", type=float, default=10.0)
    made.add_argument("--clients", type=int, default=8)
    made.add_argument("--bad", type=float, default=0.05, help="share of broken requests")
    made.add_argument("--flag", action="append", default=[], help="for effnet serve, as --flag=--max-batch=8")
    recording.add_flags(made)
    return made


async def ask(server: Serving, requests: Sequence[bytes], soak: Soak, arguments: argparse.Namespace) -> None:
    """Let clients ask, and look at the memory."""
    broken = cases(0, 10**9)
    clients = [
        client(server.port, requests, soak, (Random(seed), broken, arguments.bad))
        for seed in range(arguments.clients)
    ]
    await asyncio.gather(watch(server, soak), *clients)


async def watch(server: Serving, soak: Soak) -> None:
    while not soak.is_over:
        await asyncio.sleep(LOOK_SECONDS)
        soak.memory.append(server.resident_mb)


async def client(
    port: int, requests: Sequence[bytes], soak: Soak, mischief: tuple[Random, Iterator[Case], float]
) -> None:
    """Ask for one image after the other; now and then be another client, that sends what is broken."""
    random, broken, share = mischief
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for place in cycle(range(len(requests))):
        if soak.is_over:
            break
        if random.random() < share:
            case = next(broken)
            status = await asyncio.to_thread(send, port, case.request)
            soak.bad[str(status)] += 1
            continue
        writer.write(requests[place])
        status, answer = await answer_of(reader)
        soak.good[status] += 1
        if status == 200:
            name = json.loads(answer)["predictions"][0]["classes"][0]["name"]
            soak.changed += soak.classes.setdefault(place, name) != name
    writer.close()
    await writer.wait_closed()


def summary(soak: Soak, arguments: argparse.Namespace, failures: int) -> dict[str, Any]:
    """Return the row to record."""
    tenth = max(1, len(soak.memory) // 10)
    early, late = median(soak.memory[tenth : 2 * tenth]), median(soak.memory[-tenth:])
    errors = {status: count for status, count in soak.good.items() if status != 200}
    server_errors = sum(count for status, count in soak.bad.items() if status.startswith("5"))
    is_flat = late <= early * (1 + FLAT)
    return {
        **recording.stamp(),
        "cpu": cpu_name(),
        "minutes": arguments.minutes,
        "clients": arguments.clients,
        "good": soak.good.total(),
        "good_errors": errors,
        "good_changed": soak.changed,
        "bad": soak.bad.total(),
        "bad_statuses": dict(sorted(soak.bad.items())),
        "failures_in_log": failures,
        "memory_mb": {"early": round(early, 1), "late": round(late, 1), "most": round(max(soak.memory), 1)},
        "passed": not errors and not soak.changed and not server_errors and not failures and is_flat,
    }


if __name__ == "__main__":
    main()
