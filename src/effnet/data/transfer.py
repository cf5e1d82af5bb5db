"""The eight sets that the paper transfers to (Table 5; their sizes stand in its Table 6).

CIFAR-10 and CIFAR-100 come from the archives of their authors (`cifar.py`); the others from copies on the
Hugging Face Hub, whose numbers of classes and images are checked, so that a copy which is divided otherwise
cannot pass for the paper's.
"""

from dataclasses import dataclass, replace

from effnet.data.hub import open_hub
from effnet.data.samples import DataSet
from effnet.data.sources import Source, parse_source
from effnet.errors import DataError, UsageError


@dataclass(frozen=True)
class TransferSet:
    """A data set as the paper used it."""

    num_train: int
    """What the paper trained on, validation images included where the set has some."""
    num_test: int
    num_classes: int
    source: str | None
    """What DATA it is; None where no whole copy is known to us."""
    why: str = ""
    """What one has to know: why there is no source, or where numbers differ from the paper's."""

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Images to train on and to test, classes."""
        return self.num_train, self.num_test, self.num_classes


# In the order of the paper's Table 6, without CIFAR.
TRANSFER = {
    "birdsnap": TransferSet(
        47_386, 2_443, 500, None, "its authors publish addresses of photos, of which many are gone"
    ),
    "stanford-cars": TransferSet(8_144, 8_041, 196, "hf:tanganke/stanford_cars"),
    "flowers102": TransferSet(
        2_040, 6_149, 102, "hf:dpdl-benchmark/oxford_flowers102,train=train+validation,test=test"
    ),
    "aircraft": TransferSet(
        6_667, 3_333, 100, None, "the authors' archive has no published checksum that we could check it by"
    ),
    "oxford-pets": TransferSet(
        3_680, 3_669, 37, "hf:timm/oxford-iiit-pet,label=label",
        "the paper prints 3,369 test images; the set has always had 3,669",
    ),
    "food101": TransferSet(75_750, 25_250, 101, "hf:ethz/food101,train=train,test=validation"),
}  # fmt: skip


def open_transfer(source: Source) -> DataSet:
    """Open one of the sets by its name, and check that it is divided as in the paper.

    Raises:
        UsageError: there is no copy known to us; says what the paper's numbers are.
        DataError: the copy has other numbers of classes or images, or cannot be had.

    """
    known = TRANSFER[source.place]
    source.allow(f"the data set {source.place}", ("revision",))
    if known.source is None:
        raise UsageError(
            f"{source.place} cannot be had by name: {known.why}; bring it as a folder, a CSV file or "
            f"hf:NAME; the paper has {numbers(known.sizes)}"
        )
    copy = parse_source(known.source)
    dataset = open_hub(Source(copy.place, {**copy.options, **source.options}))
    check_sizes(dataset, source.place, known)
    return replace(dataset, name=source.place)


def check_sizes(dataset: DataSet, name: str, known: TransferSet) -> None:
    """Raise DataError when a data set is not divided as in the paper."""
    counts = {part: len(samples) for part, samples in dataset.parts.items()}
    num_test = counts.pop("test", 0)
    found = (sum(counts.values()), num_test, len(dataset.class_names))
    expected = known.sizes
    if found != expected:
        raise DataError(
            f"{name}: {dataset.source} has {numbers(found)}; expected: {numbers(expected)}; to use it as it "
            f"is, take that name"
        )


def numbers(of: tuple[int, int, int]) -> str:
    """Write numbers of training and test images and of classes."""
    return f"{of[0]:,} images to train on, {of[1]:,} to test, {of[2]} classes"
