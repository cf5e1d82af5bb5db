"""Send a server thousands of broken requests; count what it answers. No answer may be an error of its own.

python benchmarks/serve_mutations.py MODEL.onnx --cases 10000
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from time import perf_counter

import recording
from mutations import cases, images, request, send
from serving import serving

FLAGS = ("--max-megapixels", "8", "--timeout", "10")


def main() -> None:
    arguments = parser().parse_args()
    statuses: dict[str, Counter[str]] = {}
    started = perf_counter()
    with serving(arguments.model, *FLAGS) as server:
        before = server.resident_mb
        for case in cases(arguments.seed, arguments.cases):
            status = send(server.port, case.request)
            statuses.setdefault(case.kind, Counter())["closed" if status is None else str(status)] += 1
        is_alive = server.process.poll() is None
        answers_on = all(send(server.port, request(body, "image/png")) == 200 for body in images())
        failures = len(server.events("request failed")) + len(server.events("image failed"))
        after = server.resident_mb
    counts = [pair for found in statuses.values() for pair in found.items()]
    errors = sum(count for status, count in counts if status.startswith("5"))
    row = {
        **recording.stamp(),
        "cases": arguments.cases,
        "seed": arguments.seed,
        "seconds": round(perf_counter() - started, 1),
        "statuses": {kind: dict(sorted(found.items())) for kind, found in statuses.items()},
        "server_errors": errors,
        "failures_in_log": failures,
        "memory_mb": [round(before, 1), round(after, 1)],
        "passed": is_alive and answers_on and not errors and not failures,
    }
    print(json.dumps(row, indent=1))
    if arguments.record:
        recording.append("serve_mutations", row, arguments.results)
    raise SystemExit(0 if row["passed"] else 1)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path)
    made.add_argument("--cases", type=int, default=10_000)
    made.add_argument("--seed", type=int, default=0)
    recording.add_flags(made)
    return made


if __name__ == "__main__":
    main()
