"""Who calls whom: what an entity reaches along calls, and how much of what is wrong lies behind it. Cycles are one place."""

from collections.abc import Iterable, Mapping, Sequence


class CallGraph:
    """Edges caller → callee; calls of itself are left out, entities without edges are in it by name only.

    >>> graph = CallGraph(["web", "db", "job"], [("web", "db")])
    >>> graph.depths("web"), graph.behind({"web": 1.0, "db": 2.0, "job": 4.0})["db"]
    ({'web': 0, 'db': 1}, 3.0)
    """

    def __init__(self, entities: Iterable[str], edges: Iterable[tuple[str, str]]) -> None:
        self.callees: dict[str, list[str]] = {entity: [] for entity in entities}
        for caller, callee in dict.fromkeys(edges):
            if caller != callee:
                self.callees.setdefault(caller, []).append(callee)
                self.callees.setdefault(callee, [])

    def depths(self, entity: str) -> dict[str, int]:
        """What an entity reaches, itself included, and over how many calls at least."""
        found = {entity: 0}
        queue = [entity]
        for one in queue:
            for callee in self.callees.get(one, ()):
                if callee not in found:
                    found[callee] = found[one] + 1
                    queue.append(callee)
        return found

    def places(self) -> dict[str, int]:
        """The strongly connected component of every entity, numbered so that callees have lower numbers than their callers (Tarjan 1972, without recursion)."""
        order: dict[str, int] = {}
        lowest: dict[str, int] = {}
        found: dict[str, int] = {}
        stack: list[str] = []
        components = 0
        for start in self.callees:
            if start in order:
                continue
            order[start] = lowest[start] = len(order)
            stack.append(start)
            path = [(start, iter(self.callees[start]))]
            while path:
                one, callees = path[-1]
                for callee in callees:
                    if callee not in order:
                        order[callee] = lowest[callee] = len(order)
                        stack.append(callee)
                        path.append((callee, iter(self.callees[callee])))
                        break
                    if callee not in found:
                        lowest[one] = min(lowest[one], order[callee])
                else:
                    path.pop()
                    if path:
                        lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[one])
                    if lowest[one] == order[one]:
                        while (member := stack.pop()) != one:
                            found[member] = components
                        found[one] = components
                        components += 1
        return found

    def behind(self, strength: Mapping[str, float]) -> dict[str, float]:
        """Per entity the strength of itself and of all that call it, directly or through others; each counts once."""
        places = self.places()
        strong = [entity for entity in self.callees if strength.get(entity, 0.0) > 0.0]
        held = [0] * (max(places.values(), default=-1) + 1)
        for bit, entity in enumerate(strong):
            held[places[entity]] |= 1 << bit
        for caller in sorted(self.callees, key=lambda entity: -places[entity]):
            for callee in self.callees[caller]:
                held[places[callee]] |= held[places[caller]]
        return {entity: _total(held[places[entity]], strong, strength) for entity in self.callees}


def _total(bits: int, strong: Sequence[str], strength: Mapping[str, float]) -> float:
    total = 0.0
    while bits:
        lowest = bits & -bits
        total += strength[strong[lowest.bit_length() - 1]]
        bits ^= lowest
    return total


__all__ = ["CallGraph"]
