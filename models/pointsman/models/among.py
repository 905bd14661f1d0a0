"""Drawing among some of a policy's tracks: those that can serve this request, less those that have failed it already."""

from collections.abc import Mapping, Sequence

from .context import Context
from .decision import Decision, Evaluator, uniform


def decide_among(evaluator: Evaluator, context: Context, scope: str, request_id: str, candidates: Sequence[str]) -> Decision:
    """Draw one of the candidates, in proportion to what the policy gives them; one that the policy does not know yet gets an equal share.

    Raises `LookupError` where there is no candidate.
    """
    names = tuple(dict.fromkeys(candidates))
    if not names:
        raise LookupError("there is no track to draw from: give at least one candidate")
    shares, utilities = evaluator.propensities(context)
    found = narrowed(shares, utilities, names)
    draw, reached, track = uniform(scope, request_id, evaluator.policy.version), 0.0, max(found, key=found.__getitem__)
    for name, share in found.items():
        reached += share
        if draw < reached:
            track = name
            break
    return Decision(track, found[track], found, utilities, evaluator.policy.version)


def narrowed(shares: Mapping[str, float], utilities: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """The probabilities among these tracks alone; where the policy closes all that it knows of them, the best of those has their share.

    >>> narrowed({"a": 0.6, "b": 0.2, "c": 0.2}, {"a": 1.0, "b": 0.5, "c": 0.4}, ["b", "c"])
    {'b': 0.5, 'c': 0.5}
    >>> narrowed({"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 0.5}, ["b", "new"])
    {'b': 0.5, 'new': 0.5}
    """
    known = [name for name in names if name in shares]
    total = sum(shares[name] for name in known)
    best = max(known, key=utilities.__getitem__, default=None)
    standing = len(known) / len(names)
    found = {}
    for name in names:
        if name not in shares:
            found[name] = 1.0 / len(names)
        else:
            found[name] = standing * (shares[name] / total if total > 0.0 else float(name == best))
    return found


__all__ = ["decide_among", "narrowed"]
