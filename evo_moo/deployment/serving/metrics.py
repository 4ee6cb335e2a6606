"""What a service counts, in the format of Prometheus."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import disable_created_metrics as without_creation_times

BUCKETS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The counters of one service.

    Attributes:
        requests: Requests by model and status; without a model those that none has answered.
        latency: Seconds from the whole request to its answer, by model.
        in_time: Answers by whether they kept their deadline.
        decisions: Why a member answered, by model.
        moves: How often the member of the moment has changed.
        waiting: Requests that wait.
        rate: Usual requests per second.
        current: 1 for the member of the moment, by model.
        log_lost: Rows that the log could not take.
    """

    def __init__(self) -> None:
        without_creation_times()
        self._registry = CollectorRegistry()
        of, name = {"registry": self._registry}, "evo_moo_"
        self.requests = Counter(f"{name}requests", "Requests by model and status.", ["model", "status"], **of)
        self.latency = Histogram(
            f"{name}latency_seconds",
            "From the whole request to its answer.",
            ["model"],
            buckets=[each / 1e3 for each in BUCKETS_MS],
            **of,
        )
        self.in_time = Counter(f"{name}deadlines", "Answers by whether they kept their deadline.", ["kept"], **of)
        self.decisions = Counter(f"{name}decisions", "Why a member answered.", ["model", "why"], **of)
        self.moves = Gauge(f"{name}switch_moves", "How often the member of the moment has changed.", **of)
        self.waiting = Gauge(f"{name}waiting_requests", "Requests that wait.", **of)
        self.rate = Gauge(f"{name}rate_per_second", "Usual requests per second.", **of)
        self.current = Gauge(f"{name}current_model", "1 for the member of the moment.", ["model"], **of)
        self.log_lost = Gauge(f"{name}log_lost_rows", "Rows that the log could not take.", **of)

    def text(self) -> bytes:
        """Return all of them as Prometheus reads it."""
        return bytes(generate_latest(self._registry))
