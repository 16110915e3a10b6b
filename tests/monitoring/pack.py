"""Alert rules, dashboard, Postman collection, CloudWatch files."""

import json
import re
import time

import expressions
from report import StepError, expect, step, wait_until
from servers import API, PACK, PASSWORD, PROGRAM, ROOT, Appliance, ask, call, create, get, tool, unprivileged

NEWMAN = "6.2.2"
# The panel of restarts in the last minute; there were none yet.
RESTARTS_PANEL = "changes("


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


@step("Prometheus scrapes every instance with the example's configuration and evaluates every rule; no alert is pending")
def scraped(world):
    prometheus = world.prometheus

    def up():
        return sum(series["value"][1] == "1" for series in prometheus.query('up{job="attendance-api"}')) == 3

    wait_until(20, "three instances up", up)
    # Long enough for two evaluations: the first may have been before all instances were up.
    time.sleep(2)
    wait_until(20, "every rule is evaluated", lambda: all(rule["health"] == "ok" for rule in expressions.rules(prometheus)))
    expect(not prometheus.alerts(), "alerts:", prometheus.alerts())


@step("AttendanceApiDown fires for a stopped instance, and ends after its start")
def down(world):
    world.two.stop()
    wait_until(20, "the alert", lambda: is_reported_down(world, f"127.0.0.1:{world.two.port}"))
    world.two.start()
    wait_until(20, "the end of the alert", lambda: not world.prometheus.alerts())


def is_reported_down(world, instance):
    return ("AttendanceApiDown", instance) in world.prometheus.alerts()


@step("every expression of the dashboard is accepted and has data")
def dashboard(world):
    found = expressions.dashboard()
    expect(len(found) > 20, "expressions found:", len(found))
    for expression in found:
        world.prometheus.query(expression)
    queried = [expressions.without_default(one) for one in found if RESTARTS_PANEL not in one and not expressions.selects_failures(one)]
    queried = [one for one in queried if not any(map(expressions.is_event_metric, expressions.metrics(one)))]
    empty = queried

    def have_data():
        nonlocal empty
        for server in (world.single, world.one):
            send_traffic(server.port)
        time.sleep(1)
        empty = [expression for expression in queried if not world.prometheus.query(expression)]
        return not empty

    try:
        wait_until(15, "data", have_data)
    except StepError:
        raise StepError("no data for:\n" + "\n".join(empty)) from None
    return f"{len(found)} accepted, {len(queried)} with data"


def send_traffic(port):
    """Sends requests of every kind that is counted."""
    for number in range(5):
        create(port, f"dashboard-{number}")
    for number in (*range(5), *range(5), 99):
        get(port, f"{API}/search?id=dashboard-{number}")
    get(port, f"{API}/search/all?limit=2")
    get(port, f"{API}/health")
    get(port, "/no/such/page")
    ask(port, "POST", f"{API}/create", "{", {"Content-Type": "application/json"})


@step("every metric that the dashboard and the alerts name is exposed by an appliance")
def names(world):
    exposed = expressions.exposed(world.single.metrics()) | expressions.exposed(world.one.metrics())
    alerts = expressions.alerts(world.prometheus)
    expect(len(alerts) > 10, "alerts found:", len(alerts))
    named = set().union(*map(expressions.metrics, [*expressions.dashboard(), *alerts]))
    unknown = {name for name in named - exposed if not expressions.is_event_metric(name)}
    expect(not unknown, "not exposed:", unknown)
    return f"{len(named)} metrics"


@step("every alert expression is accepted by Prometheus, and the series that it selects exist")
def alert_expressions(world):
    alerts = expressions.alerts(world.prometheus)
    series = set()
    for expression in alerts:
        world.prometheus.query(expression)
        series |= {one for one in expressions.selectors(expression) if not any(map(expressions.is_event_metric, expressions.metrics(one)))}
    expect(len(series) > 15, "series found:", series)
    missing = [one for one in series if not world.prometheus.query(one)]
    expect(not missing, "no series for", missing)
    return f"{len(alerts)} expressions, {len(series)} kinds of series"


def newman(world, collection, variables):
    """Runs a collection twice; returns the statistics of the second run."""
    home = ROOT / "target/newman"
    program = home / "node_modules/.bin/newman"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        call([tool("npm"), "install", "--no-audit", "--no-fund", "--prefix", home, f"newman@{NEWMAN}"], 600)
    report = world.work / "newman.json"
    for _ in range(2):
        words = [program, "run", PACK / "postman" / collection]
        for name, value in variables.items():
            words += ["--env-var", f"{name}={value}"]
        call([*words, "--reporters", "json", "--reporter-json-export", report, "--timeout-request", "10000"])
        stats = json.loads(report.read_text())["run"]["stats"]
        for kind in ("requests", "assertions"):
            expect(stats[kind]["total"] > 0 and stats[kind]["failed"] == 0, kind, stats[kind])
    return f"{stats['requests']['total']} requests, {stats['assertions']['total']} assertions"


@step("the Postman collection passes in newman, twice on one database")
def postman(world):
    return newman(world, "attendance-api.postman_collection.json", {"baseUrl": f"http://127.0.0.1:{world.single.port}"})


@step("the Postman collection of access control passes in newman, twice on one database, and its metrics are exposed")
def postman_access(world):
    server = world.child(Appliance(world.work, "access", settings=["auth.mode=required"]))
    password = world.work / "admin-password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o644)
    words = [*unprivileged(), PROGRAM, "account", "add", "admin", "--role", "admin"]
    call([*words, "--password-file", password, "--data-dir", server.data])
    variables = {"baseUrl": f"http://127.0.0.1:{server.port}", "adminName": "admin", "adminPassword": PASSWORD}
    result = newman(world, "attendance-api-access.postman_collection.json", variables)
    missing = {name for name in expressions.ACCESS_METRICS if name not in expressions.exposed(server.metrics())}
    expect(not missing, "not exposed:", missing)
    return result


@step("the units, files and metrics that the CloudWatch files name exist")
def cloudwatch(world):
    exposed = expressions.exposed(world.single.metrics()) | expressions.exposed(world.one.metrics())
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
        unknown = {name for name in named - exposed if not expressions.is_event_metric(name)}
        expect(named and not unknown, file, "names", unknown)
    call([tool("promtool"), "check", "config", PACK / "cloudwatch/prometheus.yml"])
