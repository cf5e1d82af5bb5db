"""What the machines of a cluster have, and what of it an item takes."""

from dataclasses import dataclass, replace
from typing import Any

from effnet.errors import UsageError


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what of it each item takes."""

    address: str
    """`local`: started here, ended with the work; `auto`, `HOST:PORT`, `ray://HOST:PORT`: one that runs."""
    cpus: float = 1.0
    """Cores of an item; torch computes with as many threads."""
    gpus: float | None = None
    """GPUs of an item, or a fraction of one; None is one where the cluster has any, else none."""

    def __post_init__(self) -> None:
        if self.cpus <= 0 or (self.gpus or 0) < 0:
            raise UsageError(f"an item takes {self.cpus:g} CPUs and {self.gpus or 0:g} GPUs: not possible")


def alive(ray: Any) -> list[dict[str, float]]:
    """Return what each machine has, by kind."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def sized(ray: Any, cluster: Cluster) -> Cluster:
    """Return a cluster with the number of GPUs of an item."""
    if cluster.gpus is not None:
        return cluster
    return replace(cluster, gpus=float(any(node.get("GPU") for node in alive(ray))))


def slots_of(ray: Any, cluster: Cluster) -> int:
    """Count how many items the machines have room for."""
    amounts = {"CPU": cluster.cpus, "GPU": cluster.gpus or 0}
    return sum(
        min(int(node.get(kind, 0) / amount + 1e-6) for kind, amount in amounts.items() if amount)
        for node in alive(ray)
    )


def wish(cluster: Cluster) -> str:
    """Say what an item takes."""
    return f"each takes {cluster.cpus:g} CPUs and {cluster.gpus or 0:g} GPUs"


def has(ray: Any) -> str:
    """Say what all machines have together."""
    found = ray.cluster_resources()
    return f"{found.get('CPU', 0):g} CPUs and {found.get('GPU', 0):g} GPUs"
