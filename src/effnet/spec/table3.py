"""Table 3 of the paper (§5.1): MobileNets and a ResNet, scaled in one dimension and in all; as published."""

from dataclasses import dataclass, replace

from effnet.spec.cost import Cost, cost
from effnet.spec.families import get_spec
from effnet.spec.netspec import NetSpec
from effnet.spec.resize import Multipliers, resize


@dataclass(frozen=True)
class PublishedRow:
    """One row as both editions of the paper print it: a network, how it is scaled, FLOPS, accuracy."""

    base: str
    depth: float
    width: float
    resolution: float
    giga_flops: float
    """Billions of multiply-adds, printed to one decimal."""
    top1: float
    """Accuracy on ImageNet in percent: published, not measured here."""
    factors_printed: bool = True
    """False where the paper says "compound scale" alone: the factors are MobileNetV1's, by assumption."""

    @property
    def factors(self) -> Multipliers:
        """The factors on the base, before rounding."""
        return Multipliers(self.depth, self.width, self.resolution)


TABLE_3 = (
    #            base            d    w    r   FLOPS  top-1
    PublishedRow("mobilenet-v1", 1.0, 1.0, 1.0, 0.6, 70.6),
    PublishedRow("mobilenet-v1", 1.0, 2.0, 1.0, 2.2, 74.2),
    PublishedRow("mobilenet-v1", 1.0, 1.0, 2.0, 2.2, 72.7),
    PublishedRow("mobilenet-v1", 1.4, 1.2, 1.3, 2.3, 75.6),
    PublishedRow("mobilenet-v2", 1.0, 1.0, 1.0, 0.3, 72.0),
    PublishedRow("mobilenet-v2", 4.0, 1.0, 1.0, 1.2, 76.8),
    PublishedRow("mobilenet-v2", 1.0, 2.0, 1.0, 1.1, 76.4),
    PublishedRow("mobilenet-v2", 1.0, 1.0, 2.0, 1.2, 74.8),
    PublishedRow("mobilenet-v2", 1.4, 1.2, 1.3, 1.3, 77.4, factors_printed=False),
    PublishedRow("resnet-50", 1.0, 1.0, 1.0, 4.1, 76.0),
    PublishedRow("resnet-50", 4.0, 1.0, 1.0, 16.2, 78.1),
    PublishedRow("resnet-50", 1.0, 2.0, 1.0, 14.7, 77.7),
    PublishedRow("resnet-50", 1.0, 1.0, 2.0, 16.4, 77.5),
    PublishedRow("resnet-50", 1.4, 1.2, 1.3, 16.7, 78.8, factors_printed=False),
)


@dataclass(frozen=True)
class CountedRow:
    """A published row beside what the network of these factors costs by our rounding and our count."""

    published: PublishedRow
    spec: NetSpec
    cost: Cost
    """For 1000 classes."""
    exact_macs: float
    """The base's MACs times d·w²·r²: what equation 3 promises."""

    @property
    def difference(self) -> float:
        """Our MACs against the published FLOPS, as a share of these."""
        return self.cost.macs / (self.published.giga_flops * 1e9) - 1.0

    @property
    def rounds_to_published(self) -> bool:
        """Whether our MACs, rounded as the paper rounds, are the published FLOPS."""
        return round(self.cost.macs / 1e9, 1) == self.published.giga_flops


def count(row: PublishedRow) -> CountedRow:
    """Scale the base of a row by its factors and count."""
    base = get_spec(row.base)
    spec = replace(
        resize(base, row.factors), name=f"{row.base} × ({row.depth:g}, {row.width:g}, {row.resolution:g})"
    )
    return CountedRow(row, spec, cost(spec), cost(base).macs * row.factors.cost_factor)
