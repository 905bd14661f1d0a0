"""The worker on a real broker: the same bytes as a replay, through kills, takeovers and the plain per-event feed."""

import json
import random
from pathlib import Path

import pytest
from deployment import Deployment, count, stop
from events import stream

from pointsman.schemas import OptimizationConfig, Track
from pointsman.streams.core import Core

pytestmark = pytest.mark.kafka
CONFIG = OptimizationConfig(strategy="adaptive", tracks=(Track(name="local"), Track(name="api", cost_per_1k_output_tokens=0.6)))


@pytest.mark.parametrize("feed", ["slices", "events"])
def test_outputs_equal_the_replay_byte_for_byte(bootstrap: str, tmp_path: Path, feed: str) -> None:
    events = stream(31, 400)
    with Deployment(bootstrap, f"equal-{feed}", tmp_path, CONFIG, feed=feed) as deployment:
        expected = deployment.expected(events)
        deployment.publish(events)
        worker = deployment.start("one")
        assert deployment.outputs(count(expected)) == expected
        assert stop(worker) == 0


def test_a_worker_killed_at_twenty_random_points_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    draw = random.Random(5)
    events = stream(32, 8000)
    with Deployment(bootstrap, "killed", tmp_path, CONFIG, snapshot_interval_s=0.0, commit_interval_s=0.1) as deployment:
        expected = deployment.expected(events)
        step, done, core = len(events) // 20 + 1, 0, Core(CONFIG)
        for place in range(0, len(events), step):
            chunk = events[place : place + step]
            deployment.publish(chunk)
            before, done = done, done + sum(len(core.step(event)) for event in chunk)
            worker = deployment.start("one")
            deployment.outputs(draw.randrange(before + 1, done))
            worker.kill()
            worker.wait()
        deployment.start("one")
        assert deployment.outputs(count(expected)) == expected


def test_a_second_worker_takes_over_from_a_killed_one(bootstrap: str, tmp_path: Path) -> None:
    events = stream(33, 2000)
    half = len(events) // 2
    with Deployment(bootstrap, "takeover", tmp_path, CONFIG, session_timeout_s=6.0) as deployment:
        expected = deployment.expected(events)
        first, second = deployment.start("one"), deployment.start("two")
        deployment.publish(events[:half])
        deployment.outputs(count(deployment.expected(events[:half])))
        first.kill()
        deployment.publish(events[half:])
        assert deployment.outputs(count(expected)) == expected
        assert stop(second) == 0


def test_a_stopped_worker_leaves_nothing_to_fold_again(bootstrap: str, tmp_path: Path) -> None:
    events = stream(34, 300)
    with Deployment(bootstrap, "stopped", tmp_path, CONFIG, snapshot_interval_s=3600.0) as deployment:
        expected = deployment.expected(events)
        deployment.publish(events)
        worker = deployment.start("one")
        deployment.outputs(count(expected))
        assert stop(worker) == 0
        more = stream(35, 50)
        moved = [event.model_copy(update={"occurred_at": event.occurred_at + 1000.0, "event_id": f"m{event.event_id}"}) for event in more]
        deployment.publish(moved)
        whole = deployment.expected([*events, *moved])
        again = deployment.start("one")
        assert deployment.outputs(count(whole)) == whole
        assert stop(again) == 0
        folded = [json.loads(line.split("stopped, ")[1].split()[0]) for line in deployment.log("one").splitlines() if "worker stopped" in line]
        assert folded == [len(events), len(moved)]
