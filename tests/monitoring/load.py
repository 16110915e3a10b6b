"""A constant load of searches on keep-alive connections; every request that is not answered with 200 is recorded.

A search whose connection is closed without an answer is repeated on a new one if the connection has been used before, as HTTP clients do (RFC 9112,
section 9.3.1): HAProxy leaves it to the client when an instance resets a connection that it reuses. Such searches are counted.
"""

import http.client
import threading
import time

from servers import API

# Longer than a load balancer needs to try another instance.
REQUEST_TIMEOUT = 10


class Load:
    """`with Load(...) as load`: runs until the block ends."""

    def __init__(self, port, identity, clients=8):
        self.port, self.path = port, f"{API}/search?id={identity}"
        self.done = threading.Event()
        self.good, self.bad, self.repeated, self.slowest, self.lock = 0, [], 0, 0.0, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self):
        connection = None
        while not self.done.is_set():
            # The load balancer may close a connection between two requests; the client then opens a new one.
            is_reused = connection is not None
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT)
            begun = time.monotonic()
            try:
                connection.request("GET", self.path)
                answer = connection.getresponse()
                answer.read()
                failure = None if answer.status == 200 else f"status {answer.status}"
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                connection = None
                if is_reused and isinstance(error, http.client.RemoteDisconnected):
                    with self.lock:
                        self.repeated += 1
                    continue
                failure = repr(error)
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - begun)
                if failure:
                    self.bad.append(failure)
                else:
                    self.good += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(REQUEST_TIMEOUT + 5)
            if thread.is_alive():
                self.bad.append("a client is still waiting")

    def summary(self):
        return f"{self.good} searches, none failed, {self.repeated} repeated, the slowest after {self.slowest * 1000:.0f} ms"
