"""Rules, dashboard, Postman collection, CloudWatch files."""

import json
import re
import subprocess
import time

import expressions
from report import expect, step, within
from servers import API, PACK, ROOT, ask, create, get, tool

NEWMAN = "6.2.2"
# What an appliance exposes only once it has happened: a series without its labels is not written.
ONLY_WHEN_IT_HAPPENED = {"flask_http_request_exceptions_total"}
# Panels of what did not happen in this run: failures.
QUIET = re.compile(r"flask_http_request_exceptions_total|status=~\"5\.\.\"|changes\(")


def call(words, timeout=120, cwd=ROOT):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout, cwd=cwd, stdin=subprocess.DEVNULL)
    expect(done.returncode == 0, words[0], "says:", (done.stdout + done.stderr)[-1500:])
    return done.stdout + done.stderr


@step("promtool accepts the configuration and the rules, and each alert fires in its test")
def rules(_):
    promtool = tool("promtool")
    call([promtool, "check", "config", PACK / "prometheus/prometheus.yml"])
    call([promtool, "check", "rules", PACK / "prometheus/alerts.yml"])
    call([promtool, "test", "rules", ROOT / "tests/monitoring/alerts.test.yml"])
    alerts = set(re.findall(r"- alert: (\S+)", (PACK / "prometheus/alerts.yml").read_text()))
    fired = set(re.findall(r'alertname="(\w+)', (ROOT / "tests/monitoring/alerts.test.yml").read_text()))
    expect(alerts == fired, "without a test:", alerts - fired)
    return f"{len(alerts)} alerts"


@step("Prometheus scrapes every instance with the example's configuration, and no alert is pending")
def scraped(world):
    def up():
        return sum(series["value"][1] == "1" for series in world.prometheus.query('up{job="attendance-api"}')) == 3

    within(20, "three instances up", up)
    states = {alert["labels"]["alertname"] for alert in json.loads(get(world.prometheus.port, "/api/v1/alerts")[2])["data"]["alerts"]}
    expect(not states, "alerts:", states)


@step("every expression of the dashboard is accepted and has data")
def dashboard(world):
    for server in (world.alone, world.one):
        traffic(server.port)
    found = expressions.dashboard()
    expect(len(found) > 20, "expressions found:", len(found))
    # Two scrapes after the traffic, for rates.
    time.sleep(3)
    traffic(world.alone.port)
    empty = [expression for expression in found if not world.prometheus.query(expression) and not QUIET.search(expression)]
    expect(not empty, "no data for:", "\n".join(empty))
    return f"{len(found)} expressions"


def traffic(port):
    """Something of everything that is counted."""
    for number in range(5):
        create(port, f"dashboard-{number}")
    for number in (*range(5), *range(5), 99):
        get(port, f"{API}/search?id=dashboard-{number}")
    get(port, f"{API}/search/all?limit=2")
    get(port, f"{API}/health")
    get(port, "/no/such/page")
    ask(port, "POST", f"{API}/create", "{", {"Content-Type": "application/json"})


@step("every metric that the dashboard and the alerts name is one that an appliance exposes")
def names(world):
    exposed = expressions.exposed(world.alone.metrics()) | expressions.exposed(world.one.metrics())
    alerts = expressions.alerts(world.prometheus)
    expect(len(alerts) > 10, "alerts found:", len(alerts))
    named = set().union(*map(expressions.metrics, [*expressions.dashboard(), *alerts]))
    unknown = named - exposed - ONLY_WHEN_IT_HAPPENED
    expect(not unknown, "nobody exposes", unknown)
    return f"{len(named)} metrics"


@step("every alert expression is accepted by Prometheus")
def alert_expressions(world):
    alerts = expressions.alerts(world.prometheus)
    for expression in alerts:
        world.prometheus.query(expression)
    return f"{len(alerts)} expressions"


@step("the Postman collection is green in newman, twice on one database")
def postman(world):
    home = ROOT / "target/newman"
    program = home / "node_modules/.bin/newman"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        call([tool("npm"), "install", "--no-audit", "--no-fund", "--prefix", home, f"newman@{NEWMAN}"], 600)
    collection = PACK / "postman/attendance-api.postman_collection.json"
    report = world.work / "newman.json"
    for _ in range(2):
        words = [program, "run", collection, "--env-var", f"baseUrl=http://127.0.0.1:{world.alone.port}"]
        call([*words, "--reporters", "json", "--reporter-json-export", report, "--timeout-request", "10000"])
        stats = json.loads(report.read_text())["run"]["stats"]
        for kind in ("requests", "assertions"):
            expect(stats[kind]["total"] > 0 and stats[kind]["failed"] == 0, kind, stats[kind])
    return f"{stats['requests']['total']} requests, {stats['assertions']['total']} assertions"


@step("the CloudWatch files name what exists: units, files of the package, metrics")
def cloudwatch(world):
    exposed = expressions.exposed(world.alone.metrics()) | expressions.exposed(world.one.metrics())
    for file in ("agent-journald.json", "agent-syslog.json"):
        text = (PACK / "cloudwatch" / file).read_text()
        agent = json.loads(text)
        for unit in re.findall(r'"(\S+\.service)"', text):
            expect((ROOT / "systemd" / unit).exists(), file, "names", unit)
        prometheus = agent["logs"]["metrics_collected"]["prometheus"]
        inside = prometheus["prometheus_config_path"].removeprefix("/usr/share/attendance-api/")
        expect((PACK / inside).exists(), file, "names", inside)
        named = expressions.metrics(json.dumps(prometheus["emf_processor"]))
        expect(named and not named - exposed - ONLY_WHEN_IT_HAPPENED, file, "names", named - exposed)
    call([tool("promtool"), "check", "config", PACK / "cloudwatch/prometheus.yml"])
