"""Called by pacing.sh: how well open loops keep their times, by their own account and by that of the server."""

import bisect
import csv
import json
import os
import signal
import sys
import tempfile
import threading
import time

import tools
from checks import Checks
from tools import Ended, Server, quantile

SECONDS = int(os.environ.get("SECONDS_PER_RATE", 20))
# Rate; limits of the send lag in µs, by the design.
RATES = {200: (30, 500), 1000: (30, 500), 5000: (60, 500)}
# The furthest that what the server saw may be from the plan: instants at every rate, gaps where a send is short against them.
KS, GAPS_HELD = 0.02, {200}
# The stall: long against everything else, and shorter than all timeouts.
STALL_S, STALL_AT_S, STALLED_RATE, STALLED_CAP, STALLED_RUN_S = 1.4, 3.0, 500, 5, 12
HERE = os.path.dirname(os.path.abspath(__file__))


def recorder(work):
    port = tools.free_port()
    return Server([sys.executable, f"{HERE}/recorder.py", str(port), f"{work}/arrivals"], port)


def recorded(work, run):
    """What `run(url)` gives, and the arrivals in ns."""
    with recorder(work) as server:
        result = run(server.url)
    return result, [int(line) for line in open(f"{work}/arrivals")]


def gaps(instants):
    return [b - a for a, b in zip(instants, instants[1:])]


def since_first(instants):
    return [at - instants[0] for at in instants]


def ks(one, other):
    """Kolmogorov-Smirnov: the largest difference between the two cumulative shares."""
    one, other = sorted(one), sorted(other)
    share = lambda sample, x: bisect.bisect_right(sample, x) / len(sample)
    return max(abs(share(one, x) - share(other, x)) for x in one + other)


def loadgen(url, work, *flags):
    Ended([os.environ["LOADGEN"], url, "--progress", "none", "--quiet", "--json", f"{work}/result.json",
           "--log-requests", f"{work}/requests.csv", *flags])
    return json.load(open(f"{work}/result.json"))


def planned(work):
    with open(f"{work}/requests.csv") as f:
        return sorted(int(row["t_intended_ns"]) for row in csv.DictReader(f))


def accuracy(checks, work):
    for rate, (p50_us, p99_us) in RATES.items():
        run = lambda url: loadgen(url, work, "-r", str(rate), "-z", f"{SECONDS}s")
        result, arrivals = recorded(work, run)
        lag = {q: tools.loadgen_quantile(result, "send_lag", q) * 1e3 for q in (0.5, 0.99)}
        plan = planned(work)
        of_arrivals, of_gaps = ks(since_first(arrivals), since_first(plan)), ks(gaps(arrivals), gaps(plan))
        verdict, ok = result["validity"]["verdict"], result["counts"]["ok"]
        checks.check(lag[0.5] <= p50_us and lag[0.99] <= p99_us,
                     f"send lag at {rate:>4}/s: p50 {lag[0.5]:.1f}, p99 {lag[0.99]:.1f} µs (limits {p50_us}, {p99_us}); {verdict}")
        checks.check(len(arrivals) == len(plan) and of_arrivals <= KS,
                     f"arrivals at {rate:>4}/s: {len(arrivals)} of {len(plan)}, {ok} ok, KS to the plan {of_arrivals:.5f} (limit {KS})")
        # Sends through one thread are apart by what a send takes: gaps of the plan that are shorter cannot be kept.
        shortest = quantile(sorted(gaps(arrivals)), 0.005)
        lost = sum(gap < shortest for gap in gaps(plan)) / len(plan)
        said = f"gaps at {rate:>4}/s: KS {of_gaps:.4f}; one in 200 is below {shortest / 1e3:.1f} µs, of the plan's {lost:.2%}"
        if rate in GAPS_HELD:
            checks.check(of_gaps <= KS, f"{said} (limit {KS})")
        else:
            print(f"        {said}")


def schedule_error(arrivals, rate):
    """How far fixed gaps are off, µs: each gap, and each arrival against a schedule through the earliest of them."""
    if len(arrivals) < 2:
        return "nothing arrived"
    each = 1e9 / rate
    gap = [abs(g - each) / 1e3 for g in gaps(arrivals)]
    late = [at - arrivals[0] - n * each for n, at in enumerate(arrivals)]
    earliest = min(late)
    behind = [(x - earliest) / 1e3 for x in late]
    return (f"gap error p50 {quantile(gap, 0.5):9.1f}, p99 {quantile(gap, 0.99):9.1f}; "
            f"behind schedule p50 {quantile(behind, 0.5):9.1f}, p99 {quantile(behind, 0.99):9.1f} µs")


def fixed_gaps(work, oha):
    print("\nfixed gaps, as the server saw them:")
    for rate in RATES:
        run = lambda url: loadgen(url, work, "-r", str(rate), "-z", f"{SECONDS}s", "--arrival", "fixed")
        _, arrivals = recorded(work, run)
        print(f"  loadgen {rate:>4}/s: {schedule_error(arrivals, rate)}")
        if oha:
            _, arrivals = recorded(work, lambda url: Ended(
                [oha, "--no-tui", "-q", str(rate), "-z", f"{SECONDS}s", "-c", "50", url]))
            print(f"  oha     {rate:>4}/s: {schedule_error(arrivals, rate)}")


def stalled(work, run):
    """Runs against a server that does not get to run for a while."""
    with recorder(work) as server:
        def stall():
            time.sleep(STALL_AT_S)
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(STALL_S)
            server.process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=stall)
        thread.start()
        result = run(server.url)
        thread.join()
    return result


def stall(checks, work, found):
    seconds, rate, cap = f"{STALLED_RUN_S}s", str(STALLED_RATE), str(STALLED_CAP)
    result = stalled(work, lambda url: loadgen(url, work, "-r", rate, "-z", seconds, "--max-in-flight", cap))
    response, service = (tools.loadgen_quantile(result, what, 0.99) for what in ("response", "service"))
    print(f"\na server that stands still for {STALL_S} s, {rate} requests/s for {seconds}, at most {cap} in flight; p99:")
    print(f"  loadgen, response time    {response:8.1f} ms")
    print(f"  loadgen, service latency  {service:8.1f} ms")
    if found["hey"]:
        # Its rate is per worker.
        said = stalled(work, lambda url: Ended(
            [found["hey"], "-z", seconds, "-c", cap, "-q", str(STALLED_RATE // STALLED_CAP), url])).out
        print(f"  hey                       {tools.number(r'99%+ in ([0-9.]+) secs', said) * 1e3:8.1f} ms")
    if found["oha"]:
        for name, more in (("oha", []), ("oha, corrected", ["--latency-correction"])):
            said = stalled(work, lambda url: Ended([found["oha"], "--no-tui", "--output-format", "json", "-z", seconds,
                                                    "-c", cap, "-q", rate, *more, url])).out
            p99_s = json.loads(said[said.index("{"):])["latencyPercentiles"]["p99"]
            print(f"  {name:<25} {p99_s * 1e3:8.1f} ms")
    checks.check(response >= 500 * STALL_S, f"response p99 shows the stall: {response:.0f} ms (limit: at least {500 * STALL_S:.0f})")
    checks.check(service <= 100, f"service latency p99 does not, of the five in flight: {service:.1f} ms (limit 100)")


def main(what):
    checks = Checks()
    found = tools.programs()
    with tempfile.TemporaryDirectory() as work:
        if "accuracy" in what:
            accuracy(checks, work)
        if "fixed" in what:
            fixed_gaps(work, found["oha"])
        if "stall" in what:
            stall(checks, work, found)
    checks.finish()


main(sys.argv[1:] or ["accuracy", "fixed", "stall"])
