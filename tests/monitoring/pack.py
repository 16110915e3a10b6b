"""Rules, dashboard, Postman collection, CloudWatch files."""

import json
import re
import time

import expressions
from report import Failed, expect, step, within
from servers import API, PACK, ROOT, ask, call, create, get, tool

NEWMAN = "6.2.2"
# The panel of the restarts of the last minute, of which there were none yet.
QUIET = "changes("


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


@step("Prometheus scrapes every instance with the example's configuration and judges every rule; no alert is pending")
def scraped(world):
    prometheus = world.prometheus

    def up():
        return sum(series["value"][1] == "1" for series in prometheus.query('up{job="attendance-api"}')) == 3

    within(20, "three instances up", up)
    # Judged after all were up: twice, for the first time may have been before.
    time.sleep(2)
    within(20, "every rule judged", lambda: all(rule["health"] == "ok" for rule in expressions.rules(prometheus)))
    expect(not prometheus.alerts(), "alerts:", prometheus.alerts())


@step("an instance that is stopped is told by AttendanceApiDown, and no longer when it is back")
def down(world):
    world.two.stop()
    within(20, "the alert", lambda: prometheus_says(world, f"127.0.0.1:{world.two.port}"))
    world.two.start()
    within(20, "the end of the alert", lambda: not world.prometheus.alerts())


def prometheus_says(world, instance):
    return ("AttendanceApiDown", instance) in world.prometheus.alerts()


@step("every expression of the dashboard is accepted and has data")
def dashboard(world):
    found = expressions.dashboard()
    expect(len(found) > 20, "expressions found:", len(found))
    for expression in found:
        world.prometheus.query(expression)
    asked = [expressions.bare(one) for one in found if QUIET not in one and not expressions.failures(one)]
    asked = [one for one in asked if not any(map(expressions.rare, expressions.metrics(one)))]
    empty = asked

    def full():
        nonlocal empty
        for server in (world.alone, world.one):
            traffic(server.port)
        time.sleep(1)
        empty = [expression for expression in asked if not world.prometheus.query(expression)]
        return not empty

    try:
        within(15, "data", full)
    except Failed:
        raise Failed("no data for:\n" + "\n".join(empty)) from None
    return f"{len(found)} accepted, {len(asked)} with data"


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
    unknown = {name for name in named - exposed if not expressions.rare(name)}
    expect(not unknown, "nobody exposes", unknown)
    return f"{len(named)} metrics"


@step("every alert expression is accepted by Prometheus, and the series it looks at exist")
def alert_expressions(world):
    alerts = expressions.alerts(world.prometheus)
    series = set()
    for expression in alerts:
        world.prometheus.query(expression)
        series |= {one for one in expressions.selectors(expression) if not any(map(expressions.rare, expressions.metrics(one)))}
    expect(len(series) > 15, "series found:", series)
    none = [one for one in series if not world.prometheus.query(one)]
    expect(not none, "nothing is", none)
    return f"{len(alerts)} expressions, {len(series)} kinds of series"


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
        units = re.findall(r'"(\S+\.service)"', text)
        expect(units or "journald" not in file, file, "names no unit")
        for unit in units:
            expect((ROOT / "systemd" / unit).exists(), file, "names", unit)
        prometheus = agent["logs"]["metrics_collected"]["prometheus"]
        inside = prometheus["prometheus_config_path"].removeprefix("/usr/share/attendance-api/")
        expect((PACK / inside).exists(), file, "names", inside)
        named = expressions.metrics(json.dumps(prometheus["emf_processor"]))
        unknown = {name for name in named - exposed if not expressions.rare(name)}
        expect(named and not unknown, file, "names", unknown)
    call([tool("promtool"), "check", "config", PACK / "cloudwatch/prometheus.yml"])
