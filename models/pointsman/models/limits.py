"""The limits of a scope: per track what is configured, what Gradient2 has found, and what was allocated to this scope of a capacity that it shares."""

from collections.abc import Mapping
from typing import Any

from pointsman.schemas import OptimizationConfig, RequestCompleted, Track

from .concurrency import Gradient2, Gradient2Settings, is_overload
from .join import Attempt
from .load import Load

MOST_ALLOCATED = 64


class Limits:
    """Gradient2 per track, and the allocations in force; `get` is the least of all that is known.

    >>> limits = Limits(OptimizationConfig(tracks=(Track(name="local", max_concurrency=8),)))
    >>> limits.get("local")
    8
    >>> limits.allocate("local", 3)
    True
    >>> limits.get("local")
    3
    """

    def __init__(self, config: OptimizationConfig) -> None:
        self._config = config
        self._tracks: dict[str, tuple[Track, Gradient2]] = {}
        self.allocated: dict[str, int] = {}
        for track in config.tracks:
            self.add(track)

    def add(self, track: Track) -> None:
        """A track appears, or starts again with other settings."""
        self._tracks[track.name] = (track, Gradient2(Gradient2Settings.of(track, self._config.constraints)))

    def configure(self, config: OptimizationConfig) -> None:
        """From here on this configuration holds; tracks whose settings changed start again, those that are gone are forgotten."""
        bounds_changed = config.constraints.max_concurrent != self._config.constraints.max_concurrent
        self._config = config
        if not config.tracks:
            return
        before, self._tracks = self._tracks, {}
        for track in config.tracks:
            if track.name in before and before[track.name][0] == track and not bounds_changed:
                self._tracks[track.name] = before[track.name]
            else:
                self.add(track)
        self.allocated = {track: share for track, share in self.allocated.items() if track in self._tracks}

    def allocate(self, track: str, concurrency: int | None) -> bool:
        """From here on the scope has this share of a track, None where it shares no longer; whether that is news."""
        before = self.allocated.pop(track, None)
        if concurrency is not None and len(self.allocated) < MOST_ALLOCATED:
            self.allocated[track] = concurrency
        return before != concurrency

    def observe(self, event: RequestCompleted, attempt: Attempt, now: float, in_flight: int, load: Load | None) -> None:
        """One outcome; call before it leaves `in_flight`. A track with a `load` knows how many ran beside it, and what such an answer takes alone."""
        if event.track not in self._tracks or event.cache_hit:
            return
        gradient2 = self._tracks[event.track][1]
        if event.success and event.latency_ms is not None:
            tokens, beside, alone_s = float(event.output_tokens or 0), float(in_flight), None
            if load is not None:
                beside, alone_s = load.beside(now, attempt.started_at, attempt.area), load.alone(tokens)
            gradient2.observe(event.latency_ms, beside, tokens=tokens, alone=None if not tokens or alone_s is None else 1000.0 * alone_s)
        elif is_overload(event):
            gradient2.drop(attempt.started_at, now)

    def adaptive(self, track: str) -> int | None:
        """What Gradient2 has found; None before there is evidence."""
        found = self._tracks.get(track)
        return found[1].limit if found is not None else None

    def get(self, track: str) -> int | None:
        """The limit to advise: the least of what is configured, found and allocated; None where there is none of them."""
        found = self._tracks.get(track)
        known = (found[0].max_concurrency if found is not None else None, self.adaptive(track), self.allocated.get(track))
        return min((limit for limit in known if limit is not None), default=None)

    def hard(self) -> dict[str, int]:
        """What the user has set or was allocated to this scope, by track: beyond it a track is all but closed, beyond `get` it only loses some of its worth."""
        configured = {name: track.max_concurrency for name, (track, _) in self._tracks.items() if track.max_concurrency is not None}
        shared = {name: min(share, configured.get(name, share)) for name, share in self.allocated.items()}
        return configured | shared

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        return {"tracks": {name: gradient2.snapshot() for name, (_, gradient2) in self._tracks.items()}, "allocated": dict(self.allocated)}

    @classmethod
    def restore(cls, state: Mapping[str, Any], config: OptimizationConfig) -> "Limits":
        """The limits that left this snapshot."""
        limits = cls(config)
        known = {track.name: track for track in config.tracks}
        for name, kept in state["tracks"].items():
            track = known.get(name) or Track(name=name)
            limits._tracks[name] = (track, Gradient2.restore(kept, Gradient2Settings.of(track, config.constraints)))
        limits.allocated = dict(state["allocated"])
        return limits
