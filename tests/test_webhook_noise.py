"""How often one fault in the demo's recording is told by webhook, in either form."""

from collections.abc import Iterator
from functools import cache

import pytest

from pointsman.schemas import AlertRaised, AlertResolved, IncidentOpened, IncidentResolved, IncidentUpdated
from pointsman.schemas.webhooks import WebhookSettings
from pointsman.sinks.webhook_choice import Choice
from pointsman.sinks.webhook_message import Tellable
from pointsman.streams.core import Core
from pointsman.streams.demo import CONFIG, RECORDING
from pointsman.streams.inject import inject, read_events
from pointsman.streams.inject_faults import Fault

FAULTS = {
    "errors": Fault("errors", 900.0, 300.0, track="api"),
    "throttled": Fault("throttled", 900.0, 300.0, host="gpu-server"),
}
AS_BEFORE = {"min_severity": "info", "flapping_s": 0.0}


@cache
def outputs(fault: str) -> tuple[Tellable, ...]:
    """What is said of the recording with this fault in it."""
    events, _ = inject(read_events(RECORDING), FAULTS[fault])
    core = Core(CONFIG.model_copy(update={"learners": "light"}))
    said = (output for event in events for output in core.step(event))
    return tuple(one for one in said if isinstance(one, AlertRaised | AlertResolved | IncidentOpened | IncidentUpdated | IncidentResolved))


def told(fault: str, **settings: object) -> Iterator[Tellable]:
    choice = Choice(WebhookSettings.model_validate({"url": "https://example.org", **settings}))
    return (one for output in outputs(fault) for one in choice.add(output))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_in_a_few_posts(fault: str) -> None:
    posts, before = list(told(fault)), list(told(fault, **AS_BEFORE))
    print(fault, len(outputs(fault)), len(before), len(posts), sum(not isinstance(post, AlertRaised | AlertResolved) for post in posts))
    assert len(posts) <= 12 and len(before) >= 3 * len(posts)
    assert all(post.severity != "info" for post in posts)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_incident_is_told_once_at_its_beginning_and_once_at_its_end(fault: str) -> None:
    posts = list(told(fault, events=["incidents"]))
    opened = [post.incident for post in posts if isinstance(post, IncidentOpened)]
    ended = [post.incident for post in posts if isinstance(post, IncidentResolved)]
    assert opened == [event.incident for event in outputs(fault) if isinstance(event, IncidentOpened)]
    assert ended == [event.incident for event in outputs(fault) if isinstance(event, IncidentResolved)]
    assert len(posts) <= 3 * len(opened)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_end_is_told_without_its_beginning(fault: str) -> None:
    standing: set[str] = set()
    for post in told(fault, events=["alerts"]):
        if isinstance(post, AlertRaised):
            standing.add(post.fingerprint)
        elif isinstance(post, AlertResolved):
            standing.remove(post.fingerprint)
