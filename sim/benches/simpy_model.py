#!/usr/bin/env python3
"""A SimPy model of a scenario with a fixed fleet: what a simulation study would be written in otherwise.

It is the usual SimPy program: a process per request, a `simpy.Resource` per target that is monitored as SimPy's documentation
shows, least connections by a look at every target. At the end it computes the main figures of Galton's report: losses, retries,
percentiles of response times, and of what the targets held and used over time.
It reads the same scenario file as `galton simulate`, as far as a fixed fleet goes (Poisson arrivals, lognormal or exponential holds,
`no_capacity: fail`, both architectures), draws from the same distributions with generators of its own, and prints one line of JSON.
Or it takes the very requests, from a plan in CSV with the columns `t_ms`, `hold_ms`, `host` and perhaps `cpu`: then its losses are
those of Galton but for the coins of least connections.
"""

import argparse
import csv
import json
import math
import random
import sys
import time

import simpy

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99)


class Target:
    """A server with so many slots, and an account of the CPU that its requests ask for."""

    def __init__(self, env, slots, cpu_capacity):
        self.env = env
        self.slots = simpy.Resource(env, capacity=slots)
        self.cpu_capacity = cpu_capacity
        self.cpu = 0.0
        self.changes = []

    @property
    def full(self):
        return self.slots.count >= self.slots.capacity

    def hold(self, duration, cpu):
        with self.slots.request() as slot:
            yield slot
            self.changed(cpu)
            yield self.env.timeout(duration)
        self.changed(-cpu)

    def changed(self, cpu):
        self.cpu += cpu
        self.changes.append((self.env.now, self.slots.count, self.cpu / self.cpu_capacity))


class RoundRobin:
    """One host: a list, an index, and retries in turn."""

    def __init__(self, targets, retry_limit, retry_delay):
        self.targets = targets
        self.index = 0
        self.retry_limit = retry_limit
        self.retry_delay = retry_delay

    def handle(self, env, request):
        while True:
            target = self.targets[self.index]
            self.index = (self.index + 1) % len(self.targets)
            request.attempts += 1
            if not target.full:
                yield from target.hold(request.hold, request.cpu)
                request.ok = True
                return
            if self.retry_delay > 0:
                yield env.timeout(self.retry_delay)
            if request.attempts > self.retry_limit:
                return


class LeastConnections:
    """One host of several with a common view: the least loaded target, a random one among equals."""

    def __init__(self, targets, rng):
        self.targets = targets
        self.rng = rng

    def handle(self, env, request):
        lowest = min(target.slots.count for target in self.targets)
        target = self.rng.choice([target for target in self.targets if target.slots.count == lowest])
        if target.full:
            return
        request.attempts += 1
        yield from target.hold(request.hold, request.cpu)
        request.ok = True


class Request:
    """What one request asks for, and what became of it."""

    __slots__ = ("arrived", "hold", "cpu", "host", "attempts", "ok", "response")

    def __init__(self, arrived, hold, cpu, host):
        self.arrived = arrived
        self.hold = hold
        self.cpu = cpu
        self.host = host
        self.attempts = 0
        self.ok = False
        self.response = None


class Study:
    """The scenario, its processes, and what they record."""

    def __init__(self, scenario, seed, count):
        self.scenario = scenario
        self.rng = random.Random(seed)
        self.count = count
        self.env = simpy.Environment()
        self.requests = []
        fleet = scenario["targets"]
        slots, capacity = fleet.get("max_concurrency_per_target", 10), fleet.get("cpu_capacity_per_target", 100)
        self.targets = [Target(self.env, slots, capacity) for _ in range(fleet["initial_count"])]
        self.hosts = [self.host() for _ in range(scenario["load_balancer"].get("hosts", 2))]

    def host(self):
        balancer = self.scenario["load_balancer"]
        if balancer.get("architecture", "round_robin") == "least_conns":
            return LeastConnections(self.targets, self.rng)
        rules = balancer.get("rr", {})
        return RoundRobin(self.targets, rules.get("retry_limit", 2), rules.get("retry_delay_ms", 0) / 1e3)

    def hold(self):
        shape = self.scenario["traffic"].get("request_duration_ms", {})
        mean = shape.get("mean_ms", 100) / 1e3
        if shape.get("distribution", "lognormal") == "exponential":
            return self.rng.expovariate(1 / mean)
        sigma = shape.get("sigma", 0.5)
        return self.rng.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)

    def cpu(self):
        shape = self.scenario["traffic"].get("cpu_demand", {})
        return max(0.0, self.rng.gauss(shape.get("mean", 10), shape.get("stddev", 2)))

    def source(self):
        """Poisson arrivals, each at a host chosen at random."""
        rate = self.scenario["traffic"]["arrival"]["rate_per_sec"]
        for _ in range(self.count):
            yield self.env.timeout(self.rng.expovariate(rate))
            self.arrive(self.hold(), self.cpu(), self.rng.randrange(len(self.hosts)))

    def replay(self, plan):
        """The arrivals of a plan."""
        for row in plan:
            yield self.env.timeout(max(0.0, float(row["t_ms"]) / 1e3 - self.env.now))
            self.arrive(float(row["hold_ms"]) / 1e3, float(row.get("cpu") or 0), int(row["host"]))

    def arrive(self, hold, cpu, host):
        request = Request(self.env.now, hold, cpu, host)
        self.requests.append(request)
        self.env.process(self.serve(request))

    def serve(self, request):
        yield from self.hosts[request.host].handle(self.env, request)
        request.response = self.env.now - request.arrived

    def run(self, plan=None):
        self.env.process(self.source() if plan is None else self.replay(plan))
        self.env.run()

    def result(self):
        ok = sorted(request.response for request in self.requests if request.ok)
        offered = len(self.requests)
        in_flight, utilisation = self.over_time()
        return {
            "requests": offered,
            "loss": (offered - len(ok)) / offered,
            "retries_per_request": sum(max(0, request.attempts - 1) for request in self.requests) / offered,
            "mean_response_ms": 1e3 * sum(ok) / len(ok),
            "response_ms": {f"p{100 * q:g}": 1e3 * ok[math.ceil(q * len(ok)) - 1] for q in QUANTILES},
            "target_in_flight": in_flight,
            "target_cpu": utilisation,
        }

    def over_time(self):
        """Time-weighted percentiles over all targets, of their requests in flight and of their CPU utilisation."""
        in_flight, utilisation = [], []
        for target in self.targets:
            for (at, count, cpu), (until, _, _) in zip(target.changes, target.changes[1:]):
                in_flight.append((count, until - at))
                utilisation.append((cpu, until - at))
        return weighted_percentiles(in_flight), weighted_percentiles(utilisation)


def weighted_percentiles(samples):
    """Percentiles of values that lasted for so long."""
    samples.sort()
    total = sum(length for _, length in samples)
    found, passed, at = {}, 0.0, iter(samples)
    value = None
    for q in QUANTILES:
        while passed < q * total:
            following = next(at, None)
            if following is None:
                break
            value, length = following
            passed += length
        found[f"p{100 * q:g}"] = value
    return found


def overridden(scenario, changes):
    """The scenario with `a.b.c=VALUE` laid over it."""
    for change in changes:
        path, value = change.split("=", 1)
        *parents, last = path.split(".")
        section = scenario
        for name in parents:
            section = section.setdefault(name, {})
        try:
            section[last] = json.loads(value)
        except json.JSONDecodeError:
            section[last] = value
    return scenario


def refuse_what_is_not_modelled(scenario):
    """A fleet that changes, or requests that wait, would be another model."""
    scaling, fleet = scenario.get("scaling", {}), scenario["targets"]
    if not scaling.get("min_targets") == fleet["initial_count"] == scaling.get("max_targets"):
        sys.exit("the fleet must be fixed: scaling.min_targets = targets.initial_count = scaling.max_targets")
    if scenario["load_balancer"].get("no_capacity") != "fail":
        sys.exit("load_balancer.no_capacity must be fail")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", help="a scenario file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key")
    parser.add_argument("--plan", help="take the requests from this CSV")
    parser.add_argument("--requests", type=int, default=20_000, help="number of arrivals (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="of Python's generator (default: %(default)s)")
    args = parser.parse_args()
    with open(args.scenario, encoding="utf-8") as file:
        scenario = overridden(json.load(file), args.set)
    refuse_what_is_not_modelled(scenario)
    plan = None
    if args.plan:
        with open(args.plan, encoding="utf-8", newline="") as file:
            plan = list(csv.DictReader(file))
    study = Study(scenario, args.seed, args.requests)
    started = time.perf_counter()
    study.run(plan)
    result = study.result()
    seconds = time.perf_counter() - started
    print(json.dumps({"wall_seconds": seconds, "requests_per_sec": result["requests"] / seconds, **result}))


if __name__ == "__main__":
    main()
