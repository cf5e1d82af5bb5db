"""What large trainings cost, by arithmetic from published speeds: the tables of docs/scale.md.

    python benchmarks/scale_table.py

Nothing here was measured by us but the time to decode an image; each other number has its source beside it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from effnet.spec.cost import cost
from effnet.spec.families import NETWORKS

IMAGENET_IMAGES = 1_281_167
IMAGENET_EPOCHS = 350
IMAGE_BYTES = 147_897_477_120 / IMAGENET_IMAGES  # the archive ILSVRC2012_img_train.tar of image-net.org
BILLION = 1_000_000_000
GRADIENT_BYTES = 4  # float32
DECODE_SECONDS = 2.4e-3  # docs/decisions/0022: a photo of 0.19 megapixels, "before the device", one core here
LINKS = {"10 Gbit/s": 1.25e9, "25 Gbit/s": 3.125e9, "100 Gbit/s": 12.5e9}
"""Bytes a second in each direction, if nothing else were sent."""
STORAGES = {"0.5 GB/s": 0.5e9, "3.1 GB/s": 3.125e9}
"""A SATA disk; what a link of 25 Gbit/s brings."""
HOUR, DAY = 3600.0, 86_400.0


@dataclass(frozen=True)
class Speed:
    """How fast a GPU trains a network, as somebody has published it."""

    network: str
    gpu: str
    watts: float
    """The most that the card may take."""
    batch: int | None
    """Images at once; None where it is not said."""
    images_per_second: float

    @property
    def params(self) -> int:
        """Parameters of the network, counted."""
        return cost(NETWORKS[self.network]).params


SPEEDS = (
    Speed("b0", "A100 80 GB", 400, None, 2489),  # NVIDIA, PyTorch, mixed precision
    Speed("b4", "A100 80 GB", 400, None, 331),
    Speed("b0", "RTX 3090", 350, 512, 1751.72),  # timm, AMP, channels last
    Speed("b7", "RTX 3090", 350, 8, 37.97),
)


def seconds(speed: Speed, images: float, gpus: int = 1) -> float:
    """Return the time to learn from so many images, if GPUs add up: while nothing else is the limit."""
    return images / (speed.images_per_second * gpus)


def kilowatt_hours(speed: Speed, images: float) -> float:
    """Return the energy of the cards alone, at their limit: host and cooling come on top."""
    return speed.watts * seconds(speed, images) / HOUR / 1000


def gradient_bytes(speed: Speed) -> int:
    """Return what a step has to bring together: one number for each parameter."""
    return GRADIENT_BYTES * speed.params


def ring_bytes(speed: Speed, gpus: int) -> float:
    """Return what each GPU sends in a step, by a ring: 2 (n - 1) / n times the gradients."""
    return 2 * (gpus - 1) / gpus * gradient_bytes(speed)


def least_batch(speed: Speed, link: float) -> float:
    """Return the images of a GPU's step from which on sending takes less time than computing; n is large."""
    return 2 * gradient_bytes(speed) / link * speed.images_per_second


def read_bytes(speed: Speed, gpus: int) -> float:
    """Return the bytes a second that storage has to give."""
    return gpus * speed.images_per_second * IMAGE_BYTES


def fed_by(speed: Speed, bytes_per_second: float) -> int:
    """Return how many GPUs a storage of this speed feeds."""
    return int(bytes_per_second / (speed.images_per_second * IMAGE_BYTES))


def cores(speed: Speed) -> float:
    """Return the processor cores that decode for one GPU."""
    return speed.images_per_second * DECODE_SECONDS


def cost_rows() -> list[list[str]]:
    """Return hours and energy of ImageNet and of a billion images, for one GPU and for eight."""
    rows = []
    for speed in SPEEDS:
        whole = IMAGENET_IMAGES * IMAGENET_EPOCHS
        rows.append([
            speed.network.upper(), speed.gpu, f"{speed.images_per_second:,.0f}",
            f"{seconds(speed, whole) / DAY:.1f} days", f"{seconds(speed, whole, 8) / HOUR:,.0f} h",
            f"{kilowatt_hours(speed, whole):,.0f} kWh", f"{seconds(speed, BILLION) / DAY:.1f} days",
            f"{seconds(speed, BILLION, 64) / HOUR:,.1f} h", f"{kilowatt_hours(speed, BILLION):,.0f} kWh",
        ])  # fmt: skip
    return rows


def traffic_rows() -> list[list[str]]:
    """Return what gradients take, and the batch from which on each link is no limit."""
    rows = []
    for speed in SPEEDS:
        links = [f"{least_batch(speed, link):,.1f}" for link in LINKS.values()]
        sizes = [f"{gradient_bytes(speed) / 1e6:.1f} MB", f"{ring_bytes(speed, 8) / 1e6:.1f} MB"]
        rows.append([speed.network.upper(), speed.gpu, f"{speed.params:,}", *sizes, *links])
    return rows


def storage_rows() -> list[list[str]]:
    """Return what storage and processors have to give."""
    rows = []
    for speed in SPEEDS:
        needs = [f"{read_bytes(speed, gpus) / 1e6:,.0f} MB/s" for gpus in (1, 8, 64)]
        rows.append([
            speed.network.upper(), speed.gpu, *needs, f"{fed_by(speed, 0.5e9)}", f"{fed_by(speed, 3.125e9)}",
            f"{cores(speed):.1f}",
        ])  # fmt: skip
    return rows


def first_limit(speed: Speed, link: float, storage: float) -> str:
    """Return what is the limit first as GPUs are added; gradients are sent while the step computes.

    Args:
        speed: of one GPU, with its batch.
        link: bytes a second between machines.
        storage: bytes a second that all GPUs share.

    """
    assert speed.batch is not None
    if least_batch(speed, link) > speed.batch:
        return "the link, from 2 machines on"
    return f"storage, from {fed_by(speed, storage) + 1:,} GPUs on"


def limit_rows() -> list[list[str]]:
    """Return the first limit on three links, with storage of a SATA disk and of a network."""
    rows = []
    for speed in SPEEDS:
        if speed.batch is not None:
            for storage, rate in STORAGES.items():
                limits = [first_limit(speed, link, rate) for link in LINKS.values()]
                rows.append([f"{speed.network.upper()}, {speed.batch} at once", storage, *limits])
    return rows


TABLES = {
    "cost": (
        "network, GPU, images/s, ImageNet on 1 GPU, on 8, energy, billion on 1 GPU, on 64, energy",
        cost_rows,
    ),
    "traffic": ("network, GPU, parameters, gradients, sent (8 GPUs), 10 Gbit/s, 25, 100", traffic_rows),
    "storage": (
        "network, GPU, 1 GPU reads, 8 read, 64 read, 0.5 GB/s feed, 3.1 GB/s feed, cores a GPU",
        storage_rows,
    ),
    "limits": ("network, storage, 10 Gbit/s, 25 Gbit/s, 100 Gbit/s", limit_rows),
}
"""By name: titles of the columns, and what makes the rows."""


def markdown(columns: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table as it stands in the document."""
    heads = columns.split(", ")
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    for columns, rows in TABLES.values():
        print(markdown(columns, rows()) + "\n")


if __name__ == "__main__":
    main()
