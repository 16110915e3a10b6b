"""The PromQL expressions of the dashboard and of the alert rules, and the metrics that they name."""

import json
import re

from servers import PACK, ROOT, get

NAME = re.compile(r"\b(?:attendance_api|flask|process)_[a-z0-9_]+")
STATUS, ANY_STATUS = re.compile(r'status=~?"[^"]*"'), 'status!=""'
# Metrics that are exposed with access control only.
ACCESS_METRICS = {"attendance_api_logins_total", "attendance_api_sessions_active", "attendance_api_credential_lookups_total"}
# Metrics that are exposed only after their event has happened: a series is written from its first value on.
EVENT_METRICS = {"flask_http_request_exceptions_total"} | ACCESS_METRICS
# The values of the dashboard's variables in this test.
VARIABLES = {"$job": "attendance-api", "$instance": ".*", "$__rate_interval": "10s", "$__interval": "10s", "$__range": "1m"}


def dashboard():
    """Returns every expression of the dashboard, with the variables replaced."""
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
    return [replace_variables(expression) for expression in found]


def replace_variables(expression):
    for name in sorted(VARIABLES, key=len, reverse=True):
        expression = expression.replace(name, VARIABLES[name])
    return expression


def rules(prometheus):
    """Returns the alert rules as Prometheus has read them."""
    groups = json.loads(get(prometheus.port, "/api/v1/rules")[2])["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts(prometheus):
    """Returns every expression of the alert rules."""
    return [rule["query"] for rule in rules(prometheus)]


def without_default(expression):
    """Removes the default of zero, with which an expression always has data."""
    return expression.replace(" or vector(0)", "")


def selects_failures(expression):
    """Returns whether the expression counts failed requests."""
    return 'status=~"5..' in expression


def selectors(expression):
    """Returns the series that an expression selects: each metric with its labels, of any status."""
    found = re.findall(r"\b([a-z_][a-z0-9_]*)\{([^}]*)\}", expression)
    return {f"{name}{{{STATUS.sub(ANY_STATUS, labels)}}}" for name, labels in found}


def metrics(expression):
    """Returns the metrics that an expression names."""
    return set(NAME.findall(expression))


def exposed(text):
    """Returns the names of the series that an appliance exposes."""
    return set(re.findall(r"^([a-z_][a-z0-9_]*)[{ ]", text, re.MULTILINE))


def is_event_metric(metric):
    """Returns whether a metric of the sources is exposed only after its event has happened."""
    sources = (path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    return metric in EVENT_METRICS and any(f'"{metric}"' in source for source in sources)
