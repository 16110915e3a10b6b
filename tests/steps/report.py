"""The steps of a run: what each is called, how long it took, and whether it held."""

import http.client
import subprocess
import time
import traceback


class Failed(Exception):
    """A command ended badly, or something is not as it should be."""


STEPS = []


def step(text):
    """Registers a function as the next step."""

    def register(function):
        STEPS.append((text, function))
        return function

    return register


def expect(holds, *what):
    """Fails the step with these words unless it holds."""
    if not holds:
        raise Failed(" ".join(str(word) for word in what) or "not as expected")


def within(seconds, what, probe):
    """Asks again and again until the answer is true; the seconds that took."""
    begun = time.monotonic()
    while True:
        answer = probe()
        took = time.monotonic() - begun
        if answer:
            return took
        if took > seconds:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def run_all(machine, only):
    """Runs the steps in their order and prints each; the numbers of those that held and did not."""
    passed = failed = 0
    for text, function in STEPS:
        if only and not any(word.lower() in f"{function.__module__}.{function.__name__} {text}".lower() for word in only):
            continue
        begun = time.monotonic()
        try:
            note = function(machine)
        except (Failed, AssertionError, OSError, ValueError, IndexError, KeyError, http.client.HTTPException, subprocess.SubprocessError) as error:
            failed += 1
            where = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in where if frame.name == function.__name__), "?")
            print(f"FAILED {text} ({time.monotonic() - begun:.1f} s)\n       {function.__module__}.py:{line}: {error}", flush=True)
        else:
            passed += 1
            print(f"ok     {text}{f': {note}' if note else ''} ({time.monotonic() - begun:.1f} s)", flush=True)
    return passed, failed
