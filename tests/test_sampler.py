"""The resource sampler on this machine."""

from pointsman.schemas import ResourceSampled
from pointsman.streams import Optimizer, ResourceSampler
from pointsman.streams.sampler import sample


def test_a_sample_is_a_valid_event() -> None:
    event = ResourceSampled(event_id="e", scope="chat", occurred_at=1.7e9, host="here", **sample())
    assert event.memory_used_mb is not None
    assert event.memory_used_mb > 0


def test_sampling_records_while_it_is_switched_on() -> None:
    with Optimizer.open(":memory:") as optimizer:
        with ResourceSampler(optimizer, scope="chat", host="here", interval_s=60.0):
            pass
        assert optimizer.status()["chat"]["events"] == 1


def test_a_sampler_of_ones_own_is_recorded() -> None:
    with Optimizer.open(":memory:") as optimizer:
        with ResourceSampler(optimizer, scope="chat", host="here", interval_s=60.0, measure=lambda: {"gauges": {"pending": 3.0}}):
            pass
        assert optimizer.status()["chat"]["events"] == 1


def test_without_a_gpu_its_fields_are_absent() -> None:
    assert {"gpu_percent", "gpu_memory_used_mb"} & set(sample()) in (set(), {"gpu_percent", "gpu_memory_used_mb"})
