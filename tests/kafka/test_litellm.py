"""LiteLLM's calls through a real broker and worker, and the policy back to its Router."""

from collections import Counter
from pathlib import Path

import pytest
from deployment import Deployment
from gateway import CONFIG, MESSAGES, calling, deployment, experience, router, run, until

from pointsman.schemas import PredictionIssued, decode_output

pytestmark = pytest.mark.kafka


async def answered(count: int) -> Counter[str]:
    """Which deployments answered."""
    target = router(deployment("good"), deployment("poor"))
    answers = [await target.acompletion("chat", MESSAGES, litellm_call_id=f"r{number}") for number in range(count)]
    return Counter(answer._hidden_params["model_id"] for answer in answers)


def test_calls_go_through_kafka_and_its_policy_is_applied(bootstrap: str, tmp_path: Path) -> None:
    with Deployment(bootstrap, "litellm", tmp_path, CONFIG) as worked:
        worked.publish(experience())
        worked.start("one")
        flags = [f"kafka.topic_prefix={worked.settings.topic_prefix}", "kafka.partitions=2"]
        with calling(f"kafka://{bootstrap}", flags=flags, mode="apply") as callback:
            callback.start()
            until(lambda: (callback.policy_version() or 0) >= 10)
            found = run(answered(30))
        assert found["good"] >= 27 and (callback.sent, callback.dropped, callback.errors) == (60, 0, 0)
        outputs = worked.outputs(190)
        lines = [line for (topic, _), lines in outputs.items() if topic == "predictions" for line in lines]
        predicted = [event.request_id for line in lines if isinstance(event := decode_output(line), PredictionIssued)]
        assert {f"r{number}" for number in range(30)} <= set(predicted) or len(predicted) >= 160


def test_a_broker_that_is_away_costs_nothing() -> None:
    with calling("kafka://127.0.0.1:1", mode="apply") as callback:
        found = run(answered(20))
        callback.close(0.1)
    assert found.total() == 20 and callback.dropped == 40 and callback.errors == 0
