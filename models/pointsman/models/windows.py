"""Event-time windows of one track: what happened in each, closed once nothing more is expected to arrive."""

from typing import Any

from pointsman.schemas import RequestCompleted

from .quantiles import QuantileSketch

MOST_OPEN = 64


class Window:
    """The sums and the latency sketch of one window."""

    __slots__ = ("cost", "count", "input_tokens", "late", "latency", "latency_sum", "output_tokens", "quality", "rated", "successes")

    def __init__(self) -> None:
        self.count = self.successes = self.input_tokens = self.output_tokens = self.rated = self.late = 0
        self.cost = self.quality = self.latency_sum = 0.0
        self.latency = QuantileSketch()

    def add(self, event: RequestCompleted) -> None:
        """Count one completion; only successes have a latency that means anything."""
        self.count += 1
        self.input_tokens += event.input_tokens or 0
        self.output_tokens += event.output_tokens or 0
        self.cost += event.cost_usd or 0.0
        if event.success and event.latency_ms is not None:
            self.successes += 1
            self.latency.update(event.latency_ms)
            self.latency_sum += event.latency_ms
        if event.quality_score is not None:
            self.rated += 1
            self.quality += event.quality_score

    def fields(self, size: float) -> dict[str, Any]:
        """The fields of `window.closed/1`."""
        fields: dict[str, Any] = {
            "count": self.count,
            "rate_per_s": round(self.count / size, 6),
            "success_share": round(self.successes / self.count, 6) if self.count else 1.0,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost, 9),
            "late": self.late,
        }
        if self.latency.count:
            fields["latency_mean_ms"] = round(self.latency_sum / self.latency.count, 3)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                fields[f"latency_{name}_ms"] = round(self.latency.get(share), 3)
        if self.rated:
            fields["quality_mean"] = round(self.quality / self.rated, 6)
        return fields

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [
            self.count,
            self.successes,
            self.input_tokens,
            self.output_tokens,
            self.rated,
            self.late,
            self.cost,
            self.quality,
            self.latency_sum,
            self.latency.snapshot(),
        ]

    @classmethod
    def restore(cls, state: list[Any]) -> "Window":
        """The window that left this snapshot."""
        window = cls()
        window.count, window.successes, window.input_tokens, window.output_tokens, window.rated, window.late = state[:6]
        window.cost, window.quality, window.latency_sum = state[6:9]
        window.latency = QuantileSketch.restore(state[9])
        return window


class Windows:
    """The open windows of a track, at most 64; what comes for a closed one is counted as late in the oldest open one."""

    __slots__ = ("closed_until", "open", "size")

    def __init__(self, size: float) -> None:
        self.size = size
        self.open: dict[int, Window] = {}
        self.closed_until = 0

    def add(self, event: RequestCompleted, clock: float) -> None:
        """Put a completion into the window of its own time."""
        index = int(event.occurred_at // self.size)
        if index < self.closed_until:
            current = int(clock // self.size)
            self.open.setdefault(max(current, self.closed_until), Window()).late += 1
        else:
            self.open.setdefault(index, Window()).add(event)

    def due(self, lateness: float) -> float | None:
        """When the oldest open window closes."""
        return (min(self.open) + 1) * self.size + lateness if self.open else None

    def close(self, now: float, lateness: float) -> list[tuple[int, Window]]:
        """Take out, oldest first, the windows whose end plus the allowed lateness has passed, or that are too many."""
        closed: list[tuple[int, Window]] = []
        for index in sorted(self.open):
            if (index + 1) * self.size + lateness > now and len(self.open) <= MOST_OPEN:
                break
            closed.append((index, self.open.pop(index)))
            self.closed_until = max(self.closed_until, index + 1)
        return closed

    def snapshot(self) -> list[Any]:
        """The state as plain values."""
        return [self.size, self.closed_until, [[index, self.open[index].snapshot()] for index in sorted(self.open)]]

    @classmethod
    def restore(cls, state: list[Any]) -> "Windows":
        """The windows that left this snapshot."""
        windows = cls(state[0])
        windows.closed_until = state[1]
        windows.open = {index: Window.restore(window) for index, window in state[2]}
        return windows
