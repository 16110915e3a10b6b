"""Two instances behind a load balancer, on one PostgreSQL and one Redis."""

import signal
import time

from balancers import HaProxy, Nginx
from load import Load
from report import expect, step
from servers import API, ask, create, get


def behind(world, kind):
    """The balancer, started when it is first needed."""
    name = kind.__name__.lower()
    if not hasattr(world, name):
        setattr(world, name, world.child(kind(world.work, world.one.port, world.two.port)))
    return getattr(world, name)


def serves(world, kind):
    """Both instances answer; what one stores the other finds; a request id goes through; a client's error stays one."""
    balancer, name = behind(world, kind), kind.__name__
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


def restarted(world, kind):
    """Each instance in turn is stopped and started under load: no search fails."""
    balancer = behind(world, kind)
    create(balancer.port, "steady")
    with Load(balancer.port, "steady") as load:
        for server in (world.one, world.two):
            time.sleep(1.5)
            server.stop()
            time.sleep(1)
            server.start()
        time.sleep(1.5)
    expect(load.good > 500 and not load.bad, load.good, "answered,", len(load.bad), "failed:", load.bad[:5])
    return f"{load.good} searches, none failed"


def killed(world, kind):
    """One instance is killed under load: searches go on, and it takes part again when it is back."""
    balancer = behind(world, kind)
    with Load(balancer.port, "steady") as load:
        time.sleep(1.5)
        world.one.stop(signal.SIGKILL)
        time.sleep(2)
        lost = load.good
        time.sleep(1)
        expect(load.good > lost, "nothing is answered after the kill")
        world.one.start()
        back = world.one.answered()
        time.sleep(7)
        expect(world.one.answered() > back, "it takes no part again")
    expect(not load.bad, load.good, "answered,", len(load.bad), "failed:", load.bad[:5])
    return f"{load.good} searches, none failed"


@step("nginx: two instances serve, and see each other's records")
def nginx_serves(world):
    return serves(world, Nginx)


@step("nginx: each instance restarted under load, no search fails")
def nginx_restart(world):
    return restarted(world, Nginx)


@step("nginx: one instance killed under load, no search fails")
def nginx_kill(world):
    return killed(world, Nginx)


@step("HAProxy: two instances serve, and see each other's records")
def haproxy_serves(world):
    return serves(world, HaProxy)


@step("HAProxy: each instance restarted under load, no search fails")
def haproxy_restart(world):
    return restarted(world, HaProxy)


@step("HAProxy: one instance killed under load, no search fails")
def haproxy_kill(world):
    return killed(world, HaProxy)
