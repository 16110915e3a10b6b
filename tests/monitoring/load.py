"""A steady load of searches on kept connections; every request that is not answered with 200 is remembered."""

import http.client
import threading
import time

from servers import API

# A client's patience: more than a balancer needs to ask another instance.
PATIENCE = 10


class Load:
    """`with Load(...) as load`: runs until the block ends."""

    def __init__(self, port, identity, clients=8):
        self.port, self.path = port, f"{API}/search?id={identity}"
        self.done = threading.Event()
        self.good, self.bad, self.slowest, self.lock = 0, [], 0.0, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self):
        connection = None
        while not self.done.is_set():
            # A connection that the balancer may close between two requests is its client's to open again: not kept for long.
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
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
                failure, connection = repr(error), None
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
            thread.join(PATIENCE + 5)
            if thread.is_alive():
                self.bad.append("a client waits for ever")

    def said(self):
        return f"{self.good} searches, none failed, the slowest after {self.slowest * 1000:.0f} ms"
