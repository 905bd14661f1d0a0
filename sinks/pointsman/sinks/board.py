"""The board: what an operator looks at, per scope, folded from outputs and resource samples, so that it is the same from a database, a recording or Kafka."""

import threading
from collections import OrderedDict
from typing import Any

from pointsman.schemas import OUTPUTS, Event, EventRejected, ResourceSampled

from .board_scope import ScopeBoard
from .board_view import series, view

MOST_SCOPES = 64
MOST_REFUSED = 1024
_HEARD: frozenset[type[Event]] = frozenset((ResourceSampled, *(kind for kind in OUTPUTS.values() if kind is not EventRejected)))


class Board:
    """Hears output events and `resource.sampled/1`, of any scope and in any order; all else is passed over. Threads may share it.

    The 64 scopes that were heard of last are kept; `evicted` counts those that had to go, and what went within a scope is counted in its view.
    """

    def __init__(self, most_scopes: int = MOST_SCOPES) -> None:
        self._most_scopes = most_scopes
        self._lock = threading.Lock()
        self._scopes: OrderedDict[str, ScopeBoard] = OrderedDict()
        self._refused: OrderedDict[str, int] = OrderedDict()
        self.evicted = 0

    def hear(self, event: Event) -> None:
        """Take in one event."""
        kind = type(event)  # by class and not `isinstance`, which takes longer than the rest for pydantic's
        with self._lock:
            if kind in _HEARD:
                self._scope(event.scope).hear(event)
            elif kind is EventRejected:
                self._refuse(event.scope)

    def scopes(self) -> list[str]:
        """The scopes kept, the one heard of last first."""
        with self._lock:
            return list(reversed(self._scopes))

    def __contains__(self, scope: str) -> bool:
        with self._lock:
            return scope in self._scopes

    def view(self, scope: str) -> dict[str, Any]:
        """The numbers of now, as plain values; raises `LookupError` where nothing was heard of the scope."""
        with self._lock:
            return view(self._known(scope), self._refused.get(scope, 0))

    def series(self, scope: str) -> dict[str, Any]:
        """The rings for charts, as plain values; raises `LookupError` where nothing was heard of the scope."""
        with self._lock:
            return series(self._known(scope))

    def _known(self, scope: str) -> ScopeBoard:
        try:
            return self._scopes[scope]
        except KeyError:
            raise LookupError(f"nothing has been heard of scope {scope!r} yet") from None

    def _scope(self, name: str) -> ScopeBoard:
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = ScopeBoard(name)
            if len(self._scopes) > self._most_scopes:
                self._scopes.popitem(last=False)
                self.evicted += 1
        else:
            self._scopes.move_to_end(name)
        return found

    def _refuse(self, scope: str) -> None:
        self._refused[scope] = self._refused.get(scope, 0) + 1
        self._refused.move_to_end(scope)
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)


__all__ = ["Board"]
