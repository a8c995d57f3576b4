"""Called by peers.sh: closed loops of loadgen and its peers on the same servers, in turns."""

import os
import sys
import tempfile

import tools
from checks import Checks
from tools import PEERS, median

USERS = 50
ROUNDS = int(os.environ.get("ROUNDS", 5))
REQUESTS = int(os.environ.get("REQUESTS", 100_000))
HELD_REQUESTS = int(os.environ.get("HELD_REQUESTS", 10_000))
MEMORY_REQUESTS = int(os.environ.get("MEMORY_REQUESTS", 10_000_000))
MEMORY_KB = 100 * 1024
# Long against what any of the generators adds, so that the server decides the throughput: 50 users at 50 ms are 1000/s at most.
HOLD_MS = int(os.environ.get("HOLD_MS", 50))
HOLD = f"galton-hold-ns: {HOLD_MS * 1_000_000}"
RATE_WITHIN, LATENCY_WITHIN = 0.03, 0.05


def rounds(names, run):
    """All of them once a round, each round beginning with another one: what disturbs the machine for a while hits all."""
    results = {name: [] for name in names}
    for n in range(ROUNDS):
        order = names[n % len(names):] + names[:n % len(names)]
        for name in order:
            results[name].append(run(name))
    return results


def runner(programs, url, n, headers, work):
    def run(name):
        if name == "loadgen":
            return tools.loadgen(programs[name], url, USERS, n, headers, work)
        return PEERS[name](programs[name], url, USERS, n, headers, work)

    return run


def table(results, of, digits):
    """Medians, and the medians of the ratios to loadgen within a round."""
    base = results["loadgen"]
    for name, runs in results.items():
        cells = []
        for title, value in of.items():
            figures = [value(run) for run in runs]
            if None in figures:
                cells.append(f"{title} {'-':>9}        ")
                continue
            ratio = median([mine / value(ours) for mine, ours in zip(figures, base)])
            cells.append(f"{title} {median(figures):>9.{digits}f} ({ratio:4.2f})")
        print(f"  {name:<8} " + "   ".join(cells))


def cpu(checks, programs, present, work):
    with tools.nginx(work) as server:
        results = rounds(present, runner(programs, server.url, REQUESTS, [], work))
    print(f"\nnginx, a small page, {USERS} connections, {REQUESTS} requests (wrk: 5 s), {ROUNDS} rounds; medians (ratio to loadgen)")
    table(results, {"requests/s": lambda r: r.rate, "CPU µs/request": lambda r: r.cpu_us}, 1)
    if "oha" not in results:
        return checks.check(False, "CPU per request no more than oha's: oha is absent")
    ratio = median([ours.cpu_us / theirs.cpu_us for ours, theirs in zip(results["loadgen"], results["oha"])])
    checks.check(ratio <= 1, f"CPU per request no more than oha's: {ratio:.2f} of it")
    if "h2load" in results:
        ratio = median([ours.cpu_us / theirs.cpu_us for ours, theirs in zip(results["loadgen"], results["h2load"])])
        print(f"        beside h2load's, the mark to reach: {ratio:.2f} of it")


def agreement(checks, programs, present, work, galton):
    with tools.target(galton, work) as server:
        results = rounds(present, runner(programs, server.url, HELD_REQUESTS, [HOLD], work))
    print(f"\na Galton target that holds {HOLD_MS} ms, {USERS} connections, {HELD_REQUESTS} requests, {ROUNDS} rounds; medians (ratio to loadgen)")
    table(results, {"requests/s": lambda r: r.rate, "p50 ms": lambda r: r.p50_ms, "p99 ms": lambda r: r.p99_ms}, 2)
    for name in PEERS:
        if name not in results:
            checks.check(False, f"agreement with {name}: {name} is absent")
            continue
        # ab prints whole milliseconds.
        rounding = 0.5 if name == "ab" else 0.0
        pairs = list(zip(results["loadgen"], results[name]))
        rate = median([ours.rate / theirs.rate - 1 for ours, theirs in pairs])
        off = {}
        for q in ("p50_ms", "p99_ms"):
            difference = median([getattr(ours, q) - getattr(theirs, q) for ours, theirs in pairs])
            limit = LATENCY_WITHIN * median([getattr(theirs, q) for _, theirs in pairs]) + rounding
            off[q] = (difference, limit)
        holds = abs(rate) <= RATE_WITHIN and all(abs(d) <= limit for d, limit in off.values())
        figures = ", ".join(f"{q[:3]} {d:+.2f} ms (limit {limit:.2f})" for q, (d, limit) in off.items())
        checks.check(holds, f"agreement with {name}: throughput {rate * 100:+.1f} % (limit 3 %), {figures}")


def memory(checks, programs, work):
    with tools.nginx(work) as server:
        result = tools.loadgen(programs["loadgen"], server.url, USERS, MEMORY_REQUESTS, [], work)
    print()
    checks.check(result.peak_kb <= MEMORY_KB,
                 f"memory: {result.peak_kb} kB at most for {MEMORY_REQUESTS} requests (limit {MEMORY_KB} kB)")


def main(what):
    checks = Checks()
    programs = {"loadgen": os.environ["LOADGEN"], **tools.programs()}
    present = [name for name, path in programs.items() if path]
    with tempfile.TemporaryDirectory() as work:
        if "cpu" in what:
            cpu(checks, programs, present, work)
        if "agreement" in what:
            agreement(checks, programs, present, work, os.environ["GALTON"])
        if "memory" in what:
            memory(checks, programs, work)
    checks.finish()


main(sys.argv[1:] or ["cpu", "agreement"])
