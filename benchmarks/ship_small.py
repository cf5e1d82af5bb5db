r"""Put a trained network into the package as `cifar10-small`: calibrated, in half precision, with its card.

    make small MODEL=runs/cifar10/model.safetensors DATA=cifar10 \
        TRAINED_BY="effnet train cifar10 --recipe cifar10-quick" MACHINE="2 cores of ..."

The temperature is fitted on the validation images. Half precision is proved on the test images, and what the
card says of accuracy is measured on them, by the file as it ships. The file may have 5 MB.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import effnet
from effnet.data.datasets import DataSet, open_dataset
from effnet.errors import UsageError
from effnet.evaluation.classifier import Classifier, load
from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.temperature import calibrate
from effnet.exporting.half import Halved, export_half
from effnet.files import copy_file, digest_of, write_text
from effnet.spec.cost import cost

FOLDER = Path(effnet.__file__).parent / "shipped"
NAME = "cifar10-small"
TEMPLATE = Path(__file__).with_name(f"{NAME}.template.md")
MAX_BYTES = 5_000_000


def main() -> None:
    arguments = read_arguments()
    dataset, file = open_dataset(arguments.data), FOLDER / f"{NAME}.safetensors"
    before, halved = ship(arguments.model, dataset, file)
    classifier = load(file, device="cpu")
    after = classifier.evaluate(dataset, split="test")
    write_text(FOLDER / f"{NAME}.md", card(arguments, classifier, halved, (before, after)))
    print(
        f"{file}: {file.stat().st_size / 1e6:.2f} MB, {after.top1:.2%} (before {before.top1:.2%}); {NAME}.md"
    )


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("data", help="CIFAR-10 as the network was trained on it, with its test part")
    parser.add_argument("--trained-by", required=True, help="the command")
    parser.add_argument("--machine", required=True)
    parser.add_argument(
        "--note", action="append", default=[], help="a line for the card, such as mean ± spread"
    )
    return parser.parse_args()


def ship(model: Path, dataset: DataSet, file: Path) -> tuple[Evaluation, Halved]:
    """Calibrate a copy, write it in half precision, and return what the copy was measured at.

    Raises:
        UsageError: it is too large to ship.

    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / model.name
        copy_file(model, copy)
        calibrated, _ = calibrate(load(copy, device="cpu"), dataset)
        made = export_half(calibrated, Path(folder) / file.name, check_on=dataset)
        size = made.path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(
                f"{model} has {size:,} bytes in half precision; at most {MAX_BYTES:,} are shipped"
            )
        copy_file(made.path, file)
        return calibrated.evaluate(dataset, split="test"), replace(made, path=file)


def card(
    arguments: argparse.Namespace,
    classifier: Classifier,
    halved: Halved,
    measured: tuple[Evaluation, Evaluation],
) -> str:
    """Return the card: what it is, how good, made by which command, and what it is not for."""
    header, (before, after), parity = classifier.header, measured, halved.parity
    spent, training, metrics = cost(header.spec, header.num_classes), header.training, header.metrics
    config, place = training["config"], training["environment"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        network=header.spec.name,
        params=spent.params,
        macs=spent.macs / 1e6,
        side=header.preprocess.resolution,
        classes=", ".join(header.class_names),
        megabytes=halved.path.stat().st_size / 1e6,
        num_images=after.num_images,
        top1=after.top1,
        top5=after.top5,
        low=after.interval[0],
        high=after.interval[1],
        ece=after.ece,
        temperature=header.temperature,
        before=before.top1,
        num_random=parity.num_random,
        num_real=parity.num_real,
        agreement=parity.agreement,
        share=parity.share,
        seed=config["seed"],
        notes="".join(f"{note}\n" for note in arguments.note),
        data=training["data"],
        counts=", ".join(f"{count:,} {part}" for part, count in training["num_images"].items()),
        trained_by=arguments.trained_by,
        steps=metrics["steps"],
        batch_size=config["batch_size"],
        minutes=metrics["seconds"] / 60,
        machine=arguments.machine,
        sha256=digest_of(arguments.model),
        **{name: place[name] for name in ("threads", "torch", "python", "effnet")},
    )


if __name__ == "__main__":
    main()
