"""Two instances behind each load balancer, on one PostgreSQL and one Redis."""

import functools
import itertools
import json
import signal
import time

import expressions
from balancers import BALANCERS
from load import Load
from report import expect, step, within
from servers import API, ask, create, create_whole, get


def behind_each(text):
    """Registers a function as a step behind each balancer, which is started when it is first needed."""

    def register(function):
        for name, kind in BALANCERS:

            @step(f"{name}: {text}")
            @functools.wraps(function)
            def behind(world, name=name, kind=kind):
                world.whole()
                if not hasattr(world, name):
                    setattr(world, name, world.child(kind(world.work, world.one.port, world.two.port)))
                return function(world, getattr(world, name))

        return function

    return register


@behind_each("two instances serve, and see each other's records")
def serves(world, balancer):
    """Both instances answer; what one stores the other finds; a request id goes through; a client's error stays one."""
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
    expect(get(balancer.port, "/metrics")[0] == 404, "metrics through a balancer say nothing of either instance")
    return f"{shares[0]:.0f} and {shares[1]:.0f} requests"


@behind_each("each instance restarted twice under load, no search fails")
def restarted(world, balancer):
    """Each instance in turn is stopped and started under load, twice: no search fails."""
    create(balancer.port, "steady")
    with Load(balancer.port, "steady") as load:
        # The second round has hardly a pause between one that is back and the next that stops.
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
    expect(load.good > 500 and not load.bad, load.good, "answered,", len(load.bad), "failed:", load.bad[:5])
    expect(all(share > 10 for share in shares), "answered by each when both were back:", shares)
    return load.said()


@behind_each("one instance killed under load, no search fails")
def killed(world, balancer):
    """One instance is killed under load: searches go on, and it takes part again when it is back."""
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
        within(15, "it takes part again", lambda: world.one.answered() > back + 10)
    expect(not load.bad, load.good, "answered,", len(load.bad), "failed:", load.bad[:5])
    return load.said()


def away(balancer, identity):
    """A search and a create without PostgreSQL: both are refused as an instance refuses."""
    for status, headers, body in (get(balancer.port, f"{API}/search?id={identity}"), create_whole(balancer.port, identity)):
        headers = {name.lower(): value for name, value in headers.items()}
        expect(status == 503, "without PostgreSQL:", status, body[:200])
        expect(headers.get("content-type", "").startswith("application/json") and headers.get("retry-after"), "a 503 with", headers)
        expect({"error", "message"} <= set(json.loads(body)), "a 503 that says", body[:200])


@behind_each("PostgreSQL away, then every instance: each answer is a 503 in JSON")
def outage(world, balancer):
    """PostgreSQL is away: clients are told so as an instance tells it, whoever answers; the dashboard shows it; it ends by itself."""
    panels = [expressions.bare(one) for one in expressions.dashboard() if expressions.failures(one)]
    expect(panels, "no panel shows failures")
    for number in range(20):
        create(balancer.port, f"before-{number}")
    numbers = itertools.count(1)

    def shown():
        away(balancer, f"away-{next(numbers)}")
        return all(any(float(series["value"][1]) > 0 for series in world.prometheus.query(panel)) for panel in panels)

    world.postgres.stop()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        away(balancer, f"away-{next(numbers)}")
    within(15, "the dashboard shows the failures", shown)
    world.postgres.start()
    took = within(15, "a create works again", lambda: create(balancer.port, f"after-{time.monotonic()}") == 200)
    # Nobody is there: the balancer itself has to say it.
    for server in (world.one, world.two):
        server.stop()
    away(balancer, "nobody")
    world.whole()
    return f"{2 * (next(numbers) - 1)} answers of 503, a create {took:.1f} s after the start of PostgreSQL"
