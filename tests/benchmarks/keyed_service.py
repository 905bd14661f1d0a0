"""A made-up service whose requests carry attributes: many models, sizes and steps, speeds that drift, cold starts, queues, failures and a heavy tail."""

import heapq
import math
import random
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pointsman.models.situation import Situation


@dataclass(frozen=True, slots=True)
class Service:
    """What is drawn: `load` is the mean share of the workers that is busy, times are in seconds."""

    seed: int = 0
    requests: int = 12_000
    models: int = 80
    workers: int = 32
    loaded: int = 60
    load: float = 0.28
    noise: float = 0.12
    failures: float = 0.03
    cancellations: float = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """One request: `oracle_s` is its latency with the true parameters, load state and wait, without noise; a `latency_s` of None: failed or cancelled."""

    number: int
    situation: Situation
    ended: float
    latency_s: float | None
    oracle_s: float


@dataclass(slots=True)
class _Model:
    name: str
    speed: float
    overhead: float
    size_power: float
    batch_power: float
    steps: list[int]
    sizes: list[int]
    adapters: int
    load_s: float
    types: list[str]
    drift: float = 0.0


SIZES = (512, 640, 768, 1024, 1536)
STEPS = (4, 8, 20, 25, 28, 30, 40, 50)
TYPES = ("create", "edit", "upscale")
FACTORS = {"create": 1.0, "edit": 0.8, "upscale": 0.45}


def simulate(service: Service) -> list[Served]:
    """The requests in order of arrival."""
    dice = random.Random(service.seed)
    models = [_model(dice, number) for number in range(service.models)]
    popularity = [1.0 / (rank + 1) ** 1.1 for rank in range(service.models)]
    free, running, memory = [0.0] * service.workers, list[float](), OrderedDict[str, float]()
    served, now, house, busy, until = list[Served](), 0.0, 0.0, False, 0.0
    typical = _typical(dice, models, popularity)
    for number in range(service.requests):
        if now >= until:
            busy = not busy
            until = now + dice.expovariate(1.0) * typical * (12.0 if busy else 40.0)
        now += dice.expovariate(service.workers * service.load / typical * (2.2 if busy else 0.64))
        house = 0.999 * house + dice.gauss(0.0, 0.006)
        model = dice.choices(models, popularity)[0]
        model.drift = 0.995 * model.drift + dice.gauss(0.0, 0.02)
        if dice.random() < 0.002:
            model.drift += dice.choice((-0.5, 0.5))
        asked = _request(dice, model)
        began = max(now, heapq.heappop(free))
        cold = model.name not in memory or began - memory[model.name] > 150.0 * typical
        expected = _service_s(model, asked) * math.exp(house) + (model.load_s if cold else 0.0)
        seconds = expected * _noise(dice, service.noise)
        fate = dice.random()
        seconds *= dice.random() if fate < service.failures + service.cancellations else 1.0
        heapq.heappush(free, began + seconds)
        memory[model.name] = began + seconds
        memory.move_to_end(model.name)
        if len(memory) > service.loaded:
            memory.popitem(last=False)
        while running and running[0] <= now:
            heapq.heappop(running)
        tokens = asked.pop("tokens")
        situation = Situation(now=now, input_tokens=int(tokens), category=str(asked.pop("type")), attributes=asked, in_flight=len(running))
        ended = began + seconds
        heapq.heappush(running, ended)
        done = fate >= service.failures + service.cancellations
        served.append(Served(number, situation, ended, ended - now if done else None, began - now + expected))
    return served


def events(served: Iterable[Served]) -> list[tuple[float, bool, Served]]:
    """Starts (False) and ends (True) in order of time."""
    both = [(one.situation.now, False, one) for one in served] + [(one.ended, True, one) for one in served]
    return sorted(both, key=lambda event: (event[0], event[1], event[2].number))


def renamed(served: list[Served], seed: int) -> list[Served]:
    """The same requests where every text says something else and attributes come in another order, and under other names."""
    dice, said = random.Random(seed), dict[str, str]()

    def other(text: str) -> str:
        return said.setdefault(text, f"{dice.getrandbits(40):x}")

    def moved(one: Situation) -> Situation:
        pairs = list(one.attributes.items())[::-1]
        attributes = {other(name): other(value) if isinstance(value, str) else value for name, value in pairs}
        return replace(one, category=other(one.category or ""), attributes=attributes)

    return [replace(one, situation=moved(one.situation)) for one in served]


def stretched(served: list[Served], factor: float, shift: float) -> list[Served]:
    """The same where all takes `factor` times as long, and began `shift` seconds later."""
    return [
        replace(
            one,
            situation=replace(one.situation, now=one.situation.now * factor + shift),
            ended=one.ended * factor + shift,
            latency_s=None if one.latency_s is None else one.latency_s * factor,
            oracle_s=one.oracle_s * factor,
        )
        for one in served
    ]


def fewer(served: list[Served], kept: tuple[str, ...]) -> list[Served]:
    """The same with these attributes only, and no prompt lengths."""
    return [
        replace(
            one,
            situation=replace(one.situation, input_tokens=None, attributes={name: value for name, value in one.situation.attributes.items() if name in kept}),
        )
        for one in served
    ]


def _model(dice: random.Random, number: int) -> _Model:
    speed = 0.12 * math.exp(dice.gauss(0.0, 0.7))
    return _Model(
        name=f"model-{number}",
        speed=speed,
        overhead=dice.uniform(0.3, 2.0),
        size_power=dice.uniform(1.2, 2.4),
        batch_power=dice.uniform(0.6, 1.0),
        steps=dice.sample(STEPS, 2),
        sizes=dice.sample(SIZES, 2),
        adapters=dice.choice((0, 0, 1, 2, 3)),
        load_s=dice.uniform(2.0, 15.0),
        types=dice.sample(TYPES, dice.choice((1, 1, 2, 3))),
    )


def _request(dice: random.Random, model: _Model) -> dict[str, str | int]:
    """What is asked, in attributes; one in twenty has a size and steps of its own."""
    usual = dice.random() < 0.95
    return {
        "model": model.name,
        "size": dice.choices(model.sizes, (5, 1))[0] if usual else 64 * dice.randrange(6, 30),
        "steps": dice.choices(model.steps, (5, 1))[0] if usual else dice.randrange(4, 60),
        "images": dice.choices((1, 2, 4), (8, 1, 2))[0],
        "adapters": model.adapters if dice.random() < 0.9 else dice.randrange(4),
        "tier": dice.choice(("free", "paid")),
        "tokens": max(1, int(dice.lognormvariate(4.0, 0.9))),
        "type": dice.choice(model.types),
    }


def _service_s(model: _Model, asked: dict[str, str | int]) -> float:
    work: float = int(asked["steps"]) * (int(asked["size"]) / 1024.0) ** model.size_power * int(asked["images"]) ** model.batch_power
    extra: float = 1.0 + 0.12 * int(asked["adapters"]) + 0.0002 * int(asked["tokens"])
    return model.overhead + model.speed * math.exp(model.drift) * work * FACTORS[str(asked["type"])] * extra


def _noise(dice: random.Random, spread: float) -> float:
    """Median 1, lognormal, and one in thirty far out (Pareto)."""
    tail = dice.paretovariate(2.2) if dice.random() < 0.033 else 1.0
    return math.exp(dice.gauss(0.0, spread)) * tail


def _typical(dice: random.Random, models: list[_Model], popularity: list[float]) -> float:
    """Mean seconds of service, cold starts aside."""
    drawn = dice.choices(models, popularity, k=2000)
    return sum(_service_s(model, _request(dice, model)) for model in drawn) / len(drawn)
