"""The scaling advice that stands: the newest of each track, for as long as whoever gave it is heard of."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from pointsman.schemas import Event, ScalingRecommended

MOST_TRACKS = 10_000
STALE_S = 900.0
SHOWN = 20


class NoAdvice(Exception):
    """No number can be given: nothing was read yet (`reading`), there is none for this track (`unknown`), or what there is has aged (`stale`)."""

    def __init__(self, why: Literal["reading", "unknown", "stale"], message: str) -> None:
        super().__init__(message)
        self.why = why


class Standing:
    """What is advised for each track: fed with output events, the newest counts, by its time.

    Advice is repeated only when it changes, so its age alone says nothing. It stands until `stale_s` seconds after the later of its `effective_at`
    and the last event of its scope of any kind: forecasts and scores come as long as the core runs. Without a clock the time is that of the
    newest event: a recording is as fresh as its end.
    """

    def __init__(self, stale_s: float = STALE_S, clock: Callable[[], float] | None = time.time, most_tracks: int = MOST_TRACKS) -> None:
        self._stale_s = stale_s
        self._clock = clock
        self._most_tracks = most_tracks
        self._advice: OrderedDict[tuple[str, str], ScalingRecommended] = OrderedDict()
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._newest = 0.0
        self._is_ready = False
        self.evicted = 0
        self.changed = asyncio.Event()

    def add(self, event: Event) -> None:
        """Take in one output event; the oldest tracks and scopes go where there are too many."""
        self._newest = max(self._newest, event.occurred_at)
        self._heard[event.scope] = max(self._heard.get(event.scope, 0.0), event.occurred_at)
        self._heard.move_to_end(event.scope)
        if len(self._heard) > self._most_tracks:
            self._heard.popitem(last=False)
        if isinstance(event, ScalingRecommended):
            self._take(event)

    def _take(self, event: ScalingRecommended) -> None:
        key = (event.scope, event.track)
        known = self._advice.get(key)
        if known is not None and known.occurred_at > event.occurred_at:
            return
        self._advice[key] = event
        self._advice.move_to_end(key)
        if len(self._advice) > self._most_tracks:
            self._advice.popitem(last=False)
            self.evicted += 1
        if known is None or known.desired != event.desired:
            self.announce()

    def announce(self) -> None:
        """Wake whoever waits on `changed`; the next one waits on a new event."""
        self.changed.set()
        self.changed = asyncio.Event()

    def ready(self) -> None:
        """Everything that stood there at the start has been read."""
        self._is_ready = True
        self.announce()

    def known(self) -> list[str]:
        """The tracks for which there is advice, as `scope/track`."""
        return sorted(f"{scope}/{track}" for scope, track in self._advice)

    def seconds_left(self, scope: str, track: str) -> float:
        """How long the advice for a track stands if nothing more is heard; negative where it has aged."""
        advice = self._advice[scope, track]
        now = self._clock() if self._clock is not None else self._newest
        return max(advice.effective_at, advice.occurred_at, self._heard.get(scope, 0.0)) + self._stale_s - now

    def get(self, scope: str, track: str) -> ScalingRecommended:
        """The advice that stands for a track; raises `NoAdvice`."""
        if not self._is_ready:
            raise NoAdvice("reading", "what stands is still being read: ask again in a moment")
        advice = self._advice.get((scope, track))
        if advice is None:
            raise NoAdvice("unknown", f"no scaling advice for scope {scope!r}, track {track!r}; {self.listed()}")
        left = self.seconds_left(scope, track)
        if left < 0.0:
            told = f"scope {scope!r}, track {track!r}: the advice stopped standing {-left:.0f} s ago, and nothing newer of the scope has come"
            raise NoAdvice("stale", f"{told}: is the optimizer running?")
        return advice

    def listed(self) -> str:
        """The known tracks as text, the first few of them."""
        known = self.known()
        if not known:
            return "none is known: does the configuration have [[scaling]]?"
        return f"known: {', '.join(known[:SHOWN])}{f' and {len(known) - SHOWN} more' if len(known) > SHOWN else ''}"


__all__ = ["NoAdvice", "Standing"]
