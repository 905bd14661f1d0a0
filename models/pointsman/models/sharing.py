"""One capacity, the scopes that share it, and what each was told last: shares change only where somebody has less than is fair."""

from collections import deque

from .allocation import Claim, allocate, share_out

HOLD_S = 300.0
MOST_SCOPES = 256
MOST_NOTED = 64


class Sharing:
    """A need counts at once where it rises, and for five minutes after it was last that high, so that a lull gives nothing away.

    `settle` leaves all shares as they are while they fit and everyone has at least its fair share; otherwise it shares out anew, leftovers by priority.

    >>> sharing = Sharing(8)
    >>> sharing.note("chat", 3, now=0.0)
    >>> sharing.settle(now=0.0)
    {'chat': 8}
    >>> sharing.note("batch", 9, now=60.0)
    >>> sharing.settle(now=60.0)
    {'chat': 3, 'batch': 5}
    >>> sharing.note("chat", 2, now=120.0)
    >>> sharing.settle(now=120.0)
    {}
    """

    __slots__ = ("_noted", "_priority", "capacity", "priorities", "shares")

    def __init__(self, capacity: int, priority: float = 1.0) -> None:
        self.capacity = capacity
        self._priority = priority
        self.priorities: dict[str, float] = {}
        self.shares: dict[str, int] = {}
        self._noted: dict[str, deque[tuple[float, int]]] = {}

    def __contains__(self, scope: str) -> bool:
        return scope in self._noted

    def note(self, scope: str, need: int, now: float) -> None:
        """A scope needs so many requests in flight, at `now` in seconds of event time."""
        noted = self._noted.setdefault(scope, deque(maxlen=MOST_NOTED))
        while noted and noted[-1][1] <= need:
            noted.pop()
        noted.append((now, need))

    def resume(self, scope: str, share: int | None, now: float) -> None:
        """What a scope was told before, to be said before anything is noted; for five minutes it needs what it has."""
        if share is None:
            self._noted.pop(scope, None)
            self.shares.pop(scope, None)
            return
        self.shares[scope] = share
        self._noted[scope] = deque([(now, share)], maxlen=MOST_NOTED)

    def settle(self, now: float) -> dict[str, int | None]:
        """The shares that change, those that shrink first; None for a scope that is forgotten because there are more than 256."""
        forgotten = self._forget()
        claims = [Claim(self._need(scope, now), self.priorities.get(scope, self._priority)) for scope in self._noted]
        fair = dict(zip(self._noted, allocate(self.capacity, claims), strict=True))
        fits = sum(self.shares.values()) <= self.capacity
        if fits and all(self.shares.get(scope, -1) >= share for scope, share in fair.items()):
            return dict.fromkeys(forgotten)
        before, self.shares = self.shares, dict(zip(self._noted, share_out(self.capacity, claims), strict=True))
        changed = sorted((share - before.get(scope, 0), place, scope) for place, (scope, share) in enumerate(self.shares.items()) if before.get(scope) != share)
        return dict.fromkeys(forgotten) | {scope: self.shares[scope] for _, _, scope in changed}

    def _need(self, scope: str, now: float) -> int:
        noted = self._noted[scope]
        while noted and noted[0][0] < now - HOLD_S:
            noted.popleft()
        return noted[0][1] if noted else 0

    def _forget(self) -> list[str]:
        """Forget those that were not heard of for longest."""
        beyond = len(self._noted) - MOST_SCOPES
        oldest = sorted(self._noted, key=lambda scope: self._noted[scope][-1][0] if self._noted[scope] else 0.0)[: max(beyond, 0)]
        for scope in oldest:
            del self._noted[scope]
            self.shares.pop(scope, None)
        return oldest

    def status(self, now: float) -> dict[str, dict[str, int | None]]:
        """Per scope what it needs and what it has."""
        return {scope: {"need": self._need(scope, now), "share": self.shares.get(scope)} for scope in self._noted}
