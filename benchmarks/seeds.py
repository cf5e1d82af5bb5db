"""Train the same recipe with several seeds; append each result to docs/results, print mean ± spread.

    python benchmarks/seeds.py digits --seeds 10
    python benchmarks/seeds.py FOLDER --seeds 3 -- --phi -6 --epochs 5

Arguments after -- go to `effnet train`. Each run is a process of its own, as a user would start it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import recording
from effnet.modelfile import load_header


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--name", help="name of the results file; that of the data when not given")
    arguments, extra = parser.parse_known_args()
    extra = [argument for argument in extra if argument != "--"]
    name = arguments.name or Path(arguments.data).name
    rows = [one_run(arguments.data, seed, extra, name) for seed in range(arguments.seeds)]
    accuracies = [row["top1"] for row in rows]
    spread = stdev(accuracies) if len(rows) > 1 else float("nan")
    errors = [row["num_errors"] for row in rows]
    print(f"{name}: {mean(accuracies):.2%} ± {spread:.2%} over {len(rows)} seeds; errors {errors}")


def one_run(data: str, seed: int, extra: list[str], name: str) -> dict[str, Any]:
    """Train once, append the result and return it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["effnet", "train", data, "--seed", str(seed), "--out", folder, "--json", *extra]
        environment = [sys.executable, "-m", *command]
        done = subprocess.run(environment, check=True, stdout=subprocess.PIPE, text=True)
        header = load_header(Path(folder) / "model.safetensors")
    result = json.loads(done.stdout)
    row = {
        **recording.stamp(" ".join(command).replace(folder, "DIR")),
        "seed": seed,
        "split": result["result"]["split"],
        "num_images": result["result"]["num_images"],
        "num_errors": result["result"]["num_errors"],
        "top1": result["result"]["top1"],
        "seconds": result["seconds"],
        "environment": header.training["environment"],
    }
    recording.append(name, row)
    print(f"seed {seed}: {row['num_errors']} errors, {row['top1']:.2%}, {row['seconds']:.0f} s", flush=True)
    return row


if __name__ == "__main__":
    main()
