"""Two instances behind each load balancer, on one PostgreSQL and one Redis."""

import functools
import itertools
import json
import signal
import time

import expressions
from balancers import BALANCERS
from load import Load
from report import expect, step, wait_until
from servers import API, ask, create, create_answer, get


def behind_each(text):
    """Registers a function as one step for each load balancer, which is started when it is first needed."""

    def register(function):
        for name, kind in BALANCERS:

            @step(f"{name}: {text}")
            @functools.wraps(function)
            def behind(world, name=name, kind=kind):
                world.restore()
                if not hasattr(world, name):
                    setattr(world, name, world.child(kind(world.work, world.one.port, world.two.port)))
                return function(world, getattr(world, name))

        return function

    return register


@behind_each("two instances answer, and find each other's records")
def serves(world, balancer):
    """Both instances answer, each finds what the other stored, and request ids and errors of clients are passed on unchanged."""
    name = type(balancer).__name__
    before = world.one.answered(), world.two.answered()
    for number in range(40):
        identity = f"{name}-{number}"
        expect(create(balancer.port, identity) == 200, "create through", name)
        status, headers, body = get(balancer.port, f"{API}/search?id={identity}", {"X-Request-Id": f"id-{identity}"})
        expect(status == 200 and identity in body, "search through", name, status, body[:200])
        expect(headers.get("x-request-id", headers.get("X-Request-Id")) == f"id-{identity}", "the request id is lost:", headers)
    shares = [server.answered() - earlier for server, earlier in zip((world.one, world.two), before)]
    expect(all(share >= 5 for share in shares), "answered by each:", shares)
    expect(create(balancer.port, f"{name}-1") == 409, "a second create of the same day")
    large = ask(balancer.port, "POST", f"{API}/create", "x" * 1_200_000, {"Content-Type": "application/json"})
    expect(large[0] == 413 and large[2].startswith("{"), "a body that is too large:", large[0], large[2][:100])
    expect(get(balancer.port, "/metrics")[0] == 404, "metrics must not be reachable through a load balancer")
    return f"{shares[0]:.0f} and {shares[1]:.0f} requests"


@behind_each("the log of the instances has the real client")
def client(world, balancer):
    """The log of an instance names the client, not the load balancer and not what the client says about itself."""
    claims = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6"}
    sources = "127.0.0.5", "127.0.0.77"
    for source in sources:
        for headers in ({}, claims):
            identity = f"from-{type(balancer).__name__}-{source}-{len(headers)}"
            status = ask(balancer.port, "GET", f"{API}/health", None, {"X-Request-Id": identity, **headers}, source=source)[0]
            expect(status == 200, "health through", balancer.name, status)
            wait_until(10, "the request is logged", lambda: world.one.access(identity) or world.two.access(identity))
            logged = (world.one.access(identity) or world.two.access(identity))["remote_address"]
            expect(logged == source, "a request from", source, "is logged as from", logged)
    return f"clients {' and '.join(sources)}"


@behind_each("links and redirects below the base path stay there")
def below(world, balancer):
    """Below the base path everything is as at the root, and links and redirects lead back through the load balancer."""
    name = type(balancer).__name__
    for number in range(2):
        expect(create(balancer.port, f"below-{name}-{number}") == 200, "create through", name)
    lower = lambda headers: {name.lower(): value for name, value in headers.items()}
    status, headers, _ = get(balancer.port, f"/attendance{API}/search/all?limit=1")
    link = lower(headers).get("link", "")
    expect(status == 200 and link.startswith(f"</attendance{API}/search/all?"), "the next page:", status, link)
    expect(get(balancer.port, link[1 : link.index(">")])[0] == 200, "the next page is not found:", link)
    for path, target in (("/attendance", "/attendance/"), ("/attendance/apidocs", "/attendance/apidocs/")):
        status, headers, _ = get(balancer.port, path)
        expect(status == 308 and lower(headers).get("location") == target, path, "leads to", status, headers)
    expect(get(balancer.port, "/attendance/apidocs/swagger-ui.css")[0] == 200, "a file of Swagger UI")
    expect(json.loads(get(balancer.port, "/attendance/openapi.json")[2])["servers"][0]["url"] == "/attendance", "the servers of the document")
    for path in ("/metrics", "/attendance/metrics", "/attendance/%6detrics"):
        expect(get(balancer.port, path)[0] == 404, "metrics must not be reachable through a load balancer:", path)


@behind_each("each instance restarted twice under load, no search fails")
def restarted(world, balancer):
    """Each instance is stopped and started twice under load, in turn; no search fails."""
    create(balancer.port, "steady")
    with Load(balancer.port, "steady") as load:
        # In the second round, an instance stops almost immediately after the other one is back.
        for pause in (1.5, 0.3):
            for server in (world.one, world.two):
                time.sleep(pause)
                server.stop()
                time.sleep(0.7)
                server.start()
        time.sleep(1.5)
        back = world.one.answered(), world.two.answered()
        time.sleep(1.5)
        shares = [server.answered() - earlier for server, earlier in zip((world.one, world.two), back)]
    expect_none_failed(balancer, load)
    expect(load.good > 500, load.good, "answered")
    expect(all(share > 10 for share in shares), "answered by each when both were back:", shares)
    return load.summary()


@behind_each("one instance killed under load, no search fails")
def killed(world, balancer):
    """One instance is killed under load: searches continue, and the instance receives requests again after its start."""
    create(balancer.port, "steady")
    with Load(balancer.port, "steady") as load:
        time.sleep(1.5)
        world.one.stop(signal.SIGKILL)
        time.sleep(2)
        lost = load.good
        time.sleep(1)
        expect(load.good > lost, "nothing is answered after the kill")
        world.one.start()
        back = world.one.answered()
        wait_until(15, "the instance receives requests again", lambda: world.one.answered() > back + 10)
    expect_none_failed(balancer, load)
    return load.summary()


def expect_none_failed(balancer, load):
    """No search failed; a client had to repeat some only if the load balancer leaves that to clients, once for each of its connections at most."""
    expect(not load.bad, load.good, "answered,", len(load.bad), "failed:", load.bad[:5])
    expect(load.repeated <= balancer.max_repeats, load.repeated, "were closed without an answer")


def expect_unavailable(balancer, identity):
    """Sends a search and a create without PostgreSQL; both answers must look like the 503 of an instance."""
    for status, headers, body in (get(balancer.port, f"{API}/search?id={identity}"), create_answer(balancer.port, identity)):
        headers = {name.lower(): value for name, value in headers.items()}
        expect(status == 503, "without PostgreSQL:", status, body[:200])
        expect(headers.get("content-type", "").startswith("application/json") and headers.get("retry-after"), "a 503 with", headers)
        expect({"error", "message"} <= set(json.loads(body)), "a 503 with the body", body[:200])


@behind_each("without PostgreSQL, then without instances: each answer is a 503 in JSON")
def outage(world, balancer):
    """Without PostgreSQL, clients get the 503 of an instance also from the load balancer; the dashboard shows it; recovery needs no action."""
    panels = [expressions.without_default(one) for one in expressions.dashboard() if expressions.selects_failures(one)]
    expect(panels, "no panel shows failures")
    for number in range(20):
        create(balancer.port, f"before-{number}")
    numbers = itertools.count(1)

    def is_shown():
        expect_unavailable(balancer, f"away-{next(numbers)}")
        return all(any(float(series["value"][1]) > 0 for series in world.prometheus.query(panel)) for panel in panels)

    world.postgres.stop()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        expect_unavailable(balancer, f"away-{next(numbers)}")
    wait_until(15, "the dashboard shows the failures", is_shown)
    world.postgres.start()
    took = wait_until(15, "a create works again", lambda: create(balancer.port, f"after-{time.monotonic()}") == 200)
    # Without any instance, the load balancer itself must answer.
    for server in (world.one, world.two):
        server.stop()
    expect_unavailable(balancer, "no-instance")
    world.restore()
    return f"{2 * (next(numbers) - 1)} answers of 503; the first create worked {took:.1f} s after the start of PostgreSQL"
