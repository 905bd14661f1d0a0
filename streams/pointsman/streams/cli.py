"""The command line: each command imports what it needs when it runs, so that `--help` is quick."""

import base64
import json
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import click

from pointsman.schemas import OptimizationConfig

FILE = click.Path(dir_okay=False, path_type=Path)
_CONFIG = click.option("--config", type=FILE, help="TOML file; pointsman.toml in the working directory unless told.")
_SET = click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Over file and environment, for example budget.usd_per_hour=2.")
_KAFKA = click.option("--kafka", metavar="BOOTSTRAP", help="Brokers, host:port[,host:port]; kafka.bootstrap_servers of the settings unless told.")
_PREFIX = click.option("--prefix", help="What the topics' names begin with; kafka.topic_prefix of the settings unless told.")


class _Group(click.Group):
    """Errors that a user can mend are one line and exit code 2, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from pointsman.schemas.settings import SettingsError

        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            sys.exit(1)
        except ModuleNotFoundError as error:
            if str(error.name).startswith("pointsman"):
                raise _failure(f"this version has no {error.name}: install a newer one") from error
            raise _failure(f"{error.name} is not installed: pip install 'pointsman[all]'") from error
        except (SettingsError, OSError, EOFError, ValueError, LookupError) as error:
            raise _failure(_sentence(error)) from error
        except Exception as error:
            if type(error).__module__.startswith(("sqlite3", "zlib", "zstd", "zstandard", "pointsman.", "aiokafka.")):
                raise _failure(_sentence(error)) from error
            raise


def _sentence(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "a compressed file ends too early: copy or record it again"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}; check the path and its permissions"
    return " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())


def _failure(message: str) -> click.ClickException:
    failure = click.ClickException(message)
    failure.exit_code = 2
    return failure


def _settings(config: Path | None, flags: Sequence[str] = ()) -> Any:
    from pointsman.schemas.settings import load

    return load(config, flags)


def _kafka(config: Path | None, flags: Sequence[str] = (), bootstrap: str | None = None, prefix: str | None = None) -> Any:
    """How to reach Kafka; whatever aiokafka logs of a failure is in the error as well."""
    import logging

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    named = {"bootstrap_servers": bootstrap, "topic_prefix": prefix}
    return _settings(config, flags).kafka.model_copy(update={name: value for name, value in named.items() if value is not None})


def _optimization(config: Path | None, flags: Sequence[str] = ()) -> OptimizationConfig:
    found: OptimizationConfig = _settings(config, flags).optimization()
    return found


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pointsman")
def main() -> None:
    """Pointsman learns from events which track should serve each LLM request.

    Events go in (requests, completions, resources, judgements); recommendations, policies, predictions and alerts
    come out. Live, on a database or from a file, the same events give the same outputs.
    """


@main.command()
@click.option("--output", type=FILE, default=Path("build/demo.html"), show_default=True, help="The page to write.")
def demo(output: Path) -> None:
    """Play the recordings that come with the package: what is learned, and what that saves against fixed routing.

    Beside the page it leaves the routing recording, a configuration for it, and the journal of its own run: for `pointsman evaluate`.
    """
    import_module("pointsman.streams.demo").run_demo(output)


@main.command()
@click.argument("source", metavar="IN")
@click.option("--output", type=FILE, required=True, help="Output events, JSON lines; .gz and .zst are compressed.")
@_CONFIG
@_SET
@click.option("--rejected", type=FILE, help="Dead letters; OUT with .rejected.jsonl unless told.")
@click.option("--summary", type=FILE, help="The summary as JSON.")
@click.option("--state", type=FILE, help="Start from the state there, if any, and leave the state at the end.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Event time over wall time; as fast as possible unless told.")
@click.option("--from-database", is_flag=True, help="IN is the database of an embedded optimizer (seen by itself, too).")
def replay(
    source: str,
    output: Path,
    config: Path | None,
    flags: tuple[str, ...],
    rejected: Path | None,
    summary: Path | None,
    state: Path | None,
    speed: float | None,
    from_database: bool,
) -> None:
    """Fold recorded events and write every output.

    IN is JSON lines (.gz, .zst), the database of an embedded optimizer, or a journal partition on Kafka:
    kafka://host:9092/pointsman.journal?partition=0&from=0&to=100, with TLS and SASL by the settings; kafka:///TOPIC asks their brokers.
    """
    from .replay import replay_file, stored_config

    own = None if config or flags else stored_config(source)
    result = replay_file(
        source,
        output,
        config=own or _optimization(config, flags),
        rejected=rejected,
        summary=summary,
        state=state,
        speed=speed,
        database=from_database,
        kafka=_kafka(config, flags) if source.startswith("kafka://") else None,
        progress=True,
    )
    click.echo(str(result))


@main.command()
@click.argument("recording")
@click.option("--policy", "policies", multiple=True, metavar="SPEC", help="fixed:TRACK, logged, best, cheapest, random or FILE.toml; may be repeated.")
@click.option("--metric", "metrics", multiple=True, type=click.Choice(("quality", "cost_usd", "latency_ms", "success", "utility")), help="All unless told.")
@_CONFIG
@_SET
@click.option("--scope", help="This scope only; all of them together unless told.")
@click.option("--largest-weight", type=click.FloatRange(min=1), default=100.0, show_default=True, help="Weights above it are cut, and the share is said.")
@click.option("--json", "document", type=FILE, help="The figures as JSON.")
@click.option("--plot", type=FILE, help="Cost against quality and latency, .svg or .html.")
def evaluate(
    recording: str,
    policies: tuple[str, ...],
    metrics: tuple[str, ...],
    config: Path | None,
    flags: tuple[str, ...],
    scope: str | None,
    largest_weight: float,
    document: Path | None,
    plot: Path | None,
) -> None:
    """Estimate what other policies would have done, with confidence intervals.

    RECORDING is what `pointsman replay` takes. Without --policy every track is a policy; the logged policy, random, the
    best single track and the cheapest are always beside them.
    """
    from .evaluate import draw
    from .evaluate import evaluate as estimate

    settings = _optimization(config, flags)
    own = settings if config or flags else None
    result = estimate(recording, policies, config=own, default=settings, metrics=metrics, scope=scope, largest_weight=largest_weight)
    click.echo(str(result))
    if document is not None:
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(result.json(), encoding="utf-8")
    if plot is not None:
        draw(result, plot)


@main.command()
@click.argument("request_id")
@click.argument("recording")
@_CONFIG
@_SET
@click.option("--scope", help="The scope of the request, where several have one of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def explain(request_id: str, recording: str, config: Path | None, flags: tuple[str, ...], scope: str | None, as_json: bool) -> None:
    """Say why a request took its track, and what would have changed that.

    RECORDING is what `pointsman replay` takes; it is folded up to the request. A database brings the configuration that it began with.
    """
    from .explain import explain_recording
    from .replay import stored_config

    own = None if config or flags else stored_config(recording)
    found = explain_recording(recording, request_id, config=own or _optimization(config, flags), scope=scope)
    click.echo(found.json() if as_json else str(found), nl=False)


@main.command()
@click.argument("recording")
@_CONFIG
@_SET
@click.option("--scope", help="This scope only.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def shadow(recording: str, config: Path | None, flags: tuple[str, ...], scope: str | None, as_json: bool) -> None:
    """Say what another configuration would have gained, as a shadow that watches the same events.

    RECORDING is what `pointsman replay` takes; the configuration is the shadow's. The gain is over what was logged, in the
    last 2,000 choices that carry a propensity, by the utility of the recording's own strategy.
    """
    from .shadow import shadow_recording

    if not config and not flags:
        raise click.UsageError("give the shadow's configuration with --config, or settings of it with --set")
    found = shadow_recording(recording, _optimization(config, flags), scope)
    if as_json:
        click.echo(json.dumps({name: said.as_dict() for name, said in found.items()}, indent=2))
    else:
        click.echo("\n\n".join(f"scope {name}: {said}" for name, said in found.items()))


@main.command()
@click.argument("series", type=FILE)
@click.option("--output", type=FILE, required=True, help="The forecasts, CSV.")
@click.option("--step", required=True, metavar="DURATION", help="The time between rows, for example 10m.")
@click.option("--horizons", default="10m,1h,6h", show_default=True, metavar="DURATION,...", help="How far ahead; whole numbers of steps.")
@click.option("--form", type=click.Choice(("full", "light")), default="full", show_default=True, help="The most accurate one, or one of a fifth of the size.")
def forecast(series: Path, output: Path, step: str, horizons: str, form: str) -> None:
    """Forecast a series: after every row a median and a 90 % interval for each horizon.

    SERIES is CSV, timestamp,value (epoch seconds or ISO 8601), in order of time; a row is read only once the forecasts after the earlier ones are written.
    Rows that are missing are carried over. The output is issued_at,horizon_s,target_time,median,lower,upper, times as the series has them.
    """
    from .forecast_series import forecast_series

    count = forecast_series(series, output, step, horizons.split(","), "light" if form == "light" else "full")
    click.echo(f"{count} rows")


@main.command()
@click.argument("database", type=FILE)
@_CONFIG
@_SET
def promote(database: Path, config: Path | None, flags: tuple[str, ...]) -> None:
    """Make a configuration the active one in every scope of an embedded database, from now on.

    It is journaled as config.changed. No other process may have the database open; one that does promotes its own shadow.
    """
    from .embedded import Optimizer
    from .replay import ReplayError

    if not config and not flags:
        raise click.UsageError("give the configuration to promote with --config, or settings of it with --set")
    if not database.is_file():
        raise ReplayError(f"{database}: no such database; give the file that Optimizer.open was given")
    with Optimizer.open(str(database)) as optimizer:
        optimizer.adopt(_optimization(config, flags))
        scopes = list(optimizer.status())
    click.echo(f"{config or 'the configuration'} is in force in {', '.join(scopes) or 'every scope to come'}")


@main.command()
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--database", type=FILE, help="The database of an embedded optimizer, instead of Kafka.")
@_KAFKA
@_PREFIX
@_CONFIG
@_SET
@click.option("--until-idle", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Stop when nothing came for so many seconds.")
def record(
    output: Path, database: Path | None, kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...], until_idle: float | None
) -> None:
    """Write the journal, on Kafka or of an embedded optimizer, to a file, in order."""
    from . import record as recorder

    if database is not None and kafka is not None:
        raise click.UsageError("give one of --database and --kafka")
    if database is not None:
        count = recorder.record_database(database, output)
    else:
        count = recorder.record_kafka(_kafka(config, flags, kafka, prefix), output, until_idle=until_idle)
    click.echo(f"{count} events" if count >= 0 else "interrupted")


@main.command()
@click.argument("recording", type=FILE)
@_KAFKA
@_PREFIX
@_CONFIG
@_SET
@click.option("--http", metavar="URL", help="Post to /v1/events there instead, with POINTSMAN_TOKEN or token of the settings.")
@click.option("--speed", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Event time over wall time; 0 is as fast as possible.")
@click.option("--by-type", is_flag=True, help="Each type to its own topic; order across types is then not kept.")
@click.option("--now", is_flag=True, help="Move the recording in time, so that it begins at this moment.")
def simulate(
    recording: Path,
    kafka: str | None,
    prefix: str | None,
    config: Path | None,
    flags: tuple[str, ...],
    http: str | None,
    speed: float,
    by_type: bool,
    now: bool,
) -> None:
    """Publish a recording to Kafka, or over HTTP, as if it happened."""
    from . import simulate as simulator

    if kafka is not None and http is not None:
        raise click.UsageError("give one of --kafka and --http")
    if http is not None:
        token = _settings(config, flags).token
        count = simulator.simulate_http(recording, http, speed=speed, now=now, token=token.get_secret_value() if token is not None else None)
    else:
        count = simulator.simulate_kafka(recording, _kafka(config, flags, kafka, prefix), speed=speed, by_type=by_type, now=now)
    click.echo(f"{count} events published")


@main.command()
@_CONFIG
@_SET
@click.option("--check", is_flag=True, help="Change nothing; fail where a topic is missing or is not as it should be.")
def topics(config: Path | None, flags: tuple[str, ...], check: bool) -> None:
    """Make the topics, or check them."""
    import asyncio

    from .topics import ensure_topics

    problems = asyncio.run(ensure_topics(_kafka(config, flags), check=check))
    for line in problems:
        click.echo(line)
    if check and problems:
        sys.exit(1)


@main.command()
@_CONFIG
@_SET
@click.option("--instance-id", help="A name that stays with this worker: its partitions then wait for its restart.")
@click.option("--verbose", is_flag=True, help="Log what Faust and the Kafka client say, too.")
def worker(config: Path | None, flags: tuple[str, ...], instance_id: str | None, verbose: bool) -> None:
    """Take in events from Kafka, fold the journal and publish what follows, until SIGTERM."""
    from .worker import run

    named = (f'kafka.instance_id="{instance_id}"',) if instance_id else ()
    run(_settings(config, (*flags, *named)), is_verbose=verbose)


@main.command()
@click.argument("place")
@_PREFIX
@_CONFIG
@_SET
@click.option("--host", default="127.0.0.1", show_default=True, help="What to listen on; 0.0.0.0 in a container.")
@click.option("--port", type=click.IntRange(0, 65_535), default=6000, show_default=True, help="Of the gRPC service; 0 takes a free one.")
@click.option("--metrics-port", type=click.IntRange(0, 65_535), help="Serve Prometheus gauges there, too.")
@click.option("--stale", default="15m", show_default=True, help="How long advice stands when nothing more is heard.")
def scaler(place: str, prefix: str | None, config: Path | None, flags: tuple[str, ...], host: str, port: int, metrics_port: int | None, stale: str) -> None:
    """Answer KEDA with the scaling advice, over gRPC, until SIGTERM.

    PLACE is kafka://host:port, the database of an embedded optimizer, or the outputs of a replay (as fresh as their end).
    """
    import asyncio

    from .scaler import seconds, serve

    kafka = _kafka(config, flags, prefix=prefix)
    asyncio.run(serve(place, kafka, say=click.echo, host=host, port=port, metrics_port=metrics_port, stale_s=seconds(stale)))


@main.command()
@_KAFKA
@_PREFIX
@_CONFIG
@_SET
def allocate(kafka: str | None, prefix: str | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Divide the capacity of tracks that several scopes use between them, until SIGTERM.

    Reads windows and forecasts from Kafka and publishes capacity.allocated: by priority and need, for every [[capacity]] of the settings. Priorities are the
    scopes' own, as far as their config.changed came by that topic, or those of the [[capacity]]. May be stopped and started at any time.
    """
    from .allocate import run

    run(_settings(config, flags).model_copy(update={"kafka": _kafka(config, flags, kafka, prefix)}))


@main.command()
@click.option("--database", type=FILE, required=True, help="The database to work on; made where there is none.")
@click.option("--host", help="What to listen on; serve.host of the settings (127.0.0.1) unless told. Elsewhere than on loopback give a token.")
@click.option("--port", type=click.IntRange(0, 65_535), help="serve.port of the settings (8080) unless told; 0 takes a free one.")
@_CONFIG
@_SET
def serve(database: Path, host: str | None, port: int | None, config: Path | None, flags: tuple[str, ...]) -> None:
    """Serve the embedded optimizer over HTTP, until SIGTERM.

    Everything but /health and /ready asks for a token: POINTSMAN_TOKEN, or token of the settings; where there is none, one is made and shown here.
    """
    from .serve import run

    run(database, _settings(config, flags), has_config=bool(config or flags), host=host, port=port, say=click.echo)


@main.group(name="config", invoke_without_command=True)
@_CONFIG
@_SET
@click.pass_context
def config_group(ctx: click.Context, config: Path | None, flags: tuple[str, ...]) -> None:
    """Print the configuration in effect: file, then environment, then --set."""
    ctx.obj = (config, flags)
    if ctx.invoked_subcommand is None:
        click.echo(_settings(config, flags).model_dump_json(indent=2, exclude_none=True))


@config_group.command(name="check")
@_CONFIG
@_SET
@click.pass_obj
def config_check(outer: tuple[Path | None, tuple[str, ...]], config: Path | None, flags: tuple[str, ...]) -> None:
    """Say whether the configuration can be used, and if not, what to change."""
    from .core import Core

    Core(_optimization(config or outer[0], (*outer[1], *flags)))
    click.echo("the configuration is valid")


@main.command()
@click.argument("event_type", metavar="[TYPE]", required=False)
@click.option("--asyncapi", "document", is_flag=True, help="The AsyncAPI 3.0.0 document of all topics.")
@click.option("--list", "listing", is_flag=True, help="The event types.")
def schema(event_type: str | None, document: bool, listing: bool) -> None:
    """Print the JSON Schema (2020-12) of an event type, for example request.started/1."""
    from pointsman.schemas.asyncapi import asyncapi
    from pointsman.schemas.json_schema import event_types, json_schema

    if document:
        click.echo(json.dumps(asyncapi(channels()), indent=2))
    elif event_type is None or listing:
        click.echo("\n".join(event_types()))
    else:
        click.echo(json.dumps(json_schema(event_type), indent=2))


def channels() -> dict[str, tuple[str, ...]]:
    """Topics and the types each carries."""
    from pointsman.schemas import INPUTS

    from .topics import INPUT_TOPICS, OUTPUT_TOPICS

    found: dict[str, tuple[str, ...]] = {"pointsman.events": tuple(INPUTS), "pointsman.journal": tuple(INPUTS)}
    for kind, suffix in (*INPUT_TOPICS.items(), *OUTPUT_TOPICS.items()):
        name = f"pointsman.{suffix}"
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), kind)))
    return found


@main.command()
@click.option("--database", type=FILE, required=True, help="The database of an embedded optimizer.")
@_CONFIG
def status(database: Path, config: Path | None) -> None:
    """Print what an embedded optimizer knows, as JSON; the database is only read."""
    from .core import Core
    from .replay import ReplayError, database_lines, replay, stored_config

    if not database.is_file():
        raise ReplayError(f"{database}: no such database; give the file that Optimizer.open was given")
    own = None if config else stored_config(str(database))
    core = Core(own or _optimization(config))
    replay(database_lines(database), core, len, len)
    click.echo(json.dumps({scope: core.status(scope) for scope in core.scopes()}, indent=2))


@main.command()
@click.argument("series", type=FILE, metavar="SERIES.csv")
@click.option("--step", required=True, help="From one row to the next, for example 10m.")
@click.option("--start-delay", required=True, help="From deciding to having, for example 10m; rounded up to whole steps.")
@click.option("--output", type=FILE, required=True, help="timestamp,capacity: decided at the timestamp, there after the delay.")
@click.option("--unserved", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.01, show_default=True, help="Share of the demand.")
@click.option("--cooldown", default="10m", show_default=True, help="How long after a change nothing is lowered.")
@click.option("--minimum", type=click.FloatRange(min=0), default=0.0, show_default=True, help="In the units of the series.")
@click.option("--maximum", type=click.FloatRange(min=0), help="In the units of the series; none unless told.")
@click.option("--form", type=click.Choice(["full", "light"]), default="full", show_default=True, help="Of the forecaster.")
def scale(
    series: Path,
    step: str,
    start_delay: str,
    output: Path,
    unserved: float,
    cooldown: str,
    minimum: float,
    maximum: float | None,
    form: Literal["full", "light"],
) -> None:
    """Say, row by row, how much capacity to have after the start delay so that only a share of the demand is unserved.

    SERIES.csv is timestamp,value: demand, in any unit. A row is read only after the output for the earlier ones is written.
    """
    from .scale_series import scale_series

    limits = (minimum, float("inf") if maximum is None else maximum)
    click.echo(scale_series(series, output, step, start_delay, unserved=unserved, cooldown=cooldown, limits=limits, form=form))


@main.command()
@click.argument("place", type=FILE)
@_CONFIG
@_SET
@click.option("--scope", help="Only this scope.")
@click.option("--json", "as_json", is_flag=True, help="The reports as JSON.")
def models(place: Path, config: Path | None, flags: tuple[str, ...], scope: str | None, as_json: bool) -> None:
    """List the models of every track and metric: role, weight, errors, age, resets, coverage.

    PLACE is the database of an embedded optimizer or a recording, which is replayed, or what a replay wrote, whose last reports are shown.
    """
    from .models_listing import find, lines
    from .replay import stored_config

    own = stored_config(str(place)) if place.is_file() and config is None and not flags else None
    found = find(place, own or _optimization(config, flags), scope)
    if as_json:
        click.echo(json.dumps([report.model_dump(exclude={"event_id", "caused_by", "source"}) for report in found], indent=2))
        return
    for line in lines(found):
        click.echo(line)


@main.command(name="dead-letters")
@click.argument("file", type=FILE)
@click.option("--replay", "again", type=FILE, metavar="OUT", help="Write the original bytes, one line each, to mend and replay.")
def dead_letters(file: Path, again: Path | None) -> None:
    """List dead letters: place, code and sentence. FILE is what a replay left, or the database of an embedded optimizer."""
    from .recording import open_write, read_lines
    from .replay import database_dead_letters, is_database

    lines = database_dead_letters(file) if file.is_file() and is_database(file) else read_lines(file)
    letters = [_letter(file, number, line) for number, line in lines]
    if again is None:
        for letter in letters:
            click.echo(f"{letter.place}\t{letter.reason.code}\t{letter.reason.message}")
        return
    if again.resolve() == file.resolve():
        raise click.UsageError("--replay would overwrite the dead letters; give it another name")
    cut = 0
    with open_write(again) as written:
        for letter in letters:
            payload = base64.b64decode(letter.payload)
            if len(payload) < letter.payload_bytes:
                cut += 1
            else:
                written.write(payload + b"\n")
    click.echo(f"{len(letters) - cut} written, {cut} left out because only their beginning was kept")


def _letter(file: Path, number: int, line: bytes) -> Any:
    from pointsman.schemas import EventRejected, Refused, decode_output

    try:
        letter = decode_output(line)
    except Refused:
        letter = None
    if not isinstance(letter, EventRejected):
        raise _failure(f"{file}:{number}: not a dead letter; give the file that `pointsman replay` left beside its output")
    return letter


@main.command()
@click.option("--output", type=FILE, help="The figures as JSON.")
def bench(output: Path | None) -> None:
    """Measure throughput, decision time and state size on this machine."""
    import_module("pointsman.streams.bench").main(output)


@main.group()
def convert() -> None:
    """Make recordings from measurements: the demo's anew, or one of your own load."""


@convert.command()
@click.argument("vllm", type=click.Path(path_type=Path))
@click.argument("endpoint", type=FILE)
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
def latency(vllm: Path, endpoint: Path, output: Path) -> None:
    """A vLLM server (folder VLLM) and a hosted endpoint (file ENDPOINT), side by side."""
    _write(import_module("pointsman.streams.convert").convert(vllm, endpoint), output)


@convert.command()
@click.argument("prompts", type=FILE)
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--count", type=click.IntRange(min=1), default=900, show_default=True, help="How many prompts.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw of prompts, their order and the logged choices.")
def routing(prompts: Path, output: Path, count: int, seed: int) -> None:
    """Prompts that every model answered (ParetoBandit's val.jsonl.gz); the texts are sketched and dropped."""
    _write(import_module("pointsman.streams.convert_routing").convert_routing(prompts, count, seed), output)


@convert.command()
@click.argument("series", type=FILE)
@click.option("--output", type=FILE, required=True, help="The recording to write; .gz and .zst are compressed.")
@click.option("--requests-per-row", type=click.FloatRange(min=0, min_open=True), required=True, help="How many requests the mean row becomes.")
@click.option("--column", help="Which column has the rates; the second unless told.")
@click.option("--latency", "latency_s", type=click.FloatRange(min=0, min_open=True), default=20.0, show_default=True, help="Mean latency in seconds.")
@click.option("--rows", type=click.IntRange(min=2), help="Only the first so many rows.")
@click.option("--track", default="local", show_default=True, help="The track that serves every request.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the places of the arrivals in their row, and of the lengths.")
def load(series: Path, output: Path, requests_per_row: float, column: str | None, latency_s: float, rows: int | None, track: str, seed: int) -> None:
    """A recorded series of rates (SERIES, timestamp and value) as requests that arrive in proportion to it; lengths and latencies are drawn."""
    from .convert_load import convert_load, read_rates

    _write(convert_load(read_rates(series, column)[:rows], requests_per_row, latency_s, track, seed), output)


def _write(events: Iterable[dict[str, Any]], output: Path) -> None:
    from .recording import open_write

    count = 0
    with open_write(output) as file:
        for event in events:
            file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            count += 1
    click.echo(f"{count} events")


if __name__ == "__main__":
    main()
