#!/usr/bin/env python3
"""Creates records without pause until SIGTERM, also while the appliance is restarted.

Usage: load.py PORT PREFIX WRITERS FILE. Each id is sent until it is answered. Each id that is acknowledged with 200 is written to FILE, one per
line, before the next is sent. At the end it prints how many were acknowledged and how many attempts had no answer.
"""

import http.client
import json
import signal
import sys
import threading
import time

port, prefix, writers, path = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
acknowledged = open(path, "w", buffering=1)
lock = threading.Lock()
counts = {"acknowledged": 0, "unanswered": 0, "other": 0}


def write(writer):
    """Creates the records of one writer."""
    connection, number = None, 0
    while not stop.is_set():
        identity = f"{prefix}-{writer}-{number}"
        body = json.dumps({"id": identity, "name": "Load", "status": "Present", "date": "2026-01-02"})
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", "/api/v1/attendance/create", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection = None
            with lock:
                counts["unanswered"] += 1
            time.sleep(0.02)
            continue
        if answer.status == 503:
            time.sleep(0.02)
            continue
        with lock:
            if answer.status == 200:
                counts["acknowledged"] += 1
                acknowledged.write(identity + "\n")
            # An attempt without an answer may have been stored; 409 is then correct.
            elif answer.status != 409:
                counts["other"] += 1
        number += 1


threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
