"""The roles of galton as the benches start them."""

import http.client
import json
import os
import subprocess
import sys
from contextlib import contextmanager

from checks import until


def announced(process):
    """What a role says of itself on its first line."""
    line = process.stdout.readline()
    if not line:
        sys.exit("a role of galton ended before it said where it listens")
    return json.loads(line)


@contextmanager
def role(*argv):
    process = subprocess.Popen([os.environ["GALTON"], *argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process, announced(process)
    finally:
        process.terminate()
        process.wait(20)


def get(address, path):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


class Fleet:
    """A scaler with targets under a policy, which are never scaled; the proxies of others are pointed at the same targets."""

    def __init__(self, work, architecture, targets, stack):
        self.work, self.architecture = work, architecture
        self.scenario, self.map = f"{work}/{architecture}.json", f"{work}/{architecture}.map"
        scenario = {
            "load_balancer": {"architecture": architecture, "hosts": 1},
            "targets": {"initial_count": targets, "max_concurrency_per_target": 1000},
            "scaling": {"min_targets": targets, "max_targets": targets},
        }
        with open(self.scenario, "w") as f:
            json.dump(scenario, f)
        _, said = stack.enter_context(role("scaler", "--scenario", self.scenario, "--autostart", "--map", self.map,
                                           "--hosts", "2", "--run-dir", f"{work}/{architecture}.run"))
        self.scaler = said["admin"]
        until("the fleet", lambda: len(self.members()) == targets)

    def members(self):
        status, body = get(self.scaler, "/v1/targets")
        return [t["data"] for t in json.loads(body)["targets"] if t["state"] == "ready"] if status == 200 else []
