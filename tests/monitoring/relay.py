"""What nginx and HAProxy pass on, seen by stand-ins for two instances."""

import contextlib
import http.client
import time

from balancers import BALANCERS
from report import expect, step
from servers import API, create_whole, get
from upstream import Upstream

CALLS = 60


@contextlib.contextmanager
def between(world, kind):
    """A balancer before two stand-ins, and these."""
    with Upstream() as one, Upstream() as two:
        balancer = world.child(kind(world.work, one.port, two.port, "relay"))
        try:
            yield balancer, one, two
        finally:
            balancer.stop()


def headers(balancer, one, two):
    """Who asks, by which id; an id is made where there is none."""
    given = {"X-Request-Id": "the-client-s", "X-Forwarded-For": "192.0.2.7"}
    get(balancer.port, f"{API}/search?id=1", given)
    get(balancer.port, f"{API}/search?id=2")
    (_, path, first), (_, _, second) = sorted(one.seen + two.seen, key=lambda seen: seen[1])
    expect(path == f"{API}/search?id=1", "the path", path)
    expect(first.get("x-request-id") == "the-client-s", "the request id", first)
    expect(len(second.get("x-request-id", "")) >= 32, "a request id of the balancer's own", second)
    expect(first.get("x-real-ip") == "127.0.0.1" and first.get("x-forwarded-proto") == "http", "the client", first)
    expect(first.get("x-forwarded-for", "").endswith("127.0.0.1"), "the client's address", first)
    expect(first.get("host") == f"127.0.0.1:{balancer.port}", "the host", first)


def kept(balancer, one, two):
    """Connections to the instances are kept; how many there were."""
    for server in (one, two):
        server.clear()
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=10)
    for number in range(CALLS):
        connection.request("GET", f"{API}/search?id={number}")
        expect(connection.getresponse().read() == b"{}", "an answer")
    connection.close()
    used = len(one.connections | two.connections)
    expect(len(one.seen) + len(two.seen) == CALLS and used <= 6, CALLS, "requests on", used, "connections to the instances")
    return used


def retried(balancer, one, two):
    """One instance answers 503 to everything: no read fails, no create is sent twice."""
    one.stopping = True
    two.clear()
    for number in range(CALLS):
        # Slow enough for a balancer to try the failing one again.
        time.sleep(0.05)
        expect(get(balancer.port, f"{API}/search?id=r{number}")[0] == 200, "a read that met a 503")
    met = sum(command == "GET" for command, _, _ in one.seen)
    statuses = []
    for server in (one, two):
        server.clear()
    for number in range(CALLS):
        time.sleep(0.05)
        statuses.append(create_whole(balancer.port, f"c{number}")[0])
    sent = sum(command == "POST" for command, _, _ in one.seen + two.seen)
    expect(set(statuses) == {200, 503}, "creates answered", set(statuses))
    expect(sent == CALLS, CALLS, "creates were sent", sent, "times")
    expect(met > 0, "no read met the 503")
    return met, statuses.count(503)


def limited(balancer, one, two):
    """A body over the balancer's limit is refused by its announced length, in JSON."""
    for server in (one, two):
        server.clear()
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=10)
    connection.putrequest("POST", f"{API}/create")
    connection.putheader("Content-Length", str(3 << 20))
    connection.endheaders()
    answer = connection.getresponse()
    kind = answer.getheader("Content-Type", "")
    connection.close()
    expect(answer.status == 413 and kind.startswith("application/json"), "a body of 3 MiB:", answer.status, kind)
    expect(not one.seen + two.seen, "it was passed on")


for name, kind in BALANCERS:

    @step(f"{name}: headers, kept connections, the body's limit, reads asked again and creates not")
    def relayed(world, kind=kind):
        with between(world, kind) as (balancer, one, two):
            headers(balancer, one, two)
            used = kept(balancer, one, two)
            limited(balancer, one, two)
            met, refused = retried(balancer, one, two)
        return f"{CALLS} requests on {used} connections; {met} reads met a 503 and were answered by the other; {refused} of {CALLS} creates got it, none was sent twice"
