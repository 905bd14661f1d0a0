"""What serving engines say of themselves, under the names that are common: vLLM, SGLang, TGI, llama.cpp and plain ones."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

MOST_HOSTS = 16
FORGOTTEN_S = 60.0

_NAMES = {
    "running": ("running", "num_running", "requests_running", "num_requests_running", "num_running_reqs", "requests_processing", "batch_current_size"),
    "waiting": (
        "waiting",
        "pending",
        "num_pending",
        "num_waiting",
        "queued",
        "queue_depth",
        "queue_size",
        "num_requests_waiting",
        "num_queue_reqs",
        "requests_deferred",
    ),
    "cache": (
        "kv_cache",
        "kv_cache_usage",
        "kv_cache_percent",
        "kv_cache_usage_perc",
        "kv_cache_usage_ratio",
        "gpu_cache_usage_perc",
        "gpu_kvcache_usage",
        "token_usage",
    ),
    "generation": (
        "generation_throughput",
        "generation_tokens_per_s",
        "avg_generation_throughput_toks_per_s",
        "gen_throughput",
        "predicted_tokens_seconds",
    ),
    "prompt": ("prompt_throughput", "prompt_tokens_per_s", "avg_prompt_throughput_toks_per_s", "prompt_tokens_seconds"),
    "generated": ("generation_tokens_total", "tokens_predicted_total"),
    "prompted": ("prompt_tokens_total",),
}
_FIELD = {name: field for field, names in _NAMES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Gauges:
    """One sample: requests that run and wait, KV-cache use (share or percent), tokens per second generated and prefilled; None = not said."""

    running: float
    waiting: float | None = None
    cache: float = 0.0
    generation: float | None = None
    prompt: float | None = None


def recognised(gauges: Mapping[str, float]) -> dict[str, float]:
    """The numbers known here, under our names; a prefix up to a colon (`vllm:`) and case do not matter.

    >>> recognised({"vllm:num_requests_running": 3.0, "fan_rpm": 900.0})
    {'running': 3.0}
    """
    known = ((_FIELD.get(name.rpartition(":")[2].lower()), value) for name, value in gauges.items())
    return {field: max(value, 0.0) for field, value in known if field is not None}


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    total = 0.0
    for value in known:
        total += value
    return total if known else None


class Hosts:
    """The engines behind one track, seen as one: requests and speeds add up, cache use is the mean. A counter of tokens gives its speed by differences."""

    __slots__ = ("_counters", "_last")

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Gauges]] = {}
        self._counters: dict[str, list[float | None]] = {}

    def sampled(self, host: str, now: float, gauges: Mapping[str, float]) -> Gauges | None:
        """The whole after a host's sample; None where that sample has no number of running requests."""
        known = recognised(gauges)
        if "running" not in known:
            return None
        if host not in self._last and len(self._last) >= MOST_HOSTS:
            self._forget(min(self._last, key=lambda name: self._last[name][0]))
        generation, prompt = self._speeds(host, now, known)
        self._last[host] = now, Gauges(known["running"], known.get("waiting"), known.get("cache", 0.0), generation, prompt)
        for name in [name for name, (moment, _) in self._last.items() if now - moment > FORGOTTEN_S]:
            self._forget(name)
        return self._whole()

    def _forget(self, host: str) -> None:
        del self._last[host]
        self._counters.pop(host, None)

    def _speeds(self, host: str, now: float, known: Mapping[str, float]) -> tuple[float | None, float | None]:
        before, after = self._counters.get(host), [now, known.get("generated"), known.get("prompted")]
        if after[1] is not None or after[2] is not None:
            self._counters[host] = after
        speeds = [known.get("generation"), known.get("prompt")]
        for place in (0, 1):
            old, new = (before or after)[place + 1], after[place + 1]
            if speeds[place] is None and before is not None and old is not None and new is not None and now > (before[0] or 0.0) and new >= old:
                speeds[place] = (new - old) / (now - (before[0] or 0.0))
        return speeds[0], speeds[1]

    def _whole(self) -> Gauges:
        every = [gauges for _, gauges in self._last.values()]
        if len(every) == 1:
            return every[0]
        running, cache = _sum([one.running for one in every]) or 0.0, _sum([one.cache for one in every]) or 0.0
        waiting, generation, prompt = ([getattr(one, name) for one in every] for name in ("waiting", "generation", "prompt"))
        return Gauges(running, _sum(waiting), cache / len(every), _sum(generation), _sum(prompt))

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        last = {host: [now, *astuple(gauges)] for host, (now, gauges) in self._last.items()}
        return {"last": last, "counters": {host: list(counters) for host, counters in self._counters.items()}}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Hosts":
        """The hosts that left this snapshot."""
        hosts = cls()
        hosts._last = {host: (row[0], Gauges(*row[1:])) for host, row in state["last"].items()}
        hosts._counters = {host: list(counters) for host, counters in state["counters"].items()}
        return hosts
