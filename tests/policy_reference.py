"""A router once more, written from docs/policy.md on plain floats: slow, short, and independent of the one that is used."""

import hashlib
import math
import zlib
from typing import Any

TARGETS = ("quality", "log_cost", "log_latency", "success")


def vector(request: dict[str, Any]) -> list[float]:
    """The 68 numbers of a request: `input_tokens`, `max_output_tokens`, `category`, `sketch`, `attributes`, all optional."""
    sketch = request.get("sketch") or {}
    features = sketch.get("features", [])
    x = [0.0] * 68
    if len(features) == 59:
        x[:20] = [feature * 0.4 / 127 for feature in features[:20]]
        x[20:48] = [feature * 0.58 / 127 for feature in features[20:48]]
        x[48:59] = [feature * 0.6 / 127 for feature in features[48:]]
    x[59] = math.log(1 + input_tokens(request)) / 8
    x[60] = math.log(1 + (request.get("max_output_tokens") or 0)) / 8
    category = request.get("category") or sketch.get("category")
    if category is not None:
        bits = zlib.crc32(category.encode())
        x[61] = 0.3 if bits & 1 else -0.3
        x[62] = 0.3 if bits & 2 else -0.3
    x[63:67] = attributes(request.get("attributes") or {})
    x[67] = 1.0
    return x


def input_tokens(request: dict[str, Any]) -> int:
    """Those that were counted, else those of the sketch."""
    counted = request.get("input_tokens")
    return int((request.get("sketch") or {}).get("tokens", 0) if counted is None else counted)


def attributes(given: dict[str, Any]) -> list[float]:
    """Four places for all attributes."""
    sums = [0.0] * 4
    for name in sorted(given):
        value = given[name]
        if isinstance(value, int | float) and not isinstance(value, bool):
            bits, size = zlib.crc32(name.encode()), math.copysign(min(math.log(1 + abs(value)) / 4, 4), value)
        else:
            bits, size = zlib.crc32(f"{name}={value}".encode()), 1.0
        sums[bits % 4] += 0.3 * size if bits & 4 else -0.3 * size
    return [min(max(round(64 * total), -128), 127) / 64 for total in sums]


def inner(left: list[float], right: list[float]) -> float:
    """The inner product."""
    return sum(one * other for one, other in zip(left, right, strict=True))


def expected(policy: dict[str, Any], request: dict[str, Any]) -> list[dict[str, float]]:
    """Per track what is expected of it, its cost, spread and utility."""
    x, worth = vector(request), policy["worth"]
    squares = [entry * entry for entry in x]
    found = []
    for arm in policy["arms"]:
        row = {target: arm["offsets"][target] + inner(arm["weights"][target], x) for target in TARGETS}
        if (load := arm.get("load")) is not None:
            row["log_latency"] = loaded(load, request, (request.get("running") or {}).get(arm["track"], load["running"]), worth["max_latency_ms"])
        row["cost"] = arm["price_usd"] * math.exp(min(max(row["log_cost"], -6), 6))
        row["spread"] = math.sqrt(max(inner(arm["variance"], squares), 0.0) + arm["level_variance"])
        utility = worth["quality"] * row["quality"] - worth["latency"] * row["log_latency"] + worth["success"] * row["success"]
        utility += 0.5 * row["spread"] - arm["penalty"] - worth["shadow_price"] * row["cost"]
        if worth["cost"]:
            utility -= worth["cost"] * math.log(1 + row["cost"] / worth["max_cost_usd"])
        if request.get("previous") not in (None, arm["track"]):
            utility -= worth["switching"]
        for objective in worth.get("objectives", []):
            utility -= objective["price"] * breach(objective, row, arm["noise"])
        row["utility"] = round(utility, 9)
        found.append(row)
    return found


def breach(objective: dict[str, Any], row: dict[str, float], noise: dict[str, float]) -> float:
    """The probability that a request breaks an objective."""
    target = objective["target"]
    if target == "success":
        return min(max(1 - row["success"], 0), 1)
    mean = math.log(max(row["cost"], 1e-12)) if target == "log_cost" else row[target]
    z = (objective["bound"] - mean if objective["is_floor"] else mean - objective["bound"]) / noise[target]
    return 1 / (1 + math.exp(-1.702 * z)) if z > -60 / 1.702 else 0.0


def loaded(load: dict[str, Any], request: dict[str, Any], running: int, max_ms: float) -> float:
    """ln(latency / max) of a track that slows down under load."""
    length = math.log(1 + input_tokens(request))
    tokens = load["tokens"][sum(edge <= length for edge in load["edges"])]
    n = running + 1
    seconds = load["constant_s"] + load.get("per_running_s", 0) * n + tokens * (load["per_token_s"] + load["per_token_running_s"] * n)
    return math.log(max(1000 * seconds, 1) / max_ms) + (3 if running >= load["limit"] else 0)


def probabilities(policy: dict[str, Any], rows: list[dict[str, float]]) -> list[float]:
    """Per track the probability with which it is drawn."""
    arms = policy["arms"]
    if policy["mode"] == "bypass":
        return [float(arm["track"] == policy["default_track"]) for arm in arms]
    places = [place for place, arm in enumerate(arms) if arm["admitted"] > 0] or list(range(len(arms)))
    if (hard := policy.get("hard_ceiling_usd")) is not None:
        places = [place for place in places if rows[place]["cost"] <= hard] or [min(places, key=lambda place: rows[place]["cost"])]
    worth = {place: rows[place]["utility"] for place in places}
    if (soft := policy.get("ceiling_usd")) is not None:
        payable = [place for place in places if rows[place]["cost"] <= soft]
        if payable:
            lowest = max(worth[place] for place in payable) - 1
            worth.update({place: min(worth[place], lowest) for place in places if place not in payable})
    best = max(places, key=lambda place: worth[place])
    shares = {}
    for place in places:
        if place != best:
            gap = worth[best] - worth[place]
            width = 0.1 * math.sqrt(rows[place]["spread"] ** 2 + rows[best]["spread"] ** 2)
            chance = 1 / (1 + math.exp(min(1.702 * gap / width, 60))) if width > 0 else 0.0
            shares[place] = max(chance, 5e-5 / (gap + 5e-5 / 0.02), arms[place]["probe"])
    explored = sum(shares.values())
    shrink = 0.9 / explored if explored > 0.9 else 1.0
    found, rest = [0.0] * len(arms), 1.0
    for place, share in shares.items():
        found[place] = float(f"{share * shrink:.6g}")
        rest -= found[place]
    found[best] = round(rest, 9)
    return admitted(arms, found, worth)


def admitted(arms: list[dict[str, Any]], shares: list[float], worth: dict[int, float]) -> list[float]:
    """Tracks that recover take a part of their share only."""
    partial = [place for place, arm in enumerate(arms) if 0 < arm["admitted"] < 1]
    heirs = [place for place, share in enumerate(shares) if place not in partial and share > 0]
    if not partial or not heirs:
        return shares
    heir = max(heirs, key=lambda place: worth[place])
    for place in partial:
        given = float(f"{shares[place] * arms[place]['admitted']:.6g}")
        shares[heir] = round(shares[heir] + shares[place] - given, 9)
        shares[place] = given
    return shares


def decide(policy: dict[str, Any], request: dict[str, Any], request_id: str) -> tuple[str, float]:
    """The track of a request, and the probability with which it was drawn."""
    names = [arm["track"] for arm in policy["arms"]]
    shares = probabilities(policy, expected(policy, request))
    digest = hashlib.blake2b(f"{policy['scope']}\0{request_id}\0{policy['version']}".encode(), digest_size=8).digest()
    draw, reached = int.from_bytes(digest, "big") / 2**64, 0.0
    for name, share in zip(names, shares, strict=True):
        reached += share
        if draw < reached:
            return name, share
    return max(zip(names, shares, strict=True), key=lambda pair: pair[1])
