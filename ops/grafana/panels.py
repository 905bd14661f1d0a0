"""The panels of the Grafana dashboard: what each shows, and the queries behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

SCOPE = 'scope=~"$scope"'
TRACK = f'{SCOPE},track=~"$track"'
RATE = "$__rate_interval"

Query = tuple[str, str]  # an expression, and the legend of what it gives


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: its title, what it shows, its queries, and how they are drawn."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    band: bool = False  # dash the lines whose legends end in `lower` and `upper`
    stacked: bool = False
    steps: Sequence[tuple[str, float]] = field(default_factory=tuple)  # colours from these values on


def quantile(share: float, metric: str) -> str:
    """A quantile of a histogram, per scope and track."""
    return f"histogram_quantile({share}, sum by (scope, track, le) (rate({metric}_bucket{{{TRACK}}}[{RATE}])))"


def rate(metric: str, labels: str = TRACK, by: str = "scope, track", more: str = "") -> str:
    """Sums of rates."""
    return f"sum by ({by}) (rate({metric}{{{labels}{more}}}[{RATE}]))"


def band(metric: str, labels: str, legend: str) -> list[Query]:
    """A median with the ends of its interval."""
    return [(f'{metric}{{{labels},bound="{bound}"}}', f"{legend} {bound}") for bound in ("median", "lower", "upper")]


def forecast(metric: str) -> list[Query]:
    """The forecast ten minutes ahead of a series of the scope."""
    return band("pointsman_forecast", f'{SCOPE},track="",host="",metric="{metric}",horizon_seconds="600"', "{{scope}}")


LEGEND = "{{scope}}/{{track}}"
SUCCEEDED = rate("pointsman_requests_total", more=',outcome="success"')
COUNTED = rate("pointsman_requests_total", more=',outcome!~"client|cancelled"')
REQUESTS = rate("pointsman_requests_total")

ROWS: dict[str, list[Panel]] = {
    "Now": [
        Panel(
            "Requests", "Completed requests of all tracks.", "reqps", [(f"sum(rate(pointsman_requests_total{{{TRACK}}}[{RATE}]))", "requests")], "stat", 4, 4
        ),
        Panel(
            "Success",
            "Share of the requests that succeed; what clients broke off or got wrong is not counted.",
            "percentunit",
            [(f"sum({SUCCEEDED}) / (sum({COUNTED}) > 0)", "success")],
            "stat",
            4,
            4,
            steps=[("red", 0.0), ("orange", 0.9), ("green", 0.99)],
        ),
        Panel(
            "Latency p95",
            "95th percentile of the latency of successful requests, over all tracks.",
            "s",
            [(f"histogram_quantile(0.95, sum by (le) (rate(pointsman_request_latency_seconds_bucket{{{TRACK}}}[{RATE}])))", "p95")],
            "stat",
            4,
            4,
        ),
        Panel(
            "Cost",
            "US dollars an hour, at the present pace.",
            "currencyUSD",
            [(f"3600 * sum(rate(pointsman_cost_usd_total{{{TRACK}}}[{RATE}]))", "an hour")],
            "stat",
            4,
            4,
        ),
        Panel(
            "Alerts that stand",
            "What Pointsman has raised and not resolved.",
            "short",
            [(f"sum(pointsman_alerts_active{{{SCOPE}}}) or vector(0)", "alerts")],
            "stat",
            4,
            4,
            steps=[("green", 0.0), ("orange", 1.0)],
        ),
        Panel("Ready", "1 while events are taken.", "short", [("min(pointsman_ready)", "ready")], "stat", 4, 4, steps=[("red", 0.0), ("green", 1.0)]),
    ],
    "Traffic": [
        Panel("Requests a second", "Completed requests, by track.", "reqps", [(REQUESTS, LEGEND)], stacked=True),
        Panel(
            "Where traffic is recommended to go",
            "Probability with which a usual request is sent to a track.",
            "percentunit",
            [(f"pointsman_recommended_ratio{{{TRACK}}}", LEGEND)],
            stacked=True,
        ),
        Panel(
            "In flight",
            "Requests predicted and not completed, and how many a track should have.",
            "short",
            [(f"pointsman_requests_in_flight{{{TRACK}}}", LEGEND), (f"pointsman_track_max_concurrency{{{TRACK}}}", f"{LEGEND} limit")],
        ),
        Panel(
            "Tokens a second",
            "Tokens of completed requests, by direction.",
            "short",
            [(rate("pointsman_tokens_total", by="scope, track, direction"), f"{LEGEND} {{{{direction}}}}")],
        ),
        Panel(
            "Strategy and mode",
            "The strategy and the mode in force.",
            "short",
            [(f"pointsman_scope_strategy{{{SCOPE}}} == 1", "{{scope}} {{strategy}}"), (f"pointsman_scope_mode{{{SCOPE}}} == 1", "{{scope}} {{mode}}")],
        ),
        Panel(
            "Cache hits", "Share of the requests that a cache answered.", "percentunit", [(f"{rate('pointsman_cache_hits_total')} / ({REQUESTS} > 0)", LEGEND)]
        ),
    ],
    "Latency": [
        Panel(
            "Latency",
            "Median and 95th percentile of successful requests, from histogram buckets.",
            "s",
            [(quantile(0.5, "pointsman_request_latency_seconds"), f"{LEGEND} p50"), (quantile(0.95, "pointsman_request_latency_seconds"), f"{LEGEND} p95")],
        ),
        Panel(
            "Latency predicted and actual",
            "Median of what was predicted of each request before its outcome, beside the median of the outcomes.",
            "s",
            [
                (quantile(0.5, "pointsman_request_predicted_latency_seconds"), f"{LEGEND} predicted"),
                (quantile(0.5, "pointsman_request_latency_seconds"), f"{LEGEND} actual"),
            ],
        ),
        Panel(
            "Expected of a usual request",
            "Median and 90 % interval of the latency that the newest recommendation expects.",
            "s",
            band("pointsman_track_expected_latency_seconds", TRACK, LEGEND),
            band=True,
        ),
        Panel(
            "Time to first token",
            "Median and 95th percentile.",
            "s",
            [(quantile(0.5, "pointsman_request_ttft_seconds"), f"{LEGEND} p50"), (quantile(0.95, "pointsman_request_ttft_seconds"), f"{LEGEND} p95")],
        ),
        Panel(
            "Where latencies fell",
            "Share of the outcomes below, inside and above their 90 % interval: 5, 90 and 5 % are promised.",
            "percentunit",
            [
                (
                    f"{rate('pointsman_request_interval_total', by='scope, track, position')} / on (scope, track) group_left () "
                    f"({rate('pointsman_request_interval_total')} > 0)",
                    f"{LEGEND} {{{{position}}}}",
                )
            ],
        ),
        Panel(
            "Coverage",
            "Share of the last 500 outcomes inside their 90 % interval.",
            "percentunit",
            [(f"pointsman_prediction_coverage_ratio{{{TRACK}}}", f"{LEGEND} {{{{metric}}}}")],
        ),
        Panel(
            "Error of the predictions",
            "WAPE of the model in charge: sum of the errors over sum of the outcomes.",
            "percentunit",
            [(f"pointsman_prediction_wape_ratio{{{TRACK}}}", f"{LEGEND} {{{{metric}}}}")],
        ),
        Panel("Timeouts", "How long to wait for an answer.", "s", [(f"pointsman_track_timeout_seconds{{{TRACK}}}", LEGEND)]),
        Panel(
            "Weights of the models",
            "Share of each model in what is predicted of latency.",
            "percentunit",
            [(f'pointsman_model_weight_ratio{{{TRACK},metric="latency_ms"}}', f"{LEGEND} {{{{model}}}}")],
            stacked=True,
        ),
    ],
    "Success, health and quality": [
        Panel(
            "Success",
            "Share of the requests that succeed, without what clients broke off or got wrong.",
            "percentunit",
            [(f"({SUCCEEDED} or 0 * {REQUESTS}) / ({COUNTED} > 0)", LEGEND)],
        ),
        Panel(
            "Failures",
            "Failed requests a second, by class.",
            "reqps",
            [(rate("pointsman_requests_total", by="scope, track, outcome", more=',outcome!="success"'), f"{LEGEND} {{{{outcome}}}}")],
        ),
        Panel(
            "Health",
            "The state of each track: healthy, degraded, cooldown, ejected or probing.",
            "short",
            [(f"pointsman_track_health{{{TRACK}}} == 1", f"{LEGEND} {{{{state}}}}")],
            "state-timeline",
        ),
        Panel(
            "Quality",
            "Mean of the quality scores.",
            "percentunit",
            [(f"{rate('pointsman_request_quality_ratio_sum')} / ({rate('pointsman_request_quality_ratio_count')} > 0)", LEGEND)],
        ),
        Panel(
            "Expected quality",
            "Median and 90 % interval of what the newest recommendation expects.",
            "percentunit",
            band("pointsman_track_expected_quality_ratio", TRACK, LEGEND),
            band=True,
        ),
    ],
    "Cost and budget": [
        Panel("Cost an hour", "US dollars an hour, by track.", "currencyUSD", [(f"3600 * {rate('pointsman_cost_usd_total')}", LEGEND)], stacked=True),
        Panel(
            "Budget spent and projected",
            "Share of the hourly or daily budget that is spent, and that will be at its end at the pace of late.",
            "percentunit",
            [
                (f"pointsman_budget_spent_ratio{{{SCOPE}}}", "{{scope}} {{budget}} spent"),
                (f"pointsman_budget_projected_ratio{{{SCOPE}}}", "{{scope}} {{budget}} projected"),
            ],
        ),
        Panel(
            "Cost of a request",
            "US dollars a completed request, beside what a usual one is expected to cost.",
            "currencyUSD",
            [
                (f"{rate('pointsman_cost_usd_total')} / ({REQUESTS} > 0)", LEGEND),
                (f'pointsman_track_expected_cost_usd{{{TRACK},bound="median"}}', f"{LEGEND} expected"),
            ],
        ),
        Panel("Budget limits", "The configured budgets.", "currencyUSD", [(f"pointsman_budget_limit_usd{{{SCOPE}}}", "{{scope}} {{budget}}")], "stat"),
    ],
    "Forecasts and scaling": [
        Panel(
            "Arrival rate in ten minutes", "Forecast of the requests that will start, median and 90 % interval.", "reqps", forecast("arrival_rate"), band=True
        ),
        Panel("Tokens in ten minutes", "Forecast of the output tokens a second, median and 90 % interval.", "short", forecast("token_rate"), band=True),
        Panel("Concurrency in ten minutes", "Forecast of the requests in flight, median and 90 % interval.", "short", forecast("concurrency"), band=True),
        Panel(
            "Resources in ten minutes",
            "Median forecast of what hosts use, each in its own unit.",
            "short",
            [
                (f'pointsman_forecast{{{SCOPE},host!="",bound="median",horizon_seconds="600"}}', "{{host}} {{metric}}"),
                (f'pointsman_forecast_limit{{{SCOPE},host!="",horizon_seconds="600"}}', "{{host}} {{metric}} limit"),
            ],
        ),
        Panel(
            "Time to the limit",
            "Time until the median of a forecast is beyond its limit; nothing where no limit is in sight.",
            "s",
            [(f"min by (host, metric) (pointsman_forecast_time_to_limit_seconds{{{SCOPE}}})", "{{host}} {{metric}}")],
        ),
        Panel(
            "Scaling advice",
            "Advised and present replicas, or requests at once.",
            "short",
            [
                (f"pointsman_scaling_desired_replicas{{{TRACK}}}", f"{LEGEND} desired replicas"),
                (f"pointsman_scaling_current_replicas{{{TRACK}}}", f"{LEGEND} current replicas"),
                (f"pointsman_scaling_desired_concurrency{{{TRACK}}}", f"{LEGEND} desired concurrency"),
            ],
        ),
    ],
    "Resources against limits": [
        Panel(
            "Memory",
            "Memory in use, beside the limit of the configuration.",
            "decbytes",
            [(f"pointsman_resource_memory_used_bytes{{{SCOPE}}}", "{{host}}"), (f"pointsman_limit_memory_bytes{{{SCOPE}}}", "{{scope}} limit")],
            width=6,
        ),
        Panel(
            "GPU memory",
            "GPU memory in use, beside the limit of the configuration.",
            "decbytes",
            [(f"pointsman_resource_gpu_memory_used_bytes{{{SCOPE}}}", "{{host}}"), (f"pointsman_limit_gpu_memory_bytes{{{SCOPE}}}", "{{scope}} limit")],
            width=6,
        ),
        Panel(
            "Processor and GPU",
            "Shares in use, beside the limit of the processor.",
            "percentunit",
            [
                (f"pointsman_resource_cpu_ratio{{{SCOPE}}}", "{{host}} cpu"),
                (f"pointsman_resource_gpu_ratio{{{SCOPE}}}", "{{host}} gpu"),
                (f"pointsman_limit_cpu_ratio{{{SCOPE}}}", "{{scope}} limit"),
            ],
            width=6,
        ),
        Panel(
            "Temperature and battery",
            "Temperature in °C, battery in percent.",
            "short",
            [(f"pointsman_resource_temperature_celsius{{{SCOPE}}}", "{{host}} °C"), (f"100 * pointsman_resource_battery_ratio{{{SCOPE}}}", "{{host}} battery")],
            width=6,
        ),
        Panel(
            "Reported by hosts",
            "Any other number, in its own unit: queues, KV cache, tokens.",
            "short",
            [(f"pointsman_resource_reported{{{SCOPE}}}", "{{host}} {{gauge}}")],
            width=12,
        ),
    ],
    "Alerts": [
        Panel(
            "Alerts by kind and severity",
            "What Pointsman has raised and not resolved.",
            "short",
            [(f"pointsman_alerts_active{{{SCOPE}}}", "{{scope}} {{kind}} {{severity}}")],
            stacked=True,
            width=12,
        ),
        Panel(
            "Rules that fire",
            "Alerts of ops/prometheus/alerts.yml.",
            "short",
            [('sum by (alertname, severity) (ALERTS{alertname=~"Pointsman.*",alertstate="firing"})', "{{alertname}}")],
            stacked=True,
            width=12,
        ),
    ],
    "Pointsman itself": [
        Panel(
            "Events",
            "Events recorded and refused a second.",
            "eps",
            [
                (f"sum(rate(pointsman_events_accepted_total[{RATE}]))", "recorded"),
                (f"sum by (code) (rate(pointsman_events_rejected_total[{RATE}]))", "refused: {{code}}"),
            ],
        ),
        Panel("Outputs", "Outputs emitted a second, by type.", "eps", [(f"sum by (type) (rate(pointsman_outputs_total[{RATE}]))", "{{type}}")]),
        Panel(
            "Waiting and subscribers",
            "Events that wait to be recorded, subscribers, and those let go because they were too slow.",
            "short",
            [
                ("pointsman_events_waiting", "waiting"),
                ("pointsman_stream_subscribers", "subscribers"),
                ("increase(pointsman_stream_cut_off_total[10m])", "let go"),
            ],
        ),
        Panel(
            "Time to answer",
            "99th percentile of the answers, by route.",
            "s",
            [(f"histogram_quantile(0.99, sum by (route, le) (rate(pointsman_http_request_duration_seconds_bucket[{RATE}])))", "{{route}}")],
        ),
        Panel(
            "Answers",
            "Answers a second, by route and status.",
            "reqps",
            [(f"sum by (route, code) (rate(pointsman_http_requests_total[{RATE}]))", "{{route}} {{code}}")],
        ),
        Panel(
            "Age of the newest event",
            "How far event time is behind the clock, by scope.",
            "s",
            [(f"time() - pointsman_scope_last_event_timestamp_seconds{{{SCOPE}}}", "{{scope}}")],
        ),
        Panel(
            "Recommendation ends in",
            "Time until the newest recommendation ends; below 0 it is out of date.",
            "s",
            [(f"pointsman_recommendation_expires_timestamp_seconds{{{SCOPE}}} - time()", "{{scope}}")],
        ),
        Panel("Process", "Share of one processor.", "percentunit", [(f'rate(process_cpu_seconds_total{{job="pointsman"}}[{RATE}])', "{{instance}}")]),
        Panel("Resident memory", "Memory of the process.", "bytes", [('process_resident_memory_bytes{job="pointsman"}', "{{instance}}")]),
        Panel(
            "Series",
            "Series of gauges kept here, those dropped, and events counted as other.",
            "short",
            [
                ("pointsman_series", "kept"),
                ("increase(pointsman_series_evicted_total[1h])", "dropped"),
                ("increase(pointsman_label_overflow_total[1h])", "counted as other"),
            ],
        ),
    ],
}
