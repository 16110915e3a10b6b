"""The PromQL of the dashboard and of the alert rules, and the metrics they name."""

import json
import re

from servers import PACK, ROOT, get

NAME = re.compile(r"\b(?:attendance_api|flask|process)_[a-z0-9_]+")
STATUS, ANY_STATUS = re.compile(r'status=~?"[^"]*"'), 'status!=""'
# What an appliance exposes only once it has happened: a series without its labels is not written.
ONLY_WHEN_IT_HAPPENED = {"flask_http_request_exceptions_total"}
# What the dashboard's variables stand for here.
VARIABLES = {"$job": "attendance-api", "$instance": ".*", "$__rate_interval": "10s", "$__interval": "10s", "$__range": "1m"}


def dashboard():
    """Every expression of the dashboard, with its variables filled in."""
    found = []

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("expr"), str):
                found.append(value["expr"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads((PACK / "grafana/attendance-api.json").read_text()))
    return [filled(expression) for expression in found]


def filled(expression):
    for name in sorted(VARIABLES, key=len, reverse=True):
        expression = expression.replace(name, VARIABLES[name])
    return expression


def rules(prometheus):
    """The alert rules, as Prometheus read them."""
    groups = json.loads(get(prometheus.port, "/api/v1/rules")[2])["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts(prometheus):
    """Every expression of the alert rules."""
    return [rule["query"] for rule in rules(prometheus)]


def bare(expression):
    """Without the zero that stands for nothing: it would be data in any case."""
    return expression.replace(" or vector(0)", "")


def failures(expression):
    """Whether it looks at requests that failed."""
    return 'status=~"5..' in expression


def selectors(expression):
    """The series it looks at: each metric with its labels, of whatever status."""
    found = re.findall(r"\b([a-z_][a-z0-9_]*)\{([^}]*)\}", expression)
    return {f"{name}{{{STATUS.sub(ANY_STATUS, labels)}}}" for name, labels in found}


def metrics(expression):
    """The metrics that an expression names."""
    return set(NAME.findall(expression))


def exposed(text):
    """The metrics that an appliance exposes, by the names of their series."""
    return set(re.findall(r"^([a-z_][a-z0-9_]*)[{ ]", text, re.MULTILINE))


def rare(metric):
    """Whether the sources have a metric that is exposed only once it has happened."""
    return metric in ONLY_WHEN_IT_HAPPENED and f'"{metric}"' in (ROOT / "src/telemetry/metrics.rs").read_text()
