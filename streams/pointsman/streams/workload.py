"""The workload of one scope: what arrives, how much of it runs, what its hosts have left; forecast row by row, with scaling advice and early warnings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from pointsman.models.arrays import short
from pointsman.models.forecast import Form
from pointsman.schemas import ForecastIssued, OptimizationConfig, OutputEvent, ResourceSampled

from .advisor import ROW_S, Advisor, Load
from .live_series import MINUTE_S, Name, Series
from .resources import RESOLUTION, Foreseen, Path, Resource, Resourced

MOST_SERIES = 32
MOST_RESOURCES = 32
GAP_MINUTES = 120
MOST_MINUTES = 3 * 1440  # a weekend of silence is a weekend of zeros; after more than that everything begins anew
HEARD_S = 300.0
STALE_S = 600.0
FORGET_S = 86_400.0
PIECE = 100_000  # characters of a snapshot part
_COUNTED = ("arrival_rate", "token_rate", "concurrency")
_OF_TRACKS = ("arrival_rate", "concurrency")

Said = tuple[type[OutputEvent], dict[str, Any]] | Foreseen


class Flying(Protocol):
    """What the workload reads of a track."""

    in_flight: int


class Workload:
    """Bins events into minutes of the scope's clock, and those into coarser rows; what comes late counts in the open minute.

    A minute is over when the clock reaches its end, so nothing that is said then knows of what comes after. A silence of up to three days is filled with
    zeros. Series are made in the order in which their tracks and hosts appear, at most 32 a scope; what found no place is counted in `refused`.
    """

    def __init__(self, config: OptimizationConfig) -> None:
        self._take_settings(config)
        self.end = 0.0
        self.heard = 0.0
        self.refused = 0
        self.series: dict[Name, Series] = {}
        self.resources: dict[tuple[str, str], Resource] = {}
        self.advisors: list[Advisor] = [Advisor(entry) for entry in self._scaling]
        self._is_partial = True
        self._has_requests = False
        self._counts: dict[str, list[float]] = {}  # by track, "" for the scope: started, output tokens, seconds in flight
        self._readings: dict[Name, list[float]] = {}
        self._latest: dict[Name, float] = {}
        self._loads: dict[str, list[float]] = {}

    def _take_settings(self, config: OptimizationConfig) -> None:
        self._bounds = config.constraints
        self._form: Form = "full" if config.learners == "full" else "light"
        self._wait = config.intervals.join_s
        self._gauges = config.forecasts.gauges
        self._scaling = config.scaling
        self.is_on = config.forecasts.enabled

    def configure(self, config: OptimizationConfig) -> None:
        """Follow another configuration: what it does not name is dropped, a changed `[[scaling]]` entry and another form begin anew."""
        form = self._form
        self._take_settings(config)
        known = {track.name for track in config.tracks}
        gauges = {*RESOLUTION, *self._gauges}
        is_same = self._form == form
        self.series = {
            name: one
            for name, one in (self.series if self.is_on else {}).items()
            if (is_same or not name.is_scope) and (not known or name.track is None or name.track in known) and (name.host is None or name.metric in gauges)
        }
        self._counts = {name: counts for name, counts in self._counts.items() if not known or not name or name in known}
        self._latest = {name: moment for name, moment in self._latest.items() if name in self.series}
        self._readings = {name: reading for name, reading in self._readings.items() if name in self.series}
        if not self.is_on:
            self.resources = {}
        before = {advisor.settings: advisor for advisor in self.advisors}
        self.advisors = [before.get(entry) or Advisor(entry) for entry in self._scaling]

    # what happens

    def started(self, track: str | None, now: float, *, is_request: bool) -> None:
        """A request starts; a second copy of one is the track's, not the scope's."""
        if not self.is_on:
            return
        self.heard, self._has_requests = now, True
        if is_request:
            self._count("")[0] += 1.0
        if track is not None:
            self._count(track)[0] += 1.0

    def completed(self, track: str, output_tokens: int | None, now: float, asked_at: float | None) -> None:
        """An attempt ends; of one that had asked for its track it is known only now where it ran, and since when."""
        if not self.is_on:
            return
        self.heard = now
        counts = self._count(track)
        if output_tokens:
            self._count("")[1] += output_tokens
            counts[1] += output_tokens
        if asked_at is not None:
            counts[0] += 1.0
            counts[2] += max(now - asked_at, 0.0)

    def sampled(self, event: ResourceSampled, now: float) -> list[Said]:
        """A host reports; what that foretells of its limits."""
        if not self.is_on:
            return []
        self.heard = now
        said: list[Said] = []
        for metric in RESOLUTION:
            value = getattr(event, metric)
            if value is not None:
                self._read(event.host, metric, value, now)
                foreseen = self._follow(event, metric, value, now)
                said += [foreseen] if foreseen is not None else []
        for gauge in self._gauges:
            value = (event.gauges or {}).get(gauge)
            if value is not None and gauge not in RESOLUTION:
                self._read(event.host, gauge, value, now)
        return said

    def _follow(self, event: ResourceSampled, metric: Resourced, value: float, now: float) -> Foreseen | None:
        resource = self.resources.get((event.host, metric))
        if resource is None:
            if len(self.resources) >= MOST_RESOURCES:
                return None
            resource = self.resources[(event.host, metric)] = Resource(metric)
        return resource.foresee(event.host, self._bounds, now) if resource.learn(event, value, now) else None

    def _count(self, track: str) -> list[float]:
        counts = self._counts.get(track)
        if counts is None:
            counts = self._counts[track] = [0.0, 0.0, 0.0]
        return counts

    def _read(self, host: str, metric: str, value: float, now: float) -> None:
        name = Name(metric, host=host)
        reading = self._readings.get(name)
        if reading is None:
            if not self._make(name):
                return
            reading = self._readings[name] = [0.0, 0.0]
        reading[0] += value
        reading[1] += 1.0
        self._latest[name] = now

    # time

    def next_due(self) -> float | None:
        """When the open minute is over, where something was heard within five minutes before that: an idle scope wants no ticks."""
        return self.end if self.is_on and 0.0 < self.end <= self.heard + HEARD_S else None

    def advance(self, before: float, now: float, in_flight: int, tracks: Mapping[str, Flying]) -> list[Said]:
        """The clock moves; so many requests were in flight until now, none of them for longer than an attempt is waited for."""
        if not self.is_on:
            return []
        if now < self.end:
            self._accrue(before, now, before + self._wait, in_flight, tracks)
            return []
        minutes = int((now - self.end) // MINUTE_S) + 1
        if self.end == 0.0 or minutes > MOST_MINUTES:
            self._begin(now)
            return []
        limit, at = before + self._wait, before
        for _ in range(minutes):
            self._accrue(at, self.end, limit, in_flight, tracks)
            self._close_minute(tracks, is_gap=minutes > GAP_MINUTES)
            at, self.end = self.end, self.end + MINUTE_S
        self._accrue(at, now, limit, in_flight, tracks)
        for series in self.series.values() if minutes > GAP_MINUTES else ():
            series.forget_minutes()
        return list(self._issue(self.end - MINUTE_S, minutes))

    def _begin(self, now: float) -> None:
        self.series, self.resources, self._latest = {}, {}, {}
        self._counts, self._readings, self._loads = {}, {}, {}
        self.advisors = [Advisor(entry) for entry in self._scaling]
        self._has_requests = False
        self._is_partial = now % MINUTE_S > 0.0
        self.end = (now // MINUTE_S + 1.0) * MINUTE_S

    def _accrue(self, start: float, end: float, limit: float, in_flight: int, tracks: Mapping[str, Flying]) -> None:
        span = min(end, limit) - start
        if span <= 0.0 or not in_flight:
            return
        self._count("")[2] += in_flight * span
        for name, track in tracks.items():
            if track.in_flight:
                self._count(name)[2] += track.in_flight * span

    def _close_minute(self, tracks: Mapping[str, Flying], *, is_gap: bool) -> None:
        """The first minute was not seen from its beginning: only its gauges count."""
        if not self._is_partial:
            self._make_rates(tracks)
            self._add_loads()
        for name, series in self.series.items():
            series.close_minute(self._value(name), is_gap=is_gap)
            is_block = series.is_block(self.end)
            block = series.close_block() if is_block else None
            resource = self._resource(name)
            if resource is not None:
                resource.close(series.last, is_block=is_block, block=block)
        self._is_partial = False
        for counts in self._counts.values():
            counts[:] = (0.0, 0.0, 0.0)
        self._readings = {}
        if self.end % ROW_S == 0.0:
            self._close_loads()
            self._drop_silent()

    def _value(self, name: Name) -> float | None:
        if name.host is not None:
            reading = self._readings.get(name)
            return reading[0] / reading[1] if reading is not None else None
        counts = self._counts.get(name.track or "")
        return counts[_COUNTED.index(name.metric)] / MINUTE_S if counts is not None else 0.0

    def _resource(self, name: Name) -> Resource | None:
        return self.resources.get((name.host, name.metric)) if name.host is not None else None

    def _make(self, name: Name) -> bool:
        """Whether there is such a series, if need be a new one."""
        if name in self.series:
            return True
        if len(self.series) >= MOST_SERIES:
            self.refused += 1
            return False
        self.series[name] = Series(name, self._form if name.is_scope else "light")
        return True

    def _make_rates(self, tracks: Mapping[str, Flying]) -> None:
        if not self._has_requests:
            return
        for metric in _COUNTED:
            self._make(Name(metric))
        for track in tracks if len(tracks) > 1 else ():
            for metric in _OF_TRACKS if track in self._counts else ():
                self._make(Name(metric, track))

    def _add_loads(self) -> None:
        for advisor in self.advisors:
            counts = self._counts.get(advisor.settings.track)
            if counts is not None:
                load = self._loads.setdefault(advisor.settings.track, [0.0, 0.0, 0.0])
                fresh = (counts[2] / MINUTE_S, counts[0] / MINUTE_S, 1.0)
                load[:] = [old + new for old, new in zip(load, fresh, strict=True)]

    def _close_loads(self) -> None:
        for advisor in self.advisors:
            running, started, minutes = self._loads.get(advisor.settings.track, (0.0, 0.0, 0.0))
            if minutes:
                advisor.close(Load(running / minutes, started / minutes), self.end)
        self._loads = {}

    def _drop_silent(self) -> None:
        """Hosts that have not reported for a day."""
        gone = [name for name, moment in self._latest.items() if self.end - moment > FORGET_S]
        for name in gone:
            del self._latest[name]
            self.series.pop(name, None)
            self.resources.pop((name.host or "", name.metric), None)

    # what follows

    def _issue(self, end: float, minutes: int) -> Iterator[Said]:
        """What is due of every series: after a gap, what any of the minutes in it made due."""
        for name, series in self.series.items():
            resource = self._resource(name)
            is_block = minutes >= name.minutes or any(series.is_block(end - back * MINUTE_S) for back in range(minutes))
            if name.host is not None and end - self._latest[name] > STALE_S:
                if resource is not None and is_block:
                    yield resource.foresee(name.host, self._bounds, end, is_stale=True)
                continue
            limit = resource.limit(self._bounds) if resource is not None else None
            left = resource.time_to(limit, end) if resource is not None and limit is not None else None
            for path in self._paths(series, resource, end, is_block=is_block):
                yield ForecastIssued, {**_fields(name, path, series.target(end, path.horizon_s)), "limit": limit, "time_to_limit_s": left}
        for advisor in self.advisors:
            yield from advisor.say(end)

    @staticmethod
    def _paths(series: Series, resource: Resource | None, end: float, *, is_block: bool) -> list[Path]:
        forecasts = series.forecasts(is_block=is_block)
        if resource is not None:
            paths = resource.paths(forecasts, [series.target(end, horizon) for horizon, _ in forecasts])
            if is_block:
                resource.note_far(paths[-1], series)
            return paths
        return [Path(horizon, one.median, one.lower, one.upper) for horizon, one in forecasts]

    def status(self) -> dict[str, Any]:
        """The forecasts of the last closed rows, and the scaling advice that stands; reads only."""
        rows: list[dict[str, Any]] = []
        for name, series in self.series.items():
            forecasts = [] if name.host is not None and self.end - self._latest[name] > STALE_S + MINUTE_S else series.forecasts()
            named = {key: value for key, value in name._asdict().items() if value is not None}
            horizons = {f"{horizon:g}": [short(value) for value in (one.median, one.lower, one.upper)] for horizon, one in forecasts}
            rows.append({**named, "forecasts": horizons})
        return {"series": rows, "scaling": [advisor.status() for advisor in self.advisors], "refused": self.refused}

    # snapshots

    def snapshot(self) -> dict[str, str]:
        """The state in named pieces of text; what has not changed has the same pieces as before."""
        series = [one.snapshot() for one in self.series.values()]
        texts = {
            "now": _text(self._now()),
            "near": _text([near for near, _ in series]),
            "resources": _text([[host, one.snapshot()] for (host, _), one in self.resources.items()]),
        }
        texts |= {f"far:{number}": far for number, (_, far) in enumerate(series)}
        texts |= {f"scaling:{number}": advisor.snapshot() for number, advisor in enumerate(self.advisors)}
        return {f"{name}:{place // PIECE}": text[place : place + PIECE] for name, text in texts.items() for place in range(0, len(text), PIECE)}

    def _now(self) -> list[Any]:
        latest = [[*name, moment] for name, moment in self._latest.items()]
        readings = [[*name, reading] for name, reading in self._readings.items()]
        flags = [self.end, self.heard, self.refused, self._is_partial, self._has_requests]
        return [flags, self._counts, readings, latest, self._loads, len(self.series), len(self.advisors)]

    @classmethod
    def restore(cls, pieces: Mapping[str, str], config: OptimizationConfig) -> "Workload":
        """The workload that left these pieces."""

        def text(name: str) -> str:
            return "".join(pieces[f"{name}:{place}"] for place in range(sum(key.rpartition(":")[0] == name for key in pieces)))

        workload = cls(config)
        flags, counts, readings, latest, loads, series, advisors = json.loads(text("now"))
        workload.end, workload.heard, workload.refused, workload._is_partial, workload._has_requests = flags
        workload._counts, workload._loads = counts, loads
        workload._readings = {Name(*row[:3]): row[3] for row in readings}
        workload._latest = {Name(*row[:3]): row[3] for row in latest}
        found = [Series.restore(near, text(f"far:{number}")) for number, near in enumerate(json.loads(text("near")))]
        workload.series = {one.name: one for one in found}
        if len(found) != series:
            raise ValueError("a series is missing")
        for host, state in json.loads(text("resources")):
            resource = Resource.restore(state)
            workload.resources[(host, resource.metric)] = resource
        workload.advisors = [Advisor.restore(text(f"scaling:{number}")) for number in range(advisors)]
        return workload


def _fields(name: Name, path: Path, target: float) -> dict[str, Any]:
    median, lower, upper = (short(value) for value in path[1:])
    return {
        **name._asdict(),
        "horizon_s": path.horizon_s,
        "target_time": target,
        "median": median,
        "lower": min(lower, median),
        "upper": max(upper, median),
    }


def _text(state: Any) -> str:
    return json.dumps(state, separators=(",", ":"))


__all__ = ["Said", "Workload"]
