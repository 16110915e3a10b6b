"""The PromQL of the dashboard and of the alert rules, and the metrics they name."""

import json
import re

from servers import PACK, get

# Words in expressions that look like metrics and are none.
NAME = re.compile(r"\b(?:attendance_api|flask|process)_[a-z0-9_]+")
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


def alerts(prometheus):
    """Every expression of the alert rules, as Prometheus read them."""
    groups = json.loads(get(prometheus.port, "/api/v1/rules")[2])["data"]["groups"]
    return [rule["query"] for group in groups for rule in group["rules"]]


def metrics(expression):
    """The metrics that an expression names; a histogram's series by their common name."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(expression)}


def exposed(text):
    """The metrics that an appliance exposes."""
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
