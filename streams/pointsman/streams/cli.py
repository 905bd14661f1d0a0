"""The command line: which commands there are, by who uses them. Each is in its own `command_NAME.py`, imported when it runs, so that `--help` is quick."""

import click

from .cli_group import LazyGroup

SECTIONS = {
    "Start here": {
        "demo": "Play the recordings that come with the package: what is learned, what that saves against fixed routing, and a fault with its incident.",
        "serve": "Serve the embedded optimizer, or a deployment on Kafka, over HTTP, until SIGTERM.",
        "config": "Print the configuration in effect: file, then environment, then --set.",
        "completion": "Print what makes a shell complete commands, options, files and event types.",
    },
    "Producers and routers": {
        "schema": "Print the JSON Schema (2020-12) of an event type, for example request.started/1.",
        "simulate": "Publish a recording to Kafka, or over HTTP, as if it happened.",
        "dead-letters": "List dead letters: place, code and sentence.",
    },
    "Operators": {
        "status": "Say what every track does now, where traffic is recommended to go and why.",
        "incidents": "List incidents with their suspects, the open ones first, or show one in full.",
        "alerts": "List the alerts that stand, or all of them.",
        "models": "List the models of every track and metric: role, weight, errors, age, resets, coverage.",
        "bottlenecks": "Say where the time of slow requests goes, and what could be done: the newest report of every track and category.",
        "promote": "Make a configuration the active one in every scope of an embedded database, from now on.",
        "webhook": "Tell webhooks of incidents and alerts, signed and at least once, until SIGTERM.",
        "acknowledge": "Say that somebody looks after an alert or an incident.",
        "silence": "Tell nobody of alerts that match every pattern given, for a while; what still stands then is told.",
        "maintenance": "Say that tracks or hosts, or without any everything, are worked on.",
        "annotate": "Write down what is known of an incident: it is told with the next one that looks like it.",
        "alertmanager": "Tell Alertmanager which alerts stand, until SIGTERM.",
        "scaler": "Answer KEDA with the scaling advice, over gRPC, until SIGTERM.",
    },
    "Analysts": {
        "history": "Keep outcomes, recommendations, windows, alerts and forecasts in SQLite, PostgreSQL or Parquet, each event once.",
        "report": "Write a page about a week: savings against fixed routing, accuracy, alerts, cost.",
        "record": "Write the journal, on Kafka or of an embedded optimizer, to a file, in order.",
        "replay": "Fold recorded events and write every output.",
        "explain": "Say why a request took its track, and what would have changed that.",
        "evaluate": "Estimate what other policies would have done, with confidence intervals.",
        "shadow": "Say what another configuration would have gained, as a shadow that watches the same events.",
        "forecast": "Forecast a series: after every row a median and a 90 % interval for each horizon.",
        "detect": "Score a series: after every row how anomalous it is, 0 to 1.",
        "diagnose": "Rank entities and metrics by how likely they are the cause of a trouble, the most suspected first.",
        "scale": "Say, row by row, how much capacity to have after the start delay so that only a share of the demand is unserved.",
        "inject": "Put a fault into RECORDING, and say in one line of JSON what was done.",
        "convert": "Make recordings from measurements: the demo's anew, or one of your own load.",
        "bench": "Measure throughput, decision time and state size on this machine.",
    },
    "Kafka": {
        "topics": "Make the topics, or check them.",
        "worker": "Take in events from Kafka, fold the journal and publish what follows, until SIGTERM.",
        "otel": "Turn the GenAI spans of a Kafka topic into events on our topics, until SIGTERM.",
        "allocate": "Divide the capacity of tracks that several scopes use between them, until SIGTERM.",
        "operator": "Tell the operator's scope of the incidents of all others, until SIGTERM.",
    },
}


@click.group(cls=LazyGroup, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pointsman")
def main() -> None:
    """Pointsman learns from events which track should serve each LLM request.

    Events go in (requests, completions, resources, judgements); recommendations, policies, predictions and alerts
    come out. Live, on a database or from a file, the same events give the same outputs.
    """


if __name__ == "__main__":
    main()
