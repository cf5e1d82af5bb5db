"""What the server counts, in the format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client import generate_latest as text_of

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter("effnet_requests", "Requests", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "effnet_request_seconds", "Time of a request", ["path"], buckets=SECONDS, registry=registry
        )
        self.images = Counter(
            "effnet_images", "Images, by status of their answer", ["status"], registry=registry
        )
        self.stages = Histogram(
            "effnet_stage_seconds", "Time that images spend in a stage", ["stage"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.batches = Histogram("effnet_batch_images", "Images in a batch", buckets=SIZES, registry=registry)
        self.in_hand = Gauge("effnet_images_in_hand", "Images taken and not yet answered", registry=registry)
        self.held = Gauge("effnet_body_bytes_held", "Bytes of bodies in memory", registry=registry)
        self.swaps = Counter(
            "effnet_model_changes",
            "Changed model files, by what became of them",
            ["outcome"],
            registry=registry,
        )
        self.model = Info("effnet_model", "The model that answers", registry=registry)
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return text_of(self.registry)
