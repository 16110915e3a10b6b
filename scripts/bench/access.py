"""Access control beside the same requests without it, password guessers beside reads, and revocation on another instance."""

import contextlib
import http.client
import json
import random
import statistics
import subprocess
import threading
import time

from rows import alternate, fill, lua
from servers import API, Appliance, wrk

PASSWORD = "a passphrase of the benchmark"
TOKENS = 10_000
GUESSERS = 32
REVOCATIONS, TRIES = 100, 100
TIMED_TRIES = 200
# From the fiftieth failure on, an account refuses addresses that it does not know without looking at the password.
TRIES_OF_A_NAME = 40
HOT = f"{API}/search?id=1"
# A request takes the next of the tokens in the file, and asks for one of many employees.
PAST_THE_CACHE = """
local tokens, n = {{}}, 0
for line in io.lines('{tokens}') do tokens[#tokens + 1] = line end
request = function()
  n = n + 1
  local headers = {{['Authorization'] = 'Bearer ' .. tokens[n % #tokens + 1]}}
  return wrk.format('GET', '{api}/search?id=' .. n % {ids} + 1, headers)
end
"""
WITH_HEADER = "wrk.headers['Authorization'] = 'Bearer {token}'\n"


def ask(port, method, path, body=None, credential=None, source="127.0.0.1"):
    """Sends a request on a new connection; returns status and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(source, 0))
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def required(options, work, name, *settings, environment=None):
    """Starts an appliance with access control; returns it and a session of its admin."""
    server = Appliance(options.root, work, name, "auth.mode=required", *settings, environment=environment)
    password = work / "password"
    password.write_text(PASSWORD + "\n")
    program = options.root / "target/release/attendance-api"
    words = [program, "account", "add", "admin", "--role", "admin", "--password-file", password, "--data-dir", server.data]
    subprocess.run(words, check=True, capture_output=True)
    return server, log_in(server.port, "admin")


def log_in(port, name):
    status, answer = ask(port, "POST", f"{API}/session", {"username": name, "password": PASSWORD})
    if status != 200:
        raise SystemExit(f"no login: {status} {answer}")
    return answer["token"]


def make_tokens(server, session, count):
    """Makes tokens on one connection; an account may have a thousand."""
    tokens, connection = [], http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for number in range(count):
        if number % 1000 == 0:
            name = f"owner{number}"
            ask(server.port, "POST", f"{API}/accounts", {"username": name, "password": PASSWORD, "role": "reader"}, session)
            owner = log_in(server.port, name)
        body = json.dumps({"name": f"t{number}", "role": "reader"})
        connection.request("POST", f"{API}/tokens", body, {"Authorization": f"Bearer {owner}", "Content-Type": "application/json"})
        tokens.append(json.loads(connection.getresponse().read())["token"])
    return tokens


def script(work, name, text):
    path = work / f"{name}.lua"
    path.write_text(text)
    return path


def access(table, options, work):
    def row(name, servers, path, requests, target):
        """Adds a row of the protected appliance beside the open one, alternated. Both get the same requests, so that the load generator costs the same."""
        measured = [lambda server=server: wrk(server.port, path, options.seconds, 32, requests)[0] for server in servers]
        for warm_up in measured:
            warm_up()
        mine, other, ratio = alternate(options.rounds, *measured)
        table.add(name, f"{mine:,.0f}/s", f"without auth {other:,.0f}/s", f"{ratio:.2f}", f"≥ {target:.2f}", ratio >= target)

    protected, session = required(options, work, "protected")
    with protected, Appliance(options.root, work, "open") as plain:
        for server in (protected, plain):
            fill(server, 10_000)
        token = make_tokens(protected, session, 1)[0]
        header = script(work, "header", WITH_HEADER.format(token=token))

        row("hot search with a token", (protected, plain), HOT, header, 0.95)
        guessing(table, options, protected, header)
        create = lua(work, "create")
        with_session = script(work, "create-with-session", create.read_text().replace("['Content-Type']", f"['Authorization'] = 'Bearer {session}', ['Content-Type']"))
        row("create with a session", (protected, plain), "/", with_session, 0.95)
        timing(table, protected, session)

    uncached = ("redis.mode=off",)
    protected, session = required(options, work, "protected-uncached", *uncached)
    with protected, Appliance(options.root, work, "open-uncached", *uncached) as plain:
        for server in (protected, plain):
            fill(server, 10_000)
        tokens = work / "tokens"
        tokens.write_text("".join(f"{token}\n" for token in make_tokens(protected, session, TOKENS)))
        requests = script(work, "past-the-cache", PAST_THE_CACHE.format(tokens=tokens, api=API, ids=10_000))
        row("search past the cache, 10,000 tokens in turn", (protected, plain), "/", requests, 0.85)
    revocation(table, options, work)


@contextlib.contextmanager
def guessers(port):
    """Lets many clients guess passwords, each from an address of its own."""
    stop = threading.Event()

    def guess(number):
        while not stop.is_set():
            with contextlib.suppress(OSError):
                ask(port, "POST", f"{API}/session", {"username": f"name{number}", "password": "a wrong passphrase"}, source=f"127.1.{number}.1")

    threads = [threading.Thread(target=guess, args=(number,), daemon=True) for number in range(GUESSERS)]
    [thread.start() for thread in threads]
    try:
        yield
    finally:
        stop.set()
        [thread.join(40) for thread in threads]


def guessing(table, options, server, header):
    pairs, tails = [], []
    for _ in range(options.rounds):
        alone, _, calm = wrk(server.port, HOT, options.seconds, 32, header)
        with guessers(server.port):
            beside, _, busy = wrk(server.port, HOT, options.seconds, 32, header)
        pairs.append((beside, alone, beside / alone))
        tails.append((busy, calm, busy / calm))
    mine, other, ratio = (statistics.median(column) for column in zip(*pairs))
    table.add(f"hot search beside {GUESSERS} password guessers", f"{mine:,.0f}/s", f"alone {other:,.0f}/s", f"{ratio:.2f}", "≥ 0.60", ratio >= 0.6)
    mine, other, ratio = (statistics.median(column) for column in zip(*tails))
    table.add("  its p99", f"{mine:.2f} ms", f"alone {other:.2f} ms", f"{ratio:.2f}", "≤ 5", ratio <= 5)


def timing(table, server, session):
    """Compares how long refused logins take, each from an address of its own and few for a name, so that none is slowed down."""
    passwords = {"unknown": "a wrong passphrase", "wrong": "a wrong passphrase", "disabled": PASSWORD}
    taken = {case: [] for case in passwords}
    for number in range(TIMED_TRIES):
        if number % TRIES_OF_A_NAME == 0:
            names = {case: f"{case}{number}" for case in passwords}
            for case in ("wrong", "disabled"):
                ask(server.port, "POST", f"{API}/accounts", {"username": names[case], "password": PASSWORD, "role": "reader"}, session)
            ask(server.port, "PATCH", f"{API}/accounts/{names['disabled']}", {"disabled": True}, session)
        for third, (case, password) in enumerate(passwords.items()):
            source = f"127.{2 + third}.{number}.1"
            started = time.perf_counter()
            status, answer = ask(server.port, "POST", f"{API}/session", {"username": names[case], "password": password}, source=source)
            taken[case].append(time.perf_counter() - started)
            if status != 401:
                raise SystemExit(f"a login that is measured is not refused as such ({case}): {status} {answer}")
    medians = {name: 1000 * statistics.median(times) for name, times in taken.items()}
    spread = max(medians.values()) / min(medians.values())
    words = ", ".join(f"{name} {median:.1f} ms" for name, median in medians.items())
    table.add("refused logins: the slowest median beside the fastest", words, "", f"{spread:.3f}", "≤ 1.05", spread <= 1.05)


def revocation(table, options, work):
    """Counts the requests that another instance with the same Redis serves with a token after its revocation was acknowledged."""
    redis_port = 20_000 + random.randrange(20_000)
    redis = subprocess.Popen(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    served = tried = 0
    try:
        owner, session = required(options, work, "revoking", "redis.host=127.0.0.1", f"redis.port={redis_port}")
        with owner:
            environment, login = owner.database()
            external = ("auth.mode=required", f"postgres.host={login[1]}", "redis.host=127.0.0.1", f"redis.port={redis_port}")
            secret = {"ATTENDANCE_API__POSTGRES__PASSWORD": environment["PGPASSWORD"]}
            with Appliance(options.root, work, "other", *external, environment=secret) as other:
                connection = http.client.HTTPConnection("127.0.0.1", other.port, timeout=30)

                def is_served(token):
                    connection.request("GET", HOT, None, {"Authorization": f"Bearer {token}"})
                    answer = connection.getresponse()
                    answer.read()
                    return answer.status not in (401, 503)

                for number in range(REVOCATIONS):
                    _, made = ask(owner.port, "POST", f"{API}/tokens", {"name": f"r{number}", "role": "reader"}, session)
                    while not is_served(made["token"]):
                        time.sleep(0.01)
                    status, answer = ask(owner.port, "DELETE", f"{API}/tokens/{made['id']}", None, session)
                    if status != 204:
                        raise SystemExit(f"a revocation was not acknowledged: {status} {answer}")
                    served += sum(is_served(made["token"]) for _ in range(TRIES))
                    tried += TRIES
    finally:
        redis.terminate()
        redis.wait(10)
    table.add("requests served after a revocation, another instance", str(served), f"of {tried:,}", "", "0", served == 0)
