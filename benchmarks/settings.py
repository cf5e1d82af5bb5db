r"""Compare settings of a training by their accuracy on the validation part; the test part is never read.

    python benchmarks/settings.py DATA --images 263424 --name cifar10-quick-settings \
        --recipe cifar10-quick -- --optim.lr 0.3

Trains for a given number of images (what a machine does in a given time was measured before), and appends the
result to docs/results. Arguments after -- go to `effnet train`.
"""

import argparse
from typing import Any

import torch

from assembly import configure, describe
from effnet import config as configuration
from effnet.benching.steps import ready
from effnet.data.datasets import open_dataset
from effnet.spec import netspec
from effnet.training.parts import assemble
from effnet.training.reporter import EpochRecord, StepRecord
from recording import add_flags, append, stamp


def follow(record: StepRecord) -> None:
    """Say nothing between epochs."""


def show(record: EpochRecord) -> None:
    tops = f"train {record.train_top1:.1%}, validation {record.val_top1:.2%}"
    print(f"epoch {record.epoch + 1}: {tops}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--name", required=True)
    parser.add_argument("--recipe", default="small-images")
    add_flags(parser)
    arguments, flags = parser.parse_known_args()
    torch.set_num_threads(arguments.threads)
    flags = [flag for flag in flags if flag != "--"]
    parts = assemble(open_dataset(arguments.data), configure(arguments.recipe, flags))
    trainer = ready(parts)
    trainer.total_steps = max(1, arguments.images // parts.config.batch_size)
    trainer.fit(follow, show)
    last = trainer.records[-1]
    row: dict[str, Any] = {
        **stamp(),
        **describe(parts),
        "spec": netspec.to_dict(parts.spec),
        "config": configuration.to_dict(parts.config),
        "images": trainer.step * parts.config.batch_size,
        "val_top1": last.val_top1,
        "val_loss": last.val_loss,
        "train_top1": last.train_top1,
    }
    if arguments.record:
        append(arguments.name, row, arguments.results)


if __name__ == "__main__":
    main()
