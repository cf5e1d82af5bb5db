"""What all requests share."""

from dataclasses import dataclass, field

from starlette.requests import Request

from effnet.inference.server.bodies import Held
from effnet.inference.server.live import LiveModel, Served
from effnet.inference.server.metrics import Metrics
from effnet.inference.server.service import Service
from effnet.inference.server.settings import ServeSettings


@dataclass
class Site:
    """One server: its model, its settings, and what it is doing."""

    live: LiveModel
    settings: ServeSettings
    token: str | None = None
    """What requests must bear; None where anybody may ask."""
    metrics: Metrics = field(default_factory=Metrics)
    is_draining: bool = False
    """Whether it was told to stop, and says that it takes no more."""

    def __post_init__(self) -> None:
        """Make the parts that depend on the others."""
        self.service = Service(self.live, self.settings, self.metrics)
        self.held = Held(self.settings.held_bytes)
        self.metrics.in_hand.set_function(lambda: self.service.num_in_hand)
        self.metrics.held.set_function(lambda: self.held.bytes)
        self.describe()

    def describe(self) -> None:
        """Tell the metrics which model answers."""
        served = self.live.current
        network = served.classifier.header.spec.name.encode(errors="replace").decode()
        self.metrics.model.info({"network": network, "version": served.version, "loaded": served.loaded})


def site_of(request: Request) -> Site:
    """Return the site that a request came to."""
    site: Site = request.state.site
    return site


def name_of(served: Served) -> dict[str, str]:
    """Say which model it is."""
    return {"network": served.classifier.header.spec.name, "version": served.version}
