"""Flags that give work to a cluster."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from effnet.cluster.connection import check_address
from effnet.cluster.machines import Cluster
from effnet.errors import UsageError


@dataclass(frozen=True)
class TrialsOnCluster:
    """A cluster for trials."""

    cluster: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Have the trials done by a Ray cluster, several at a time: auto, HOST:PORT or ray://HOST:PORT, or local
    for one on this machine. All its machines must see --out and the data under the same paths."""
    cpus_per_trial: float = 1.0
    """Cores of each trial on the cluster, and threads that it computes with."""
    gpus_per_trial: float | None = None
    """GPUs of each trial on the cluster, or a fraction such as 0.5; 1 when not given, where it has any."""

    def chosen(self, device: str) -> Cluster | None:
        """Return the cluster, if there is one; on the device `cpu` a trial takes no GPU.

        Raises:
            MissingExtraError, UsageError: see `check_address`; or flags that mean nothing without a cluster.

        """
        return chosen(self.cluster, self.cpus_per_trial, self.gpus_per_trial, device)


@dataclass(frozen=True)
class ImagesOnCluster:
    """A cluster for predictions."""

    cluster: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """With --out: have the images classified by a Ray cluster: auto, HOST:PORT or ray://HOST:PORT, or local
    for one on this machine. All its machines must see the images under the same paths, or they have URLs."""
    cpus_per_worker: float = 1.0
    """Cores of each worker of the cluster, and images that it decodes at a time."""
    gpus_per_worker: float | None = None
    """GPUs of each worker, or a fraction such as 0.25; 1 when not given, where the cluster has any."""

    def chosen(self, device: str) -> Cluster | None:
        """Return the cluster, if there is one; on the device `cpu` a worker takes no GPU; see above."""
        return chosen(self.cluster, self.cpus_per_worker, self.gpus_per_worker, device)


def chosen(address: str | None, cpus: float, gpus: float | None, device: str) -> Cluster | None:
    """Return the cluster that flags describe."""
    if address is None:
        if (cpus, gpus) != (1.0, None):
            raise UsageError("how many CPUs and GPUs each takes is for a cluster; add --cluster ADDRESS")
        return None
    check_address(address)
    return Cluster(address, cpus, 0.0 if gpus is None and device == "cpu" else gpus)
