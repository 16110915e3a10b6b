"""The requests that nginx and HAProxy forward, recorded by two recording servers in the place of instances."""

import contextlib
import http.client
import time

from balancers import BALANCERS
from report import expect, step
from servers import API, create_answer, get
from upstream import Upstream

CALLS = 60


@contextlib.contextmanager
def balancer_with_upstreams(world, kind):
    """Starts a load balancer in front of two recording servers; yields all three."""
    with Upstream() as one, Upstream() as two:
        balancer = world.child(kind(world.work, one.port, two.port, "forwarding"))
        try:
            yield balancer, one, two
        finally:
            balancer.stop()


def check_headers(balancer, one, two):
    """The client's address and request id are forwarded; a request without an id gets one."""
    given = {"X-Request-Id": "the-client-s", "X-Forwarded-For": "192.0.2.7"}
    get(balancer.port, f"{API}/search?id=1", given)
    get(balancer.port, f"{API}/search?id=2")
    (_, path, first), (_, _, second) = sorted(one.seen + two.seen, key=lambda seen: seen[1])
    expect(path == f"{API}/search?id=1", "the path", path)
    expect(first.get("x-request-id") == "the-client-s", "the request id", first)
    expect(len(second.get("x-request-id", "")) >= 32, "a generated request id", second)
    expect(first.get("x-real-ip") == "127.0.0.1" and first.get("x-forwarded-proto") == "http", "the client", first)
    expect(first.get("x-forwarded-for", "").endswith("127.0.0.1"), "the client's address", first)
    expect(first.get("host") == f"127.0.0.1:{balancer.port}", "the host", first)


def check_keep_alive(balancer, one, two):
    """Connections to the instances are reused; returns how many there were."""
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


def check_retries(balancer, one, two):
    """One instance answers every request with 503: no read fails, no create is sent twice."""
    one.is_stopping = True
    two.clear()
    for number in range(CALLS):
        # Slow enough for the load balancer to try the failing instance again.
        time.sleep(0.05)
        expect(get(balancer.port, f"{API}/search?id=r{number}")[0] == 200, "a read that met a 503")
    met = sum(command == "GET" for command, _, _ in one.seen)
    statuses = []
    for server in (one, two):
        server.clear()
    for number in range(CALLS):
        time.sleep(0.05)
        statuses.append(create_answer(balancer.port, f"c{number}")[0])
    sent = sum(command == "POST" for command, _, _ in one.seen + two.seen)
    expect(set(statuses) == {200, 503}, "creates answered", set(statuses))
    expect(sent == CALLS, CALLS, "creates were sent", sent, "times")
    expect(met > 0, "no read met the 503")
    return met, statuses.count(503)


def check_body_limit(balancer, one, two):
    """A body over the load balancer's limit is refused because of its Content-Length, in JSON."""
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
    expect(not one.seen + two.seen, "the request was forwarded")


for name, kind in BALANCERS:

    @step(f"{name}: headers, keep-alive, body limit, retries of reads and not of creates")
    def forwarded(world, kind=kind):
        with balancer_with_upstreams(world, kind) as (balancer, one, two):
            check_headers(balancer, one, two)
            used = check_keep_alive(balancer, one, two)
            check_body_limit(balancer, one, two)
            met, refused = check_retries(balancer, one, two)
        return f"{CALLS} requests on {used} connections; {met} reads met a 503 and were answered by the other instance; {refused} of {CALLS} creates got the 503, none was sent twice"
