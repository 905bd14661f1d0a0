"""The topics of a deployment: made and checked idempotently, keyed by scope throughout."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from pointsman.schemas.access import explained
from pointsman.schemas.settings import KafkaSettings, security

DAY_MS = 86_400_000
KNOWN_WITHIN_S = 30.0
INPUT_TOPICS = {
    "request.started/1": "requests.started",
    "request.completed/1": "requests.completed",
    "resource.sampled/1": "resources.sampled",
    "quality.assessed/1": "quality.assessed",
    "config.changed/1": "config.changed",
    "capacity.allocated/1": "capacity.allocated",
    "alert.acknowledged/1": "controls",
    "alert.silenced/1": "controls",
    "maintenance.scheduled/1": "controls",
    "incident.annotated/1": "controls",
    "incident.reported/1": "incidents.reported",
    "tick/1": "events",
}
OUTPUT_TOPICS = {
    "recommendation.issued/1": "recommendations",
    "policy.published/1": "policies",
    "prediction.issued/1": "predictions",
    "models.reported/1": "models",
    "forecast.issued/1": "forecasts",
    "scaling.recommended/1": "scaling",
    "scaling.scored/1": "scaling",
    "window.closed/1": "windows",
    "strategy.adapted/1": "strategies",
    "alert.raised/1": "alerts",
    "alert.resolved/1": "alerts",
    "incident.opened/1": "incidents",
    "incident.updated/1": "incidents",
    "incident.resolved/1": "incidents",
    "objective.reported/1": "objectives",
    "bottleneck.reported/1": "bottlenecks",
    "event.rejected/1": "dead-letters",
}
WORKER = "worker"
CHANGELOGS = ("worker-snapshots-changelog", "worker-windows-changelog")
# A worker reads its tables' changelogs when it starts: small segments are compacted soon, so that this stays short.
CHANGELOG_TUNING = (("segment.bytes", "33554432"), ("min.cleanable.dirty.ratio", "0.2"))


class TopicError(Exception):
    """The topics could not be made or checked; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic should be; `retention_ms` -1 keeps everything."""

    name: str
    partitions: int
    replication_factor: int
    cleanup_policy: str
    retention_ms: int
    tuning: tuple[tuple[str, str], ...] = ()

    def config(self) -> dict[str, str]:
        """The topic's configuration as Kafka takes it."""
        return {"cleanup.policy": self.cleanup_policy, "retention.ms": str(self.retention_ms), **dict(self.tuning)}


def specs(settings: KafkaSettings) -> tuple[TopicSpec, ...]:
    """Every topic: the journal keeps everything, policies and the worker's tables the latest of each key, the rest a week."""

    def spec(suffix: str, policy: str = "delete", retention: int = 7 * DAY_MS, tuning: tuple[tuple[str, str], ...] = ()) -> TopicSpec:
        return TopicSpec(settings.topic_prefix + suffix, settings.partitions, settings.replication_factor, policy, retention, tuning)

    ordinary = dict.fromkeys((*INPUT_TOPICS.values(), *OUTPUT_TOPICS.values()))
    ordinary.pop("policies")
    tables = (spec(suffix, "compact", -1, CHANGELOG_TUNING) for suffix in CHANGELOGS)
    return (*(spec(suffix) for suffix in ordinary), spec("policies", "compact", -1), spec("journal", "delete", -1), *tables)


async def ensure_topics(settings: KafkaSettings, *, check: bool = False) -> list[str]:
    """Make what is missing, unless `check`; a sentence for each topic that was made, is missing, or is not as it should be."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
    from aiokafka.errors import KafkaError

    wanted = specs(settings)
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers, **security(settings))
    said: list[str] = []
    try:
        await admin.start()
        present = set(await admin.list_topics())
        missing = [spec for spec in wanted if spec.name not in present]
        if missing and not check:
            new = [NewTopic(spec.name, spec.partitions, spec.replication_factor, topic_configs=spec.config()) for spec in missing]
            answer = await admin.create_topics(new)
            refused = [f"{topic}: {message}" for topic, code, message in answer.topic_errors if code not in (0, 36)]
            if refused:
                raise TopicError(f"kafka {settings.bootstrap_servers} refused {'; '.join(refused)}")
            await _known(admin, {spec.name for spec in missing})
        said += [f"{spec.name}: {'missing; run `pointsman topics`' if check else 'made'}" for spec in missing]
        kept = [spec for spec in wanted if spec.name in present]
        if kept:
            found = {row["topic"]: len(row["partitions"]) for row in await admin.describe_topics([spec.name for spec in kept])}
            described = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name) for spec in kept])
            configs = {row[3]: {entry[0]: entry[1] for entry in row[4]} for part in described for row in part.resources}
            said += [line for spec in kept for line in _differences(spec, found[spec.name], configs.get(spec.name, {}))]
    except KafkaError as error:
        raise TopicError(await explained(settings, error)) from error
    finally:
        await admin.close()
    return said


async def _known(admin: Any, names: set[str]) -> None:
    """Wait until the broker that answers knows topics which the controller has made, so that who comes next finds them."""
    end = time.monotonic() + KNOWN_WITHIN_S
    while not names <= set(await admin.list_topics()) and time.monotonic() < end:
        await asyncio.sleep(0.05)


def _differences(spec: TopicSpec, partitions: int, config: dict[str, str]) -> list[str]:
    said = []
    if partitions != spec.partitions:
        advice = f"more would break the order of its scopes: set kafka.partitions to {partitions}"
        said.append(f"{spec.name}: has {partitions} partitions instead of {spec.partitions}; {advice}")
    for name, value in spec.config().items():
        if name in config and config[name] != value:
            said.append(f"{spec.name}: {name} is {config[name]} instead of {value}; change it with kafka-configs")
    return said


def channels() -> dict[str, tuple[str, ...]]:
    """Topics, by their names without configuration, and the types each carries."""
    from pointsman.schemas import INPUTS

    found: dict[str, tuple[str, ...]] = {"pointsman.events": tuple(INPUTS), "pointsman.journal": tuple(INPUTS)}
    for kind, suffix in (*INPUT_TOPICS.items(), *OUTPUT_TOPICS.items()):
        name = f"pointsman.{suffix}"
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), kind)))
    return found
