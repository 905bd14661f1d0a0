"""Prints the Grafana dashboard over the metrics of `pointsman serve`: python ops/grafana/dashboard.py > ops/grafana/pointsman.json"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from panels import ROWS, SCOPE, Panel

SCHEMA_VERSION = 41
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    return {
        "uid": "pointsman",
        "title": "Pointsman",
        "description": "Traffic, predictions, recommendations, budgets, forecasts and resources of LLM tracks, from /metrics of pointsman serve.",
        "tags": ["pointsman", "llm"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "timepicker": {},
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                _source(),
                _variable("scope", "label_values(pointsman_requests_total, scope)"),
                _variable("track", f"label_values(pointsman_requests_total{{{SCOPE}}}, track)"),
            ]
        },
        "panels": list(_placed()),
    }


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    chosen = {"selected": True, "text": ["All"], "value": ["$__all"]}
    asked = {"query": query, "refId": name}
    fields = {"datasource": SOURCE, "query": asked, "refresh": 2, "sort": 1, "includeAll": True, "allValue": ".*", "multi": True}
    return {"name": name, "label": name.capitalize(), "type": "query", "hide": 0, "current": chosen} | fields


def _placed() -> Iterator[dict[str, Any]]:
    number = y = 0
    for title, panels in ROWS.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        x, y, height = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            number, height = number + 1, panel.height
            yield _panel(panel, number, x, y)
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    targets = [
        {"datasource": SOURCE, "editorMode": "code", "expr": expression, "legendFormat": legend, "range": True, "refId": chr(ord("A") + place)}
        for place, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _bands() if panel.band else []},
        "options": _options(panel),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"color": colour, "value": value if place else None} for place, (colour, value) in enumerate(panel.steps or [("green", 0.0)])]
    found: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.steps else "palette-classic"},
    }
    if panel.unit == "percentunit":
        found |= {"min": 0}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        found["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "auto",
            "spanNulls": 120_000,
            "stacking": stacking,
        }
    return found


def _bands() -> list[dict[str, Any]]:
    """Thin lines at the ends of an interval; Grafana fills between two series only by their whole names, which are not known here."""
    thin = [{"id": "custom.lineWidth", "value": 1}, {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [4, 4]}}]
    return [{"matcher": {"id": "byRegexp", "options": ".* (lower|upper)$"}, "properties": thin}]


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto"}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    if panel.kind == "state-timeline":
        return {"legend": legend, "tooltip": {"mode": "single", "sort": "none"}, "showValue": "never", "mergeValues": True, "rowHeight": 0.9}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def text() -> str:
    """What stands in pointsman.json."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
