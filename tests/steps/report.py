"""The steps of a test run: registers them, runs them in order, and prints the result and the duration of each."""

import http.client
import subprocess
import time
import traceback


class StepError(Exception):
    """A command failed, or something is not as expected; the step fails."""


STEPS = []


def step(text):
    """Registers a function as the next step."""

    def register(function):
        STEPS.append((text, function))
        return function

    return register


def expect(condition, *what):
    """Fails the step with these words unless the condition is true."""
    if not condition:
        raise StepError(" ".join(str(word) for word in what) or "not as expected")


def wait_until(seconds, what, probe):
    """Calls `probe` until its result is true, and returns the seconds that this took; fails the step when the time is over."""
    begun = time.monotonic()
    while True:
        result = probe()
        took = time.monotonic() - begun
        if result:
            return took
        if took > seconds:
            raise StepError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def run_all(subject, words):
    """Runs the steps in order on the subject, only those that contain one of the words if there are any; returns how many passed and failed."""
    passed = failed = 0
    for text, function in STEPS:
        name = f"{function.__module__}.{function.__name__} {text}".lower()
        if words and not any(word.lower() in name for word in words):
            continue
        begun = time.monotonic()
        try:
            note = function(subject)
        except (StepError, AssertionError, OSError, ValueError, IndexError, KeyError, http.client.HTTPException, subprocess.SubprocessError) as error:
            failed += 1
            frames = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in frames if frame.name == function.__name__), "?")
            print(f"FAILED {text} ({time.monotonic() - begun:.1f} s)\n       {function.__module__}.py:{line}: {error}", flush=True)
        else:
            passed += 1
            print(f"ok     {text}{f': {note}' if note else ''} ({time.monotonic() - begun:.1f} s)", flush=True)
    return passed, failed
