"""EfficientNet-Lite0 to -Lite4: B0 without what small devices are slow at or cannot quantise."""

from dataclasses import dataclass, replace

from effnet.spec.netspec import Head, NetSpec, Stage, Stem
from effnet.spec.resize import Multipliers, resize

# The official code (`efficientnet_lite_builder.py` in github.com/tensorflow/tpu, folder
# models/official/efficientnet/lite), and timm's `_gen_efficientnet_lite`: B0's table without
# squeeze-and-excitation, and ReLU6.
LITE0 = NetSpec(
    name="lite0",
    stem=Stem(kernel_size=3, stride=2, out_channels=32),
    stages=(
        #     block   expand  k  s    c  n  squeeze
        Stage("mbconv", 1, 3, 1, 16, 1, 0.0),
        Stage("mbconv", 6, 3, 2, 24, 2, 0.0),
        Stage("mbconv", 6, 5, 2, 40, 2, 0.0),
        Stage("mbconv", 6, 3, 2, 80, 3, 0.0),
        Stage("mbconv", 6, 5, 1, 112, 3, 0.0),
        Stage("mbconv", 6, 5, 2, 192, 4, 0.0),
        Stage("mbconv", 6, 3, 1, 320, 1, 0.0),
    ),
    head=Head(out_channels=1280),
    resolution=224,
    activation="relu6",
)


@dataclass(frozen=True)
class LiteRow:
    """One row of the official table of coefficients."""

    name: str
    width: float
    depth: float
    resolution: int
    dropout: float


LITE_TABLE = (
    #        name   width depth  res. dropout
    LiteRow("lite0", 1.0, 1.0, 224, 0.2),
    LiteRow("lite1", 1.0, 1.1, 240, 0.2),
    LiteRow("lite2", 1.1, 1.2, 260, 0.3),
    LiteRow("lite3", 1.2, 1.4, 280, 0.3),
    LiteRow("lite4", 1.4, 1.8, 300, 0.3),
)


def lite(row: LiteRow) -> NetSpec:
    """Scale Lite0 by a row of the table: stem and head stay, and the repeats of the first and last stage."""
    resized = resize(LITE0, Multipliers(row.depth, row.width, row.resolution / LITE0.resolution))
    first, *middle, last = resized.stages
    fixed = (
        replace(first, repeats=LITE0.stages[0].repeats),
        *middle,
        replace(last, repeats=LITE0.stages[-1].repeats),
    )
    return replace(
        resized, name=row.name, stem=LITE0.stem, stages=fixed, head=LITE0.head, dropout=row.dropout
    )


LITE = tuple(lite(row) for row in LITE_TABLE)
