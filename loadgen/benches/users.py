"""Called by users.sh: many users with think time, through the proxy."""

import json
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack

from checks import Checks, until
from testbed import Fleet, get, role

USERS = int(os.environ.get("USERS", 10_000))
RATE = int(os.environ.get("RATE", 5000))
SECONDS = int(os.environ.get("SECONDS_LONG", 300))
TARGETS, HOLD_MS = 8, 50
# The closed-loop law: users / (response time + think time) is the rate.
THINK_MS = round(USERS * 1000 / RATE) - HOLD_MS
# Buffers of connections, and the allocator's rounding, settle within the first third; what grows after it grows for ever.
GROWTH = 1.05


def resident_kb(pid):
    return sum(int(line.split()[1]) for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS:"))


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        fleet = Fleet(work, "least_conns", TARGETS, stack)
        proxy, said = stack.enter_context(role(
            "proxy", "--scenario", fleet.scenario, "--scaler", fleet.scaler, "--map", fleet.map, "--recording", "off"))
        until("the proxy", lambda: get(said["data"], "/")[0] == 200)
        argv = [os.environ["LOADGEN"], f"http://{said['data']}/", "-c", str(USERS), "-z", f"{SECONDS}s",
                "--think-time-ms", str(THINK_MS), "--think-dist", "exp", "-H", f"galton-hold-ns: {HOLD_MS * 1_000_000}",
                "--progress", "none", "--json", f"{work}/users.json"]
        loadgen = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        pids = {"loadgen": loadgen.pid, "proxy": proxy.pid}
        sizes = {name: [] for name in pids}
        began = time.monotonic()
        while (passed := time.monotonic() - began) < SECONDS - 2:
            if passed > SECONDS / 3:
                for name, pid in pids.items():
                    sizes[name].append(resident_kb(pid))
            time.sleep(1)
        print(loadgen.communicate(timeout=120)[0])
        result = json.load(open(f"{work}/users.json"))
    counts, rate = result["counts"], result["rates"]["completed"]
    checks.check(counts["ok"] == counts["planned"], f"nothing is lost: {counts['ok']} ok of {counts['planned']} planned")
    checks.check(abs(rate / RATE - 1) <= 0.02, f"{rate:.0f} requests/s of {USERS} users who think {THINK_MS} ms (wanted {RATE}, within 2 %)")
    for name, kb in sizes.items():
        checks.check(max(kb) <= GROWTH * kb[0], f"memory of {name}: {kb[0]} kB after a third of the time, {max(kb)} kB at most (limit {GROWTH} of it)")
    validity = result["validity"]
    print(f"        verdict: {validity['verdict']} {validity.get('reasons', '')}")
    checks.finish()


main()
