"""Runs the cases of one SDK and says how each went: `ok NAME` on stdout, else a traceback on stderr."""

import json
import os
import sys
import time
import traceback
import urllib.request

DIMMER = os.environ["DIMMER_URL"]
PROVIDER = os.environ["PROVIDER_URL"]
KEY = os.environ["CLIENT_KEY"]

# A PNG of one pixel.
IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

_cases = []


def case(function):
    """Declares a case; its name is what tests/it/sdk.rs waits for."""
    _cases.append(function)
    return function


def run():
    """Runs all cases, or those that the command line names."""
    wanted = sys.argv[1:]
    failed = []
    for function in _cases:
        name = function.__name__
        if wanted and name not in wanted:
            continue
        try:
            function()
            print(f"ok {name}", flush=True)
        except Exception:  # noqa: BLE001 - every kind of failure is reported the same way
            failed.append(name)
            print(f"FAILED {name}", flush=True)
            print(f"--- {name}", file=sys.stderr)
            traceback.print_exc()
    sys.exit(1 if failed else 0)


def seen():
    """What the provider behind dimmer has seen so far."""
    with urllib.request.urlopen(f"{PROVIDER}/_seen", timeout=10) as answer:
        return json.load(answer)


def last_body():
    """The body that came to the provider last."""
    return seen()["last"]["body"]


def last_path():
    """The path, with its query, that the provider was asked for last."""
    return seen()["last"]["path"]


def reload(change):
    """Gives dimmer a changed configuration and waits until it serves; what it was before."""
    file, metrics = os.environ["DIMMER_CONFIG"], f"{os.environ['DIMMER_ADMIN']}/metrics"

    def generation():
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return next(line for line in lines if line.startswith("dimmer_config_generation "))

    with open(file) as now:
        before, served = now.read(), generation()
    with open(f"{file}.new", "w") as new:
        new.write(change(before))
    os.replace(f"{file}.new", file)
    eventually(lambda: generation() != served, "the new configuration serves")
    return before


def eventually(condition, what):
    """Waits for a condition of the provider, at most ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"did not happen within ten seconds: {what}")


def raises(kind, call):
    """The error that `call` raises, which must be exactly of `kind`."""
    try:
        result = call()
    except Exception as error:  # noqa: BLE001 - the class is the check
        assert type(error) is kind, f"expected {kind.__name__}, got {type(error).__name__}: {error}"
        return error
    raise AssertionError(f"expected {kind.__name__}, but it answered {result!r}")


def equal(got, expected):
    """Fails with both values."""
    assert got == expected, f"expected {expected!r}, got {got!r}"


class Attempts:
    """An event hook that counts the requests that really leave the client."""

    def __init__(self):
        self.count = 0

    def __call__(self, _request):
        self.count += 1
